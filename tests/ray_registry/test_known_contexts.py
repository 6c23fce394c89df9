"""What the journal does not keep comes from clients of the scope, and of several the last one counts."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from attrs import evolve
from checkmaite.jobs.spi import ArtifactFolder, Code, StoreSpec, Terms
from checkmaite.jobs_ray.journal.schema import REDACTED
from checkmaite.jobs_ray.registry.model.contexts import redacted_context, whole_context
from checkmaite.jobs_ray.registry.model.events import Event, Introduced
from checkmaite.jobs_ray.registry.model.job_table import JobTable
from checkmaite.jobs_ray.registry.model.machine import RegistryMachine
from checkmaite.jobs_ray.wire import Context

from tests.ray_registry.making import limits, spec


def context(token: str) -> Context:
    store = StoreSpec("parquet", {"uri": "s3://bucket", "storage_options": {"token": token}})
    return Context(Terms(store=store, facts={}), None)


def after_a_loss() -> RegistryMachine:
    """A registry that has read a journal with a job of each of the scopes s and t, of contexts that look the same."""
    before = RegistryMachine(limits())
    for scope in "st":
        job = spec(f"job of {scope}")._replace(scope=scope, context=f"context of {scope}")
        before.submit([job], {job.context: context("before")}, 1_000.0)
    table = JobTable()
    for event in before.table.take_events():
        table.apply(event)
    return RegistryMachine(limits(), table=table)


def placed(machine: RegistryMachine) -> dict[str, str]:
    """The jobs that can start, and the tokens that their workers get."""
    machine.grant("a", 1_000.0)
    return {
        launch.spec.job_id: launch.context.terms.store.options["storage_options"]["token"]
        for assignment in machine.place(["a"], 100, 1_000.0)
        for launch in assignment.launches
    }


def test_a_scope_gets_nothing_of_another() -> None:
    machine = after_a_loss()
    machine.offer("t", context("of t"))
    machine.offer("unknown", context("of nobody"))
    assert placed(machine) == {"job of t": "of t"}


def test_the_last_offer_counts() -> None:
    machine = after_a_loss()
    for token in ("expired", "fresh"):
        machine.offer("s", context(token))
    assert placed(machine) == {"job of s": "fresh"}


def test_how_long_results_wait_for_a_store_is_as_it_was_submitted() -> None:
    """Also where the next client of the scope has chosen another time."""
    store = context("secret").terms.store
    before = Context(Terms(store=evolve(store, retry_s=None), facts={}), None)
    row = json.loads(json.dumps(REDACTED.row(redacted_context(before))))
    assert whole_context(REDACTED.value(row), context("secret")) == before
    del row["store"]["retry_s"]
    assert whole_context(REDACTED.value(row), before) == context("secret"), (
        "journals that were written before it was an option"
    )


def test_documents_that_were_to_be_private_still_are_after_a_loss() -> None:
    artifacts = ArtifactFolder(uri="/shared/documents", private_files=True)
    before = Context(Terms(store=StoreSpec("null", {}, artifacts), facts={}), None)
    row = json.loads(json.dumps(REDACTED.row(redacted_context(before))))
    assert whole_context(REDACTED.value(row)) == before


@pytest.mark.parametrize("code", [None, Code("digest", ("folder", "script"), (("file", "content"),))])
def test_a_job_that_waited_when_its_cluster_was_lost_runs_the_code_that_it_was_submitted_with(
    code: Code | None,
) -> None:
    before = Context(Terms(store=StoreSpec("null", {}), facts={}, code=code), None)
    row = json.loads(json.dumps(REDACTED.row(redacted_context(before))))
    assert whole_context(REDACTED.value(row)) == before
    if code is None:
        assert "code" not in row, "as in journals that were written before codes were"


def test_the_context_of_jobs_that_follow_each_other_is_written_once() -> None:
    """With it workers are told of the submitter's code, in up to 32 KB."""
    machine = RegistryMachine(limits())
    for number in range(3):
        run_and_cancel(machine, f"job {number}", "mine")
    assert introductions(machine.table.take_events()) == ["mine"]
    assert machine.contexts() == [], "secrets, and the code that they name, are not kept for a job that may never come"


def test_of_contexts_without_a_live_job_the_last_introduced_are_remembered_by_all_who_read_the_journal() -> None:
    machine = RegistryMachine(limits())
    for number in range(10):
        run_and_cancel(machine, f"job {number}", f"context {number}")
    events = machine.table.take_events()
    known = machine.table.redacted_contexts.items()
    assert [name for name, _ in known] == [f"context {number}" for number in range(2, 10)]
    table = JobTable()
    for event in events:
        table.apply(event)
    table.take_events()
    assert table.redacted_contexts.items() == known
    for again in (machine, RegistryMachine(limits(), table=table)):
        run_and_cancel(again, "one more", "context 0")
        assert introductions(again.table.take_events()) == ["context 0"]


def run_and_cancel(machine: RegistryMachine, job_id: str, name: str) -> None:
    """A job that has this context, and is final."""
    job = spec(job_id)._replace(context=name)
    machine.submit([job], {name: context("secret")}, 1_000.0)
    assert machine.cancel(job.scope, job.job_id, 0.0, 1_000.0)
    machine.tick(1_000.0)


def introductions(events: Sequence[Event]) -> list[str]:
    return [event.context for event in events if isinstance(event, Introduced)]
