"""What a run may give to store, and what is refused before anything is written."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from attrs import frozen
from checkmaite.jobs import (
    JobFailedError,
    Record,
    RecordError,
    configure_job_backend,
    shutdown_job_backend,
    submit_capability,
)
from checkmaite.jobs.spi import ColumnType, fitted, run_tables, table_rows
from checkmaite.jobs.testing import SampleRun

NOW = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)


class Level(IntEnum):
    HIGH = 3


class Wrapped(Enum):
    NESTED = Level.HIGH


class Shout(str):
    __slots__ = ()

    def __str__(self) -> str:
        return self.upper()


def column(*values: object) -> tuple[ColumnType | None, list[Any]]:
    """The type that mappings with these values give their column, and what is stored."""
    (table,) = table_rows([{"table_name": "t", "x": value} for value in values], run_uid="u")
    return table.columns.get("x"), [row.get("x") for row in table.rows]


def refusal(*values: object) -> str:
    with pytest.raises(RecordError) as caught:
        column(*values)
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "kind", "stored"),
    [
        ((1, 0.5), ColumnType.FLOAT, [1.0, 0.5]),
        ((0.5, 1), ColumnType.FLOAT, [0.5, 1.0]),
        ((0.5, 2**53 + 2), ColumnType.FLOAT, [0.5, 2.0**53 + 2]),
        ((2**53 + 1, -(2**63)), ColumnType.INT, [2**53 + 1, -(2**63)]),
        ((math.nan, "text"), ColumnType.TEXT, [None, "text"]),
        (("text", math.nan), ColumnType.TEXT, ["text", None]),
        ((math.nan, NOW), ColumnType.INSTANT, [None, NOW]),
        ((NOW.date(), math.nan), ColumnType.DATE, [NOW.date(), None]),
        ((True, math.nan), ColumnType.BOOL, [True, None]),
        ((Level.HIGH, Wrapped.NESTED), ColumnType.INT, [3, 3]),
        ((Shout("quiet"),), ColumnType.TEXT, ["quiet"]),
        ((Path("a/b"),), ColumnType.TEXT, [str(Path("a/b"))]),
        ((UUID(int=1),), ColumnType.TEXT, [str(UUID(int=1))]),
        ((datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=2))),), ColumnType.INSTANT, None),
        ((datetime.max.replace(tzinfo=UTC),), ColumnType.INSTANT, [datetime.max.replace(tzinfo=UTC)]),
        ((None, None), None, [None, None]),
    ],
)
def test_what_is_stored(given: tuple[object, ...], kind: ColumnType | None, stored: list[Any] | None) -> None:
    found, values = column(*given)
    assert found is kind
    assert values == (stored or [datetime(2025, 12, 31, 23, tzinfo=UTC)])
    assert [type(value) for value in values if stored] == [type(value) for value in stored or ()]


def test_a_column_of_nothing_but_nan_is_one_of_floats() -> None:
    for given in ((math.nan, None), (math.nan, 1)):
        kind, values = column(*given)
        assert kind is ColumnType.FLOAT
        assert math.isnan(values[0])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((0.5, 2**53 + 1), "records[1].x: 9007199254740993 is not exact as a float"),
        ((0.5, 10**400), "is not exact as a float"),
        ((2**63,), "does not fit in 64 bits"),
        ((1, True), "True is bool, but the column is int64"),
        ((True, 0), "0 is int64, but the column is bool"),
        ((NOW.date(), NOW), "is timestamp[us, UTC], but the column is date"),
        ((NOW, NOW.date()), "is date, but the column is timestamp[us, UTC]"),
        ((1, "1"), "the text '1' is string, but the column is int64"),
        ((Decimal("0.1"),), "is a Decimal, which no column keeps exactly. Store float(value), or str(value)"),
        ((timedelta(1),), "is a duration, which no column holds. Store its seconds"),
        (("half \ud800 of it",), "holds a lone surrogate (at 5)"),
        ((datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),), "outside the years 1 to 9999"),
        ((datetime(2026, 1, 1),), "is naive"),  # noqa: DTZ001 - on purpose
        ((1j,), "a complex cannot be stored"),
        (([1],), "a list cannot be stored"),
        ((object(),), "an object cannot be stored"),
    ],
)
def test_what_is_refused(given: tuple[object, ...], said: str) -> None:
    message = refusal(*given)
    assert f"records[{len(given) - 1}].x: " in message
    assert said in message


@pytest.mark.parametrize("name", ["__filename", "__fragment_index", "__x", "a\0b", "a\nb", "\ud800", "", 3, None])
def test_names_that_readers_mix_up_are_refused(name: Any) -> None:
    with pytest.raises(RecordError, match=r"records\[1\]"):
        table_rows([{"table_name": "t", "x": 1}, {"table_name": "t", name: 1}], run_uid="u")


@pytest.mark.parametrize("name", ["a b", "ünï", "a.b", "filename", "_x", "score (mean)", "*"])
def test_other_names_are_fine(name: str) -> None:
    (table,) = table_rows([{"table_name": "t", name: 1}], run_uid="u")
    assert table.columns[name] is ColumnType.INT


@frozen
class Whole(Record):
    table_name = "t"
    score: int


@frozen
class Real(Record):
    table_name = "t"
    score: float


def test_records_that_declare_whole_numbers_and_floats_agree_on_floats() -> None:
    for records in ([Whole(1), Real(0.5)], [Real(0.5), Whole(1)]):
        (table,) = table_rows(records, run_uid="u")
        assert table.columns["score"] is ColumnType.FLOAT
        assert {row["score"] for row in table.rows} == {1.0, 0.5}


def half_way(error: BaseException) -> Iterator[Any]:
    yield {"table_name": "t", "x": [1]}
    yield {"table_name": "t", "x": 1}
    raise error


class Hostile:
    @property
    def table_name(self) -> str:
        raise LookupError("no table for you")


class ScalarThatRaises:
    shape = ()

    def item(self) -> float:
        raise RuntimeError("the device is gone")


@pytest.mark.parametrize(
    ("records", "paths"),
    [
        (None, ["extract(): returned None"]),
        ("text", ["extract(): returned a str"]),
        ({"table_name": "t"}, ["extract(): returned a dict"]),
        (3, ["extract(): returned an int"]),
        (
            lambda: half_way(ValueError("lost")),
            ["records[0].x: a list", "records[2]: ValueError was raised there: lost."],
        ),
        ([{"table_name": "t"}, None], ["records[1]: NoneType is not a record"]),
        ([Hostile()], ["records[0]"]),
        ([{"table_name": "t", "x": ScalarThatRaises()}], ["records[0]: RuntimeError was raised there: the device"]),
    ],
)
def test_what_extract_may_not_give(records: Any, paths: list[str]) -> None:
    run = SampleRun(run_uid="u", records=records() if callable(records) else records)
    with pytest.raises(RecordError) as caught:
        run_tables(run)
    for path in paths:
        assert path in str(caught.value)


def test_a_generator_that_raises_keeps_its_cause_and_lets_the_worker_s_own_trouble_through() -> None:
    error = ValueError("lost")
    with pytest.raises(RecordError) as caught:
        table_rows(half_way(error), run_uid="u")
    assert caught.value.__cause__ is error
    for other in (MemoryError(), KeyboardInterrupt()):
        with pytest.raises(type(other)):
            table_rows(half_way(other), run_uid="u")


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (None, "run: None is no run"),
        ({"score": 1}, "run: a dict is no run"),
        (SampleRun(run_uid=""), "run.run_uid: is the text ''"),
        (SampleRun(run_uid=" \t"), "run.run_uid: is the text ' \\t'"),
        (SampleRun(run_uid="\ud800"), "run.run_uid: holds a lone surrogate"),
        (SampleRun(run_uid="one\n"), r"run.run_uid: holds a character that nobody sees, '\n' at 3"),
        (SampleRun(run_uid="o\u200bne"), r"run.run_uid: holds a character that nobody sees, '\u200b' at 1"),
        (SampleRun(run_uid="é" * 513), "run.run_uid: is 1,026 bytes long, and at most 1,024"),
        (SampleRun(run_uid="u", capability_id="\0"), r"run.capability_id: holds a character that nobody sees, '\x00'"),
        (SampleRun(run_uid="u", capability_id=None), "run.capability_id: is None"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_run(run: Any, said: str) -> None:
    with pytest.raises(RecordError) as caught:
        run_tables(run)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 500


class ReturnsNothing:
    id = "nothing"

    def run(self, **_: Any) -> None: ...


def test_a_job_whose_run_returns_none_says_so() -> None:
    configure_job_backend("inline", analytics_store={"backend": "null"})
    with pytest.raises(JobFailedError, match="run: None is no run") as caught:
        submit_capability(ReturnsNothing()).result(30)
    assert caught.value.error_type == "checkmaite.jobs.RecordError"
    shutdown_job_backend()


def test_rows_are_fitted_to_the_columns_of_a_table() -> None:
    (table,) = table_rows(
        [{"table_name": "t", "a": 1, "b": math.nan, "c": 0.5}, {"table_name": "t", "a": 2}], run_uid="u"
    )
    known = {"a": ColumnType.FLOAT, "b": ColumnType.TEXT, "c": ColumnType.INT, "gone": ColumnType.DATE}
    fit, problems = fitted(table, known)
    assert problems == []
    assert fit.columns == {
        "run_uid": ColumnType.TEXT,
        "a": ColumnType.FLOAT,
        "b": ColumnType.TEXT,
        "c": ColumnType.FLOAT,
    }
    assert fit.rows == ({"run_uid": "u", "a": 1.0, "b": None, "c": 0.5}, {"run_uid": "u", "a": 2.0, "b": None})
    _, (problem,) = fitted(table, {"a": ColumnType.TEXT})
    assert (problem.path, "is int64 in this run, but string" in problem.cause) == ("t.a", True)
    (large,) = table_rows([{"table_name": "t", "a": 2**53 + 1}], run_uid="u")
    _, (problem,) = fitted(large, known)
    assert problem.path == "t[0].a"


def test_numpy_values_are_what_they_hold() -> None:
    np = pytest.importorskip("numpy")
    assert column(np.float32(0.5), np.int8(1)) == (ColumnType.FLOAT, [0.5, 1.0])
    assert column(np.bool_(True)) == (ColumnType.BOOL, [True])
    assert column(np.str_("a"), np.datetime64("NaT"), np.timedelta64("NaT"), np.ma.masked) == (
        ColumnType.TEXT,
        ["a", None, None, None],
    )
    assert column(np.datetime64("2026-01-02")) == (ColumnType.DATE, [date(2026, 1, 2)])
    assert column(np.array(3)) == (ColumnType.INT, [3])
    for unit in ("ns", "us", "s", "ps"):
        assert "NumPy datetime, which does not say in which time zone" in refusal(np.datetime64("2026-01-02T03", unit))
        assert "is a duration" in refusal(np.timedelta64(1, unit))
    assert "NumPy datetime" in refusal(np.datetime64("20000-01-01"))
    assert "does not fit in 64 bits" in refusal(np.uint64(2**63))
    assert "cannot be stored" in refusal(np.longdouble(1))
    assert "cannot be stored" in refusal(np.array([1]))


def test_pandas_values_are_what_they_hold() -> None:
    pd = pytest.importorskip("pandas")
    assert column(pd.NA, "a", pd.NaT) == (ColumnType.TEXT, [None, "a", None])
    kind, (stored, missing) = column(pd.Timestamp("2026-01-02T03:04:05.000006", tz="UTC"), pd.NaT)
    assert (kind, stored, type(stored), missing) == (ColumnType.INSTANT, NOW, datetime, None)
    assert "has nanoseconds" in refusal(pd.Timestamp("2026-01-02T03:04:05.000000001", tz="UTC"))
    assert "is naive" in refusal(pd.Timestamp("2026-01-02"))
    assert "is a duration" in refusal(pd.Timedelta(1, "s"))
    frame = pd.DataFrame({"table_name": "t", "n": [1, None], "s": ["x", None], "at": [pd.Timestamp(NOW), None]})
    (table,) = table_rows(frame.to_dict("records"), run_uid="u")
    assert [table.columns[name] for name in ("n", "s", "at")] == [ColumnType.FLOAT, ColumnType.TEXT, ColumnType.INSTANT]
    assert table.rows[1]["s"] is table.rows[1]["at"] is None


@pytest.mark.parametrize("annotation", [str, bytes, bool, date, datetime])
def test_nan_is_null_in_a_declared_column_that_holds_no_numbers(annotation: type) -> None:
    record = frozen(type("Declared", (Record,), {"table_name": "t", "__annotations__": {"x": annotation}}))
    (table,) = table_rows([record(math.nan)], run_uid="u")
    assert table.rows[0]["x"] is None
