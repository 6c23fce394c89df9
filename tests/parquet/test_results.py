"""What a job's ref says is what the store holds: of one attempt, whoever asks and whatever came between."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, frozen
from checkmaite.jobs import (
    CapabilityRunRef,
    JobFailedError,
    JobStatus,
    Reuse,
    configure_job_backend,
    shutdown_job_backend,
    submit_capability,
)
from checkmaite.jobs._shared.news import Reporter
from checkmaite.jobs._shared.provenance import SHARED_FIELDS
from checkmaite.jobs._workers.execution import carry_out
from checkmaite.jobs._workers.interrupt import Interrupt
from checkmaite.jobs.spi import Completed, Failed, Outcome, StoreSpec, Terms, WorkOrder, stored_runs
from checkmaite.jobs.testing import SampleRecord, SampleRun
from checkmaite.store_parquet import ParquetStore


@frozen
class Drawn(SampleRun):
    """A run whose row, report and outputs all say the one number that it has drawn."""

    number: float = 0.0
    long: int = 1

    @property
    def outputs_uri(self) -> str:
        return f"/outputs/{self.number}"

    def collect_md_report(self, threshold: float) -> str:
        return f"{self.number}\n" * self.long


class Draws:
    """Computes another number each time. Its uid is known before, unless it is told to say nothing."""

    id = "draws"

    class _RUN_TYPE:  # noqa: N801 - the name that such classes have
        @staticmethod
        def compute_uid(config: Any, **_: Any) -> str:
            return str(config)

    def __init__(self, *, long: int = 1) -> None:
        self.long = long

    def run(self, *, config: Any, **_: Any) -> Drawn:
        number = random.random()
        records = [SampleRecord("model-1", number)]
        return Drawn(run_uid=str(config), capability_id=self.id, records=records, number=number, long=self.long)


def number_of(ref: CapabilityRunRef) -> float:
    """The number in the ref's report, once outputs and rows have been seen to be of the same attempt."""
    number = float(ref.open_report().read().split()[0])
    assert ref.outputs_uri == f"/outputs/{number}"
    return number


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ParquetStore]:
    """The store of the configured backend."""
    uri = str(tmp_path / "store")
    configure_job_backend("inline", analytics_store={"backend": "parquet", "uri": uri})
    yield ParquetStore(uri)
    shutdown_job_backend()


def rows(store: ParquetStore, **options: Any) -> list[float]:
    return sorted(store.read_table("sample_scores", **options).column("score").to_pylist())


@pytest.mark.parametrize("long", [1, 2_000, 20_000], ids=["in the commit", "beside it", "an artifact"])
def test_a_forced_run_is_readable_and_later_jobs_get_its_ref(store: ParquetStore, long: int) -> None:
    first = submit_capability(Draws(long=long), config="run").result(30)
    forced = submit_capability(Draws(long=long), config="run", force=True)
    second = forced.result(30)
    assert [first.revision, second.revision] == [1, 2]
    assert rows(store) == [number_of(second)]
    assert rows(store, revision=1) == [number_of(first)]
    assert "revision 2 of the run" in forced.explain()
    again = submit_capability(Draws(long=long), config="run")
    assert again.result(30) == second
    assert f"REUSED: {forced.job_id}" in again.explain()


# -- attempts of one job, as workers carry them out -------------------------------------------------------------------


def order(job_id: str, uri: str, *, run_uid: str | None, force: bool = False) -> WorkOrder:
    return WorkOrder(
        job_id=job_id,
        submitted_at=datetime(2026, 1, 2, tzinfo=UTC),
        run_uid=run_uid,
        reuse="never" if force else "auto",
        report_threshold=0.5,
        prints=None,
        terms=Terms(store=StoreSpec("parquet", {"uri": uri}), facts=dict.fromkeys(SHARED_FIELDS)),
    )


def attempt(store: Any, given: WorkOrder, long: int = 1) -> Outcome:
    return carry_out(
        given,
        load=lambda _: (Draws(long=long), None, None, None, "run"),
        open_store=lambda: store,
        reporter=Reporter(given.job_id, None),
        interrupt=Interrupt(),
    )


def completed(outcome: Outcome) -> Completed:
    assert isinstance(outcome, Completed), outcome
    return outcome


@pytest.mark.parametrize("known", [True, False], ids=["uid known", "uid unknown"])
@pytest.mark.parametrize("force", [False, True], ids=["plain", "forced"])
@pytest.mark.parametrize("long", [1, 20_000], ids=["small", "large"])
def test_a_second_attempt_gives_what_the_first_one_stored(
    store: ParquetStore, known: bool, force: bool, long: int
) -> None:
    """The first was killed after its commit, before anybody heard of it."""
    if force:
        attempt(store, order("before", store.uri, run_uid="run"))
    given = order("job", store.uri, run_uid="run" if known else None, force=force)
    first = completed(attempt(store, given, long))
    assert first.ref.revision == 1 + force
    second = completed(attempt(store, given, long))
    assert second.ref == first.ref
    assert rows(store) == [number_of(second.ref)]
    assert (second.reuse, second.notes[0][:50]) == (Reuse(), "An earlier attempt of this job had stored the run;")
    dropped = [line for line in second.notes[0].split(". ") if "/outputs/" in line]
    assert bool(dropped) is not known, "what the second one wrote by itself is named as nobody's"
    assert first.ref.outputs_uri not in second.notes[0]
    reports = list(Path(store.uri, "_artifacts").rglob("report.md"))
    assert len(reports) == (long > 1), "the loser's report is gone"
    assert all(each.parent.name.startswith("job-") for each in reports), "what stays says whose it is"
    found = stored_runs(given.terms.written, [("draws", given.to_wire()[1:])])
    assert found["job"].ref == first.ref, "a registry that is started anew finds the same"


def test_a_job_that_comes_second_says_whose_results_it_has(store: ParquetStore) -> None:
    first = completed(attempt(store, order("first", store.uri, run_uid=None)))
    late = completed(attempt(store, order("late", store.uri, run_uid=None)))
    assert late.ref == first.ref
    (note,) = late.notes
    told = "first stored the run first: these are its results; what this job computed was dropped. Its outputs in "
    assert note.startswith(told)
    assert first.ref.outputs_uri not in note


def test_each_forced_job_has_a_result_of_its_own_and_is_found_by_it(store: ParquetStore) -> None:
    orders = [order(f"job-{number}", store.uri, run_uid="run", force=True) for number in range(3)]
    refs = [completed(attempt(store, each)).ref for each in orders]
    assert [ref.revision for ref in refs] == [1, 2, 3]
    found = stored_runs(orders[0].terms.written, [("draws", each.to_wire()[1:]) for each in orders])
    assert [found[each.job_id].ref for each in orders] == refs
    unknown = [evolve(each, run_uid=None) for each in orders]
    found = stored_runs(orders[0].terms.written, [("draws", each.to_wire()[1:]) for each in unknown])
    assert [found[each.job_id].ref for each in orders] == refs
    never = order("never", store.uri, run_uid="run", force=True)
    assert stored_runs(never.terms.written, [("draws", never.to_wire()[1:])]) == {}


# -- a store that keeps one result of a run ---------------------------------------------------------------------------


class OneResult:
    """A third party's store, written before there were revisions."""

    def __init__(self, store: ParquetStore) -> None:
        self._store, self.uri = store, store.uri

    def write_with_receipt(self, run: Any, *, provenance: Any = None) -> Any:
        return self._store.write_with_receipt(run, provenance=provenance)

    def get_run_uri(self, run_uid: str) -> str | None:
        return self._store.get_run_uri(run_uid)

    def read_table(self, name: str, *, columns: Any = None, run_uids: Any = None, limit: Any = None) -> Any:
        return self._store.read_table(name, columns=columns, run_uids=run_uids, limit=limit)


@pytest.mark.parametrize("known", [True, False], ids=["uid known", "uid unknown"])
def test_a_store_without_revisions_refuses_a_second_result(store: ParquetStore, known: bool) -> None:
    """Rather than dropping its rows without a word; but it knows a job's own result again."""
    one = OneResult(store)
    forced = order("forced", store.uri, run_uid="run" if known else None, force=True)
    first = completed(attempt(one, forced))
    again = completed(attempt(one, forced))
    assert (again.ref.run_uid, again.ref.store_uri) == ("run", first.ref.store_uri)
    assert again.ref.report is None, "its report was kept nowhere, and that of another attempt is not its own"
    assert "An earlier attempt of this job had stored the run" in again.notes[0]
    second = attempt(one, order("second", store.uri, run_uid="run" if known else None, force=True))
    assert isinstance(second, Failed)
    assert (second.error_type, second.phase) == ("checkmaite.jobs.StoreConflictError", "write")
    assert "keeps one result of a run: another would be lost. Leave out force=True" in second.error_message
    assert len(rows(store, revision="all")) == 1


def test_a_store_without_revisions_gives_no_report_of_another_attempt(store: ParquetStore) -> None:
    one = OneResult(store)
    attempt(one, order("first", store.uri, run_uid=None))
    late = completed(attempt(one, order("late", store.uri, run_uid=None)))
    assert (late.ref.report, late.ref.outputs_uri) == (None, None)
    assert "stored the run first" in late.notes[0]
    assert "keeps no reports" in late.notes[0]


def test_a_run_that_cannot_be_stored_leaves_no_report(store: ParquetStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Drawn, "extract", lambda self: [{"table_name": "t", "x": [1]}])
    job = submit_capability(Draws(long=20_000), config="run")
    assert job.wait(30) is JobStatus.FAILED
    assert isinstance(job.exception(0), JobFailedError)
    assert list(Path(store.uri).rglob("report*")) == []
