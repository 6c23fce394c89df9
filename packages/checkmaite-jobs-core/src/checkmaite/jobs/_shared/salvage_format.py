"""Rows of a run that could not be stored, as a file of JSON lines that a person can read and mend.

The first line says what the run is, each other one is a record, also one that no store takes. What JSON cannot say is
marked: ``{"$": "datetime", "value": "2026-01-02T03:04:05+00:00"}``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from attrs import asdict
from checkmaite.jobs._shared.columns import ColumnType, declared_columns, exact_float
from checkmaite.jobs._shared.errors import StoreCorruptError
from checkmaite.jobs._shared.objects import ObjectStore
from checkmaite.jobs._shared.places import storage_options_of
from checkmaite.jobs._shared.provenance import Provenance
from checkmaite.jobs._shared.records import taken_apart
from checkmaite.jobs._shared.refs import Report
from checkmaite.jobs._shared.salvaged import SalvagedRun, Unreadable
from checkmaite.jobs._shared.scalars import Cause, plain_value
from checkmaite.jobs._shared.texts import class_name, message_text, shortened

_FORMAT = 1
_MARK = "$"
_SHOWN_BYTES = 4096
_TEXTS = ("run_uid", "capability_id", "error")
_ENTITIES = ("dataset_metadata", "model_metadata", "metric_metadata")


def read_run(uri: str, storage_options: Mapping[str, Any] | None) -> SalvagedRun:
    """See `checkmaite.jobs.read_salvaged_run`."""
    folder, _, name = uri.replace("\\", "/").rpartition("/")
    options = storage_options if storage_options is not None else storage_options_of(uri)
    objects = ObjectStore(folder or ("/" if uri.startswith("/") else "."), options)
    content = objects.read(name)
    try:
        first, *lines = content.decode().split("\n")
        return _run_of(json.loads(first), [_read(json.loads(line)) for line in lines if line.strip()])
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise StoreCorruptError(
            f"{uri}: this holds no salvaged run ({type(error).__name__}: {error}). Pass the file that the job's error "
            "names; after editing it by hand, each of its lines must still be one JSON value.",
            uri=uri,
        ) from error


def lines_of(records: Iterable[object], limit_bytes: int) -> tuple[list[bytes], int]:
    """Records as lines, and how many were left out because all would be longer than `limit_bytes`."""
    lines: list[bytes] = []
    left_out = size = 0
    for record in records:
        line = b"" if left_out else _line(_of_record(record))
        size += len(line)
        if left_out or size > limit_bytes:
            left_out += 1
        else:
            lines.append(line)
    return lines, left_out


def first_line(
    run: Any, *, provenance: Provenance, report: Report | None, error: BaseException, left_out: int
) -> bytes:
    """What a run is, as the line that its records follow."""
    said = {
        "checkmaite_salvaged": _FORMAT,
        **{name: str(getattr(run, name, None) or "") for name in ("run_uid", "capability_id")},
        **{name: [_written(each) for each in getattr(run, name, None) or ()] for name in _ENTITIES},
        "outputs_uri": _written(getattr(run, "outputs_uri", None)),
        "provenance": {name: _written(value) for name, value in asdict(provenance).items()},
        "report": asdict(report) if report is not None else None,
        "error": shortened(f"{class_name(error)}: {message_text(error)}", _SHOWN_BYTES),
        "left_out": left_out,
    }
    return _line(said)


def _line(value: object) -> bytes:
    return json.dumps(value, allow_nan=False).encode()


def _of_record(record: object) -> Any:
    """A record as JSON values, each column as its class declares it."""
    try:
        taken = taken_apart(record)
        if taken is None:
            return _unreadable(record, None)
        table, values = taken
        declared, _ = declared_columns(type(record), only=values)
        written = {str(name): _written(value) for name, value in values.items()}
        for name, kind in declared.items():
            if kind is ColumnType.FLOAT and type(written[name]) is int:
                written[name] = exact_float(written[name])[0] or written[name]
        return {"table_name": _written(table), **written}
    except Exception as error:  # noqa: BLE001 - the user's code may raise anything, and the other records are worth keeping
        return _unreadable(record, error)


def _written(value: Any) -> Any:
    """A value as JSON says it, or marked."""
    plain = plain_value(value)
    if isinstance(plain, Cause):
        plain = value
    if plain is None or isinstance(plain, (bool, str)):
        return plain
    if isinstance(plain, int):
        return plain if plain.bit_length() <= 1024 else _marked("int", hex(plain))
    if isinstance(plain, float):
        return plain if abs(plain) < float("inf") else _marked("float", repr(plain))
    for mark, kind, write, _ in _MARKS:
        if isinstance(plain, kind):
            return _marked(mark, write(plain))
    if isinstance(plain, Mapping):
        return _marked("mapping", {str(name): _written(each) for name, each in plain.items()})
    if isinstance(plain, (list, tuple, set, frozenset)):
        return [_written(each) for each in plain]
    if callable(as_list := getattr(plain, "tolist", None)) and getattr(plain, "shape", ()) != ():
        return _written(as_list())
    return _unreadable(plain, None)


def _unreadable(value: object, error: Exception | None) -> dict[str, Any]:
    try:
        text = repr(value)
    except Exception as broken:  # noqa: BLE001 - likewise
        text = f"({type(broken).__name__})"
    because = f" ({type(error).__name__})" if error else ""
    return {_MARK: "unreadable", "type": type(value).__name__, "value": shortened(text, _SHOWN_BYTES) + because}


def _marked(mark: str, value: object) -> dict[str, Any]:
    return {_MARK: mark, "value": value}


_MARKS: tuple[tuple[str, type, Callable[[Any], Any], Callable[[Any], Any]], ...] = (
    ("datetime", datetime, datetime.isoformat, datetime.fromisoformat),
    ("date", date, date.isoformat, date.fromisoformat),
    ("bytes", bytes, lambda value: base64.b64encode(value).decode(), base64.b64decode),
    ("decimal", Decimal, str, Decimal),
    ("seconds", timedelta, timedelta.total_seconds, lambda value: timedelta(seconds=value)),
)
_READERS: Mapping[str, Callable[[Any], Any]] = {
    **{mark: read for mark, _, _, read in _MARKS},
    "float": float,
    "int": lambda value: int(value, 16),
    "mapping": lambda value: {name: _read(each) for name, each in value.items()},
}


def _read(value: Any) -> Any:
    if isinstance(value, list):
        return [_read(each) for each in value]
    if not isinstance(value, dict):
        return value
    mark = value.get(_MARK)
    if mark == "unreadable":
        return Unreadable(value["type"], value["value"])
    return _READERS[mark](value["value"]) if mark else {name: _read(each) for name, each in value.items()}


def _run_of(said: Mapping[str, Any], records: list[Any]) -> SalvagedRun:
    if said["checkmaite_salvaged"] != _FORMAT:
        raise ValueError(f"format {said['checkmaite_salvaged']}, and this version reads {_FORMAT}")
    if strange := [name for name in _TEXTS if not isinstance(said[name], str)]:
        raise TypeError(f"its {strange[0]} is no text")
    return SalvagedRun(
        run_uid=said["run_uid"],
        capability_id=said["capability_id"],
        outputs_uri=_read(said["outputs_uri"]),
        records=records,
        provenance=Provenance(**{name: _read(value) for name, value in said["provenance"].items()}),
        report=Report(**said["report"]) if said["report"] else None,
        error=said["error"],
        left_out=said["left_out"],
        **{name: [_read(each) for each in said[name]] for name in _ENTITIES},
    )
