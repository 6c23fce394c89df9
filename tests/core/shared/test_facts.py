"""Errors, refs, provenance, run keys, versions and records: the parts without I/O."""

from __future__ import annotations

import dataclasses
import io
import pickle
import sys
import weakref
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from types import SimpleNamespace
from typing import Any, Literal

import checkmaite.jobs as jobs
import pytest
from attrs import evolve, frozen
from checkmaite.jobs import (
    CapabilityRunRef,
    IncompatibleVersionError,
    JobsError,
    JobStatus,
    Problem,
    Record,
    RecordError,
    configure_provenance,
    get_provenance_defaults,
    report_progress,
    reset_provenance,
)
from checkmaite.jobs._shared.news import News, Progressed, Reporter, Started
from checkmaite.jobs._shared.running import reporting, teed
from checkmaite.jobs._submitters.run_key import run_key
from checkmaite.jobs.spi import ColumnType, StoreSpec, Terms, check_versions, table_rows, terms_of, versions_here
from hypothesis import given
from hypothesis import strategies as st

SAMPLES: dict[str, dict[str, Any]] = {
    "JobTimeoutError": {},
    "JobCancelledError": {"job_id": "job-1"},
    "JobFailedError": {"job_id": "job-1", "error_type": "ValueError", "error_message": "no", "traceback_text": "tb"},
    "JobLostError": {"job_id": "job-1", "error_type": "ValueError", "error_message": "no"},
    "BackpressureError": {"retry_after_s": 2.0},
    "UnconfirmedError": {"job_ids": ("job-1", "job-2")},
    "JobSubmissionError": {"phase": "validate", "problems": [Problem("a", "b", "c")]},
    "StaleResultError": {"phase": "reuse", "problems": [Problem("a", "b", "c")]},
    "ConfigurationError": {"problems": [Problem("a", "b", "c")]},
    "IncompatibleVersionError": {"here": "1", "there": "2"},
    "MissingDependencyError": {"requirement": "x[y]"},
    "RecordError": {"problems": [Problem("a", "b", "c")]},
    "StoreError": {"uri": "s3://bucket"},
}


def error_types() -> list[type[JobsError]]:
    exported = (getattr(jobs, name) for name in jobs.__all__)
    return [each for each in exported if isinstance(each, type) and issubclass(each, JobsError)]


@pytest.mark.parametrize("kind", error_types(), ids=lambda kind: kind.__name__)
def test_every_error_survives_pickling(kind: type[JobsError]) -> None:
    if kind.__name__ == "JobNotFoundError":
        error: JobsError = jobs.JobNotFoundError("job-1", where="here")
    else:
        error = kind("what happened", **SAMPLES.get(kind.__name__, {}))
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert (str(again), again.__dict__) == (str(error), error.__dict__)


def test_standard_errors_are_second_parents() -> None:
    assert issubclass(jobs.JobTimeoutError, TimeoutError)
    assert issubclass(jobs.JobNotFoundError, KeyError)
    assert str(jobs.JobNotFoundError("job-1", where="here")).startswith("no job")


@pytest.mark.parametrize("status", JobStatus)
def test_a_final_status_becomes_nothing(status: JobStatus) -> None:
    assert status.is_final is not any(status.may_become(later) for later in JobStatus)


@given(st.text(), st.text(), st.none() | st.text())
def test_a_run_ref_round_trips_through_json(run_uid: str, capability_id: str, report: str | None) -> None:
    ref = CapabilityRunRef(run_uid=run_uid, capability_id=capability_id, report=report)
    assert CapabilityRunRef.from_json(ref.to_json()) == ref


def test_provenance_comes_from_the_call_then_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHECKMAITE_PROVENANCE_USER_ID", "from-environment")
    monkeypatch.setenv("CHECKMAITE_PROVENANCE_EXECUTOR", "")
    assert (get_provenance_defaults().user_id, get_provenance_defaults().executor) == ("from-environment", None)
    assert configure_provenance(user_id="from-call").user_id == "from-call"
    assert configure_provenance(user_id=None).user_id == "from-environment"
    reset_provenance()


class Plain:
    id = "plain"


def thing(name: str) -> SimpleNamespace:
    return SimpleNamespace(metadata={"id": name})


@dataclasses.dataclass
class Settings:
    depth: int
    names: tuple[str, ...] = ("a",)


def test_run_keys_tell_runs_apart_and_know_the_same_again() -> None:
    one = run_key(Plain(), models=[thing("m")], datasets=[thing("d")], config={"b": 1, "a": [1.5, None]})
    same = run_key(Plain(), models=[thing("m")], datasets=(thing("d"),), config={"a": [1.5, None], "b": 1})
    assert one == same
    assert one.run_uid is None
    others = [
        run_key(Plain(), models=[thing("d")], datasets=[thing("m")], config={"b": 1, "a": [1.5, None]}),
        run_key(Plain(), models=[thing("m")], datasets=[thing("d")], config=Settings(1)),
        run_key(Plain(), models=[thing("m")], datasets=[thing("d")], config=Settings(2)),
    ]
    assert len({key.value for key in [one, *others]}) == 4


def test_a_run_class_that_computes_uids_makes_the_run_known_before() -> None:
    class RunType:
        @staticmethod
        def compute_uid(**given: Any) -> str:
            return f"{given['capability_id']}-{given['model_metadata'][0]['id']}-{len(given['metric_metadata'])}"

    class Computes(Plain):
        _RUN_TYPE = RunType

    key = run_key(Computes(), models=[thing("m")])
    assert key.value == key.run_uid == "plain-m-0"


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"protocol": 99}, "Upgrade checkmaite-jobs-core on the worker"),
        ({"protocol": 0}, "Upgrade checkmaite-jobs-core on the submitter"),
        ({"core": "9.9.1"}, "Upgrade checkmaite-jobs-core on the worker"),
        ({"python": "2.7"}, "same Python minor version"),
    ],
)
def test_versions_that_do_not_fit_say_which_side_to_change(change: dict[str, Any], advice: str) -> None:
    there = evolve(versions_here(), **change)
    with pytest.raises(IncompatibleVersionError, match=advice):
        check_versions(there, this_side="worker", other_side="submitter")


def test_patch_releases_fit_each_other() -> None:
    there = evolve(versions_here(), core=versions_here().core + "9")
    check_versions(there, this_side="worker", other_side="submitter")


class Level(Enum):
    LOW = "low"


@frozen
class Declared(Record):
    table_name = "declared"

    real: float
    when: datetime
    day: date
    level: Level
    kind: Literal["a", "b"]
    maybe: int | None = None


def test_declared_types_win_over_values() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    (table,) = table_rows([Declared(1, now, date(2026, 1, 1), Level.LOW, "a")], run_uid="u")
    assert table.columns == {
        "run_uid": ColumnType.TEXT,
        "real": ColumnType.FLOAT,
        "when": ColumnType.INSTANT,
        "day": ColumnType.DATE,
        "level": ColumnType.TEXT,
        "kind": ColumnType.TEXT,
        "maybe": ColumnType.INT,
    }
    assert (table.rows[0]["real"], table.rows[0]["level"]) == (1.0, "low")


def test_mappings_are_typed_by_all_of_their_values() -> None:
    rows = [{"table_name": "t", "x": 1, "n": None}, {"table_name": "t", "x": 1.5, "n": None}]
    (table,) = table_rows(rows, run_uid="u")
    assert table.columns == {"run_uid": ColumnType.TEXT, "x": ColumnType.FLOAT}
    assert [row["x"] for row in table.rows] == [1.0, 1.5]


@frozen
class Nested(Record):
    table_name = "nested"

    values: list[int]


def test_nested_declarations_are_refused() -> None:
    with pytest.raises(RecordError, match=r"records\[0\]\.values"):
        table_rows([Nested([1])], run_uid="u")


def test_a_stream_that_is_replaced_in_the_middle_of_a_print_lives_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11 holds no reference to the stream that ``print`` writes to, and crashes when it is gone."""
    below = io.StringIO()
    monkeypatch.setattr(sys, "stdout", below)
    with reporting(Reporter("job-1", None)), teed():
        printing = weakref.ref(sys.stdout)
        sys.stdout = below  # as a test runner does while a thread of the job prints
        assert printing() is not None
        sys.stdout = printing()
        sys.stdout.write("seen\n")
    assert sys.stdout is below
    assert below.getvalue() == "seen\n"


def test_of_many_progress_reports_the_newest_is_sent_with_the_time_at_which_it_was_made() -> None:
    sent: list[News] = []
    before = datetime.now(UTC)
    reporter = Reporter("job-1", lambda _, news: sent.extend(news), announce_after_s=3_600)
    with reporting(reporter):
        for done in range(3):
            report_progress(done, 3, f"step {done}")
    after = datetime.now(UTC)
    reporter.deliver(reporter._due_at)
    reporter.close()
    started, progressed = sent
    assert isinstance(started, Started)
    assert isinstance(progressed, Progressed)
    progress = progressed.progress
    assert (progress.done, progress.total, progress.message) == (2, 3, "step 2")
    assert progress.reported_at is not None
    assert before <= progress.reported_at <= after + timedelta(microseconds=1)  # which it may be rounded up by


@pytest.mark.parametrize(("workspace", "named"), [(None, "team-a"), ("mine", "mine")])
def test_a_scope_stands_for_a_workspace_that_nobody_named(workspace: str | None, named: str) -> None:
    given = jobs.Provenance(user_id="ann", workspace_id=workspace)
    terms = terms_of(given, backend="ray", store=StoreSpec("null"), scope="team-a")
    assert (terms.facts["workspace_id"], terms.facts["backend"], terms.facts["user_id"]) == (named, "ray", "ann")
    assert terms_of(evolve(given), backend="ray", store=StoreSpec("null"), scope="team-a") is terms
    assert Terms.read(terms.written) == terms
