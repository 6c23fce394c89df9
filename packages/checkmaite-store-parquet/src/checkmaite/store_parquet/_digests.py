"""Digests of what a result holds, by which `verify` tells whether it has changed. Pure.

They are of values, not of the bytes of files: the copies that a compaction makes have those of the small files, also
after a column came to the table or became one of floats.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

SCHEME = 1
"""Raised when the same values would get other digests than before; digests of two schemes are not compared."""

COMMIT = "commit"
"""Among a commit's digests that of the commit itself, the others included."""

_LENGTH = 32
_EXACT = 2**53
"""Whole numbers up to this are the same as floats, which a column of them may become."""


def rows_digest(rows: pa.Table) -> str:
    """The digest of a result's rows in a table: of values and their order. A column without any value counts as none.

    Raises:
        ValueError: A column is of a type that no table has.
    """
    digest = hashlib.sha256(b"%d" % rows.num_rows)
    for name in sorted(rows.column_names):
        column = rows.column(name).combine_chunks()
        if column.null_count == len(column):
            continue
        digest.update(json.dumps(name).encode())
        for part in _parts(column):
            digest.update(part)
    return digest.hexdigest()[:_LENGTH]


def _parts(column: Any) -> Iterator[Any]:
    """A column as bytes that follow from its values alone."""
    kind = column.type
    if column.null_count:
        yield b"nulls"
        yield _bytes_of(column.is_valid().cast(pa.uint8()), 1)
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        column = _filled(column, b"" if pa.types.is_binary(kind) else "")
        yield b"text" if pa.types.is_string(kind) else b"bytes"
        yield _bytes_of(pc.call_function("binary_length", [column]), 4)
        _, offsets, content = column.buffers()
        first, last = (memoryview(offsets).cast("i")[column.offset + place] for place in (0, len(column)))
        yield content.slice(first, last - first) if content is not None else b""
    elif pa.types.is_boolean(kind):
        yield b"boolean"
        yield _bytes_of(_filled(column, False).cast(pa.uint8()), 1)
    elif pa.types.is_date32(kind):
        yield b"date"
        yield _bytes_of(_filled(column.cast(pa.int32()), 0), 4)
    elif pa.types.is_timestamp(kind):
        yield b"instant"
        yield _bytes_of(_filled(column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()), 0), 8)
    elif pa.types.is_int64(kind) or pa.types.is_float64(kind):
        yield from _numbers(column)
    else:
        raise ValueError(f"a column of {kind}")


def _numbers(column: Any) -> Iterator[Any]:
    if pa.types.is_int64(column.type):
        span = pc.call_function("min_max", [column]).as_py()
        if not -_EXACT <= span["min"] <= span["max"] <= _EXACT:
            yield b"large"
            yield _bytes_of(_filled(column, 0), 8)
            return
        column = column.cast(pa.float64())
    yield b"numbers"
    nan = pa.scalar(float("nan"))
    column = _filled(column, 0.0)
    yield _bytes_of(pc.call_function("if_else", [pc.call_function("is_nan", [column]), nan, column]), 8)


def _filled(column: Any, value: Any) -> Any:
    """The column without nulls: nearly all columns have none, and looking for them takes as long as the digest."""
    return column.fill_null(value) if column.null_count else column


def _bytes_of(column: Any, width: int) -> Any:
    return column.buffers()[1].slice(column.offset * width, len(column) * width)


def facts_digest(said: Any) -> str:
    """The digest of values that JSON knows, and instants; of a mapping without what is None."""
    return hashlib.sha256(json.dumps(_plain(said), sort_keys=True).encode()).hexdigest()[:_LENGTH]


def _plain(said: Any) -> Any:
    if isinstance(said, Mapping):
        return {name: _plain(value) for name, value in said.items() if value is not None}
    if isinstance(said, (list, tuple)):
        return [_plain(each) for each in said]
    return said.astimezone(UTC).isoformat() if isinstance(said, datetime) else said


def commit_digest(rows: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> str:
    """The digest of a commit: of its ``runs`` rows, and of what it says beside them but for this digest."""
    digests = {name: value for name, value in (facts.get("digests") or {}).items() if name != COMMIT}
    return facts_digest([list(rows), {**facts, "digests": digests}])
