"""Writes the tables of docs/reference/tables.md: which columns there are, as stores and the journal's reader say.

The prose between them is written by hand; what is made stands between two comments in the page.
"""

import tempfile
import tomllib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import attrs
from checkmaite.jobs import Record
from checkmaite.jobs.testing import SampleRun
from checkmaite.jobs_ray.client.history import table_of_records
from checkmaite.store_delta import DeltaStore
from checkmaite.store_parquet import ParquetStore

PAGE = Path(__file__).parents[1] / "docs/reference/tables.md"
MEANINGS: Mapping[str, Mapping[str, list[str]]] = tomllib.loads(
    (Path(__file__).parent / "columns.toml").read_text("utf-8")
)
_STORES: Mapping[str, Any] = {"parquet": ParquetStore, "delta": DeltaStore}


@attrs.frozen
class Everything(Record):
    """A row with a column of each type; its names are the annotations."""

    table_name = "everything"

    bool: bool
    int: int
    float: float
    str: str
    bytes: bytes
    date: date
    datetime: datetime


_ROW = Everything(True, 1, 1.5, "text", b"bytes", date(2026, 11, 28), datetime(2026, 11, 28, 12, tzinfo=UTC))
_LIKE = {
    "int": "`IntEnum`, `Literal[1, 2]`",
    "float": "`Union[int, float]`",
    "str": "`StrEnum`, `Enum` and `Literal` of texts, `UUID`, `Path`",
}
"""Other annotations that give the same column."""


def page(text: str) -> str:
    """The page with what is made in its place."""
    for name, made in {"types": _types(), "runs": _runs(), "history": _history()}.items():
        begin, end = f"<!-- {name}: made by `hatch run reference` -->\n\n", f"\n<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        text = f"{before}{begin}{made}{end}{rest.partition(end)[2]}"
    return text


def _types() -> str:
    described = {name: _described(kind, "everything") for name, kind in _STORES.items()}
    (in_both,) = {tuple(each) for each, _ in described.values()}
    sql = described["parquet"][1]
    rows = [
        [f"`{name}`", _LIKE.get(name, ""), f"`{kind}`", f"`{sql[name]}`"] for name, kind in in_both if name != "run_uid"
    ]
    return _table(["annotation", "likewise", "Parquet and Arrow, in either store", "SQL"], rows)


def _runs() -> str:
    columns = {name: dict(_described(kind, "runs")[0]) for name, kind in _STORES.items()}
    rows = []
    for name, kind in columns["parquet"].items():
        meaning, source = MEANINGS["runs"][name]
        where = "" if name in columns["delta"] else ' (`"parquet"` only)'
        rows.append([f"`{name}`", f"`{kind}`", f"{meaning}{where}", source])
    assert columns["delta"].items() <= columns["parquet"].items()
    return _table(["column", "type", "meaning", "who says so"], rows)


def _history() -> str:
    rows = [
        [f"`{each.name}`", f"`{each.type}`", *MEANINGS["history"][each.name]] for each in table_of_records([]).schema
    ]
    return _table(["column", "type", "meaning"], rows)


def _described(kind: Any, table: str) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """The columns of a table with their types, and with those that SQL sees."""
    with tempfile.TemporaryDirectory() as folder:
        store = kind(folder)
        store.write(SampleRun(run_uid="sample", records=[_ROW]))
        columns = [(each.name, each.type) for each in store.describe_table(table).columns]
        sql = store.query_sql(f"describe {table}").to_pylist()
    return columns, {each["column_name"]: each["column_type"] for each in sql}


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(each)} |\n" for each in lines)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
