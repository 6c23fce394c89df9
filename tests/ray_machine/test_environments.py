"""What the journal does not keep comes from clients of the scope, and of several the last one counts."""

from __future__ import annotations

from checkmaite.jobs.spi import StoreSpec, Terms
from checkmaite.jobs_ray._machine._book import JobBook
from checkmaite.jobs_ray._machine._registry import RegistryMachine
from checkmaite.jobs_ray._messages import Context

from tests.ray_machine.making import draft, limits


def context(token: str) -> Context:
    store = StoreSpec("parquet", {"uri": "s3://bucket", "storage_options": {"token": token}})
    return Context(Terms(store=store, facts={}), None)


def after_a_loss() -> RegistryMachine:
    """A registry that has read a journal with a job of each of the scopes s and t, of contexts of the same shape."""
    before = RegistryMachine(limits())
    for scope in "st":
        job = draft(f"job of {scope}")._replace(scope=scope, context=f"context of {scope}")
        before.submit([job], {job.context: context("before")}, 1_000.0)
    book = JobBook()
    for event in before.book.take_events():
        book.apply(event)
    return RegistryMachine(limits(), book=book)


def placed(machine: RegistryMachine) -> dict[str, str]:
    """The jobs that can start, and the tokens that their workers get."""
    machine.grant("a", 1_000.0)
    return {
        launch.draft.job_id: launch.context.terms.store.options["storage_options"]["token"]
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
