"""Changes to what is read: to bytes, to the values of a JSON text, to the tables of a Parquet file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from functools import cache
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_ODD: Sequence[Any] = (
    *(None, True, False, 0, 1, -1, 2, 64, 2**31, 2**63, -(2**63), 10**30, 0.5, -1e-9, 1e20, 1e308),
    *(float("nan"), float("inf"), "", "x", "0", "..", ".", "/", "../../elsewhere/secret", "/etc/passwd", "\0", "é"),
    *("runs", "_schema", "2026-01-01T00:00:00+00:00", "a\nb", "\ud800", "x" * 5000),
    *([], {}, [[]], [None], {"": {}}, {"x": [1, {"y": None}]}, ["failed", {}], ["completed", {"run_uid": "x"}]),
)
"""What nobody has written there: other kinds, the ends of ranges, names that lead elsewhere."""
_DEEP = json.loads("[" * 200 + "]" * 200)


# -- bytes -------------------------------------------------------------------------------------------------------------


def changed_bytes(random: Random, content: bytes) -> bytes:
    """Content of which some bytes are others, more often towards the ends, where what describes the rest stands."""
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 1, 2, 4, 16))):
        random.choice(_BYTES)(random, changed)
    return bytes(changed)


def _place(random: Random, content: bytearray) -> int:
    if not content:
        return 0
    near = min(len(content), 64)
    match random.randrange(4):
        case 0:
            return random.randrange(near)
        case 1:
            return len(content) - 1 - random.randrange(near)
        case 2:
            return len(content) - 1 - random.randrange(min(len(content), 1200))
    return random.randrange(len(content))


def _flip(random: Random, content: bytearray) -> None:
    if content:
        content[_place(random, content)] ^= 1 << random.randrange(8)


def _replace(random: Random, content: bytearray) -> None:
    if content:
        content[_place(random, content)] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))


def _number(random: Random, content: bytearray) -> None:
    place, size = _place(random, content), random.choice((1, 2, 4, 8))
    value = random.choice((0, 1, -1, 2 ** (8 * size - 1) - 1, -(2 ** (8 * size - 1)), len(content)))
    content[place : place + size] = (value % 2 ** (8 * size)).to_bytes(size, random.choice(("little", "big")))


def _cut(random: Random, content: bytearray) -> None:
    del content[_place(random, content) :]


def _cut_out(random: Random, content: bytearray) -> None:
    place = _place(random, content)
    del content[place : place + random.choice((1, 2, 8, 64))]


def _insert(random: Random, content: bytearray) -> None:
    place = _place(random, content)
    content[place:place] = random.choice((b"\0", b"\n", b"[", b"PAR1", random.randbytes(8), bytes(64)))


def _repeat(random: Random, content: bytearray) -> None:
    place = _place(random, content)
    content[place:place] = content[place : place + random.choice((1, 8, 64, 512))]


_BYTES: Sequence[Callable[[Random, bytearray], None]] = (
    *(_flip, _flip, _flip, _replace, _replace, _number, _number),
    *(_cut, _cut_out, _insert, _repeat),
)


# -- values ------------------------------------------------------------------------------------------------------------


def changed_value(random: Random, value: Any) -> Any:
    """A JSON value in which some parts are others, or are elsewhere."""
    changed = {"": deepcopy(value)}
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        random.choice(_VALUES)(random, changed)
    return changed[""]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every part of a value: what it is in, and by which key."""
    around = [value]
    while around:
        inside = around.pop()
        for key, part in inside.items() if isinstance(inside, dict) else enumerate(inside):
            yield inside, key
            if isinstance(part, (dict, list)):
                around.append(part)


def _any_place(random: Random, value: dict[str, Any]) -> tuple[Any, Any]:
    return random.choice(list(_places(value)))


def _odd(random: Random, value: dict[str, Any]) -> None:
    inside, key = _any_place(random, value)
    inside[key] = deepcopy(_DEEP if not random.randrange(50) else random.choice(_ODD))


def _of_another_kind(random: Random, value: dict[str, Any]) -> None:
    inside, key = _any_place(random, value)
    part = inside[key]
    inside[key] = random.choice((str(part), [part], {"x": part}, len(str(part))))


def _from_elsewhere(random: Random, value: dict[str, Any]) -> None:
    inside, key = _any_place(random, value)
    other, name = _any_place(random, value)
    inside[key] = deepcopy(other[name])


def _without(random: Random, value: dict[str, Any]) -> None:
    inside, key = _any_place(random, value)
    if inside is not value:
        del inside[key]


def _twice(random: Random, value: dict[str, Any]) -> None:
    inside, key = _any_place(random, value)
    if isinstance(inside, list):
        inside.insert(random.randrange(len(inside) + 1), deepcopy(inside[key]))
    elif inside is not value:
        inside[random.choice((f"{key}_", "", "x", "later"))] = deepcopy(inside[key])


def _renamed(random: Random, value: dict[str, Any]) -> None:
    inside, key = _any_place(random, value)
    if isinstance(inside, dict) and inside is not value:
        inside[random.choice((f"{key}_", "", *inside))] = inside.pop(key)


def _more_or_less(random: Random, value: dict[str, Any]) -> None:
    numbers = [(inside, key) for inside, key in _places(value) if type(inside[key]) in (int, float)]
    if numbers:
        inside, key = random.choice(numbers)
        inside[key] = random.choice((inside[key] + 1, inside[key] - 1, -inside[key], inside[key] * 10**9, 10**9))


_VALUES: Sequence[Callable[[Random, dict[str, Any]], None]] = (
    *(_odd, _odd, _odd, _of_another_kind, _from_elsewhere, _from_elsewhere),
    *(_without, _twice, _renamed, _more_or_less, _more_or_less),
)


def changed_json(random: Random, content: bytes) -> bytes:
    """A JSON text that says something else, or whose bytes are others."""
    if not random.randrange(3):
        return changed_bytes(random, content)
    return json.dumps(changed_value(random, json.loads(content))).encode("utf-8", "surrogatepass")


# -- Parquet -----------------------------------------------------------------------------------------------------------


def changed_parquet(random: Random, content: bytes, facts: str = "") -> bytes:
    """A Parquet file whose bytes are others; or one with other columns, values or rows; or with other facts.

    Args:
        random: Says what is changed.
        content: A file that can be read.
        facts: Under which name its metadata hold a JSON text; empty when there is none.
    """
    kind = random.randrange(4 if facts else 3)
    if kind < 2:
        return changed_bytes(random, content)
    table, sink = _table_in(content), pa.BufferOutputStream()
    if kind == 3:
        told = (table.schema.metadata or {})[facts.encode()]
        table = table.replace_schema_metadata({facts: changed_json(random, told)})
    try:
        for _ in range(random.choice((1, 1, 2)) if kind < 3 else 0):
            table = _changed_table(random, table)
        pq.write_table(table, sink, compression=random.choice(("none", "none", "zstd")), write_statistics=False)
    except pa.ArrowException:  # there is no such column
        return changed_bytes(random, content)
    return bytes(sink.getvalue().to_pybytes())


@cache
def _table_in(content: bytes) -> pa.Table:
    return pq.ParquetFile(pa.BufferReader(content)).read()


def _changed_table(random: Random, table: pa.Table) -> pa.Table:
    names, rows = table.column_names, table.num_rows
    if not names:
        return table.append_column("x", pa.array([1] * rows))
    place = random.randrange(len(names))
    name = names[place]
    match random.randrange(8):
        case 0:
            return table.remove_column(place)
        case 1:
            return table.rename_columns([random.choice(("", "x", *names)) if each == name else each for each in names])
        case 2:
            return table.slice(0, random.choice((0, max(rows - 1, 0))))
        case 3:
            return pa.concat_tables([table, table])
        case 4:
            return table.append_column(random.choice(("x", name)), table.column(place))
    return table.set_column(place, name, _odd_column(random, table.column(place), rows))


def _odd_column(random: Random, column: pa.ChunkedArray, rows: int) -> pa.Array:
    """A column of another kind, or with other values of the same kind."""
    match random.randrange(6):
        case 0:
            return pa.nulls(rows, column.type)
        case 1:
            return pa.nulls(rows)
        case 2:
            return pa.array([[1]] * rows, pa.list_(pa.int8()))
        case 3:
            return column.cast(pa.string()).combine_chunks().dictionary_encode()
    odd = random.choice(_ODD)
    try:
        return pa.array([odd] * rows)
    except (pa.ArrowException, OverflowError, UnicodeError):
        return pa.array([b"\xff"] * rows)
