"""What finished jobs were given, kept so that they can be run again: by a shell, with a real journal."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from checkmaite.jobs import (
    IncompatibleVersionError,
    JobSubmissionError,
    Resources,
    ReuseKind,
    StoreCorruptError,
    StoreUnavailableError,
)
from checkmaite.jobs.spi import Changes, CheckedChanges, ObjectStore, StoreSpec, Terms, TraceContext, checked_changes
from checkmaite.jobs_ray.client.again import ContextsHere, spec_again
from checkmaite.jobs_ray.config import RayRunOptions, RegistrySettings
from checkmaite.jobs_ray.journal.inputs import INPUTS, all_kept_inputs, inputs_of, kept_inputs
from checkmaite.jobs_ray.registry import input_keeper
from checkmaite.jobs_ray.registry.actor import Around, JobRegistry
from checkmaite.jobs_ray.registry.input_keeper import InputKeeper
from checkmaite.jobs_ray.registry.journal_writer import JournalWriter
from checkmaite.jobs_ray.registry.model.contexts import redacted_context
from checkmaite.jobs_ray.registry.model.events import Forgotten
from checkmaite.jobs_ray.registry.model.machine import RegistryMachine
from checkmaite.jobs_ray.registry.storage import Storage
from checkmaite.jobs_ray.wire import Context, JobSpec, StoredPayload

from tests.ray_registry.making import CONTEXT, CONTEXTS, ERROR, completed, limits, spec
from tests.ray_registry.rig import Rig, new_controller
from tests.ray_registry.test_session import Wire, WireCluster

LARGE = 100_000


class Kept:
    """A keeper, the jobs of a rig that it looks at, and its objects."""

    def __init__(self, folder: Path | None, **settings: Any) -> None:
        self.rig = Rig()
        self.objects = None if folder is None else ObjectStore(str(folder))
        self.storage = None if self.objects is None else Storage(self.objects)
        self.settings = RegistrySettings(**settings)
        self.begin()

    def begin(self) -> None:
        """A registry begins, with what is there."""
        names = self.names(INPUTS)
        self.keeper = InputKeeper(self.settings, self.rig.registry.table, self.storage, names)

    def end(self, *specs: JobSpec, outcome: Any = ERROR) -> None:
        """These jobs come and end, durably."""
        self.rig.submit(*specs)
        self.rig.go()
        for each in specs:
            self.rig.end(each.job_id, outcome)
        self.release()

    def release(self) -> list[str]:
        table = self.rig.registry.table
        ended, events, unneeded = table.take_ended(), table.take_events(), table.take_unneeded()
        self.keeper.note(ended, events)
        return self.keeper.released(unneeded)

    async def settled(self) -> None:
        await settled(self.keeper)

    def names(self, folder: str) -> list[str]:
        return [] if self.objects is None else sorted(self.objects.names(folder))

    def beside(self, job_id: str, size: int = LARGE) -> JobSpec:
        """A job whose payload is an object beside the journal."""
        assert self.objects is not None
        key = f"payload/{job_id}-nonce"
        self.objects.create(key, job_id.encode().ljust(size))
        return spec(job_id, payload=StoredPayload(key, size, ref="a copy in the cluster"))


async def settled(keeper: InputKeeper) -> None:
    """Everything is written and deleted that there is to write and delete."""
    while chores := [*keeper._chores]:
        await asyncio.gather(*chores)


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story())


@pytest.mark.parametrize("keep", ["failed", "all"])
def test_what_ended_jobs_were_given_is_kept_by_how_they_ended(tmp_path: Path, keep: str) -> None:
    async def story() -> None:
        kept = Kept(tmp_path, keep_inputs=keep)
        kept.end(spec("fails", payload=b"its payload"))
        kept.end(spec("completes"), outcome=completed())
        kept.rig.submit(spec("cancelled"))
        kept.rig.registry.cancel("scope", "cancelled", 0.0, kept.rig.now)
        kept.release()
        found = await kept.keeper.read("fails")
        assert found is not None, "it is told from memory until it is written"
        await kept.settled()
        kept.begin()
        for job_id in ("fails", "cancelled", *["completes"] * (keep == "all")):
            found = await kept.keeper.read(job_id)
            assert found is not None, job_id
            assert found[0].job_id == job_id
        found = await kept.keeper.read("fails")
        assert found == (spec("fails", payload=b"its payload"), redacted_context(CONTEXT))
        assert (await kept.keeper.read("completes") is None) == (keep == "failed")
        assert kept.rig.record("fails").spec.payload is None, "the record of a finished job stays as small as it was"

    run(story)


def test_a_large_payload_stays_where_it_is_until_nothing_needs_it(tmp_path: Path) -> None:
    async def story() -> None:
        kept = Kept(tmp_path)
        failed, done = kept.beside("fails"), kept.beside("completes")
        kept.rig.submit(failed, done)
        kept.rig.go()
        kept.rig.end("fails", ERROR)
        kept.rig.end("completes", completed())
        assert kept.release() == [done.payload.key]
        await kept.settled()
        (name,) = kept.names(INPUTS)
        assert "a copy in the cluster" not in str(all_kept_inputs([name]))

        kept.begin()
        found = await kept.keeper.read("fails")
        assert found is not None
        assert found[0].payload == b"fails".ljust(LARGE)
        kept.keeper.note([], [Forgotten("fails")])
        await kept.settled()
        assert (kept.names(INPUTS), kept.names("payload")) == ([], ["completes-nonce"]), "that one the shell deletes"

    run(story)


def test_payloads_in_one_object_stay_together_as_long_as_a_live_job_needs_one(tmp_path: Path) -> None:
    async def story() -> None:
        kept = Kept(tmp_path, max_kept_input_bytes=5 * 2**20)
        assert kept.objects is not None
        kept.objects.create("payload/pack", b"onetwo")
        one, two = (spec(name, payload=StoredPayload("payload/pack", 3, offset=3 * n)) for n, name in enumerate("ab"))
        kept.rig.submit(one, two)
        kept.rig.go()
        kept.rig.end("a", ERROR)
        assert kept.release() == []
        await kept.settled()
        kept.end(kept.beside("large", 2 * 2**20))
        await kept.settled()
        assert await kept.keeper.read("a") is None, "it had to make room"
        assert "pack" in kept.names("payload"), "b is live, and starts from it"
        kept.rig.end("b", completed())
        assert kept.release() == ["payload/pack"]

    run(story)


def test_what_is_kept_is_bounded_and_the_oldest_makes_room(tmp_path: Path) -> None:
    async def story() -> None:
        kept = Kept(tmp_path, max_kept_input_bytes=3 * LARGE)
        for name in "abcd":
            kept.end(kept.beside(name))
            await kept.settled()
        assert [name for name in "abcd" if await kept.keeper.read(name)] == ["c", "d"]
        assert kept.names("payload") == ["c-nonce", "d-nonce"]
        assert kept.keeper._bytes <= 3 * LARGE
        kept.end(kept.beside("too large", 4 * LARGE))
        assert kept.release() == []
        assert [name for name in ("c", "d", "too large") if await kept.keeper.read(name)] == ["c", "d"]
        before = kept.keeper._bytes
        kept.begin()
        assert kept.keeper._bytes == before, "a registry that begins counts the same"

    run(story)


def test_what_waits_to_be_written_is_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the registry's memory until then."""
    monkeypatch.setattr(input_keeper, "IN_MEMORY_BYTES", 3 * LARGE)

    async def story() -> None:
        kept = Kept(tmp_path)
        kept.end(*(spec(name, payload=bytes(LARGE)) for name in "abc"))
        await kept.settled()
        assert await kept.keeper.read("a") is not None
        assert await kept.keeper.read("c") is None, "two of them are as much as may wait"
        kept.end(spec("d", payload=bytes(LARGE)))
        await kept.settled()
        assert await kept.keeper.read("d") is not None, "there is room again"

    run(story)


def test_many_are_deleted_with_few_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, so that what else is asked of the storage comes between."""

    async def story() -> None:
        kept = Kept(tmp_path)
        names = [f"job{number}" for number in range(250)]
        for first in range(0, 250, 50):
            kept.end(*map(spec, names[first : first + 50]))
        await kept.settled()
        assert len(kept.names(INPUTS)) == 250
        asked: list[int] = []
        ask = kept.storage.ask if kept.storage is not None else None

        async def count(step: Any) -> Any:
            asked.append(len(step.keys))
            return await ask(step)  # type: ignore[misc]

        monkeypatch.setattr(kept.storage, "ask", count)
        kept.keeper.note([], [Forgotten(each) for each in names])
        await kept.settled()
        assert kept.names(INPUTS) == []
        assert asked == [200, 50]

    run(story)


def test_who_leads_no_more_writes_and_deletes_no_more(tmp_path: Path) -> None:
    async def story() -> None:
        kept = Kept(tmp_path)
        kept.end(spec("a"))
        kept.keeper.close()
        await asyncio.gather(*kept.keeper._chores, return_exceptions=True)
        assert kept.names(INPUTS) == []

    run(story)


def test_nothing_is_kept_where_there_is_to_be_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        kept = Kept(tmp_path, max_kept_input_bytes=0)
        failed = kept.beside("fails")
        kept.rig.submit(failed, spec("small"))
        kept.rig.go()
        kept.rig.end("fails", ERROR)
        kept.rig.end("small", ERROR)
        assert kept.release() == [failed.payload.key]
        await kept.settled()
        assert await kept.keeper.read("small") is None
        assert kept.names(INPUTS) == []

    run(story)


def test_without_a_journal_small_ones_are_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_keeper, "IN_MEMORY_BYTES", 10_000)

    async def story() -> None:
        kept = Kept(None)
        for name in "abcd":
            kept.end(spec(name, payload=name.encode().ljust(1_500)))
        kept.end(spec("elsewhere", payload=object()))
        found = {name: await kept.keeper.read(name) for name in ("a", "b", "c", "d", "elsewhere")}
        assert [name for name, inputs in found.items() if inputs] == ["c", "d"]

    run(story)


def test_a_registry_that_begins_finds_what_an_earlier_one_has_kept(tmp_path: Path) -> None:
    async def story() -> None:
        objects = ObjectStore(str(tmp_path))
        storage = Storage(objects)

        async def begun() -> tuple[JournalWriter, RegistryMachine, InputKeeper]:
            writer = JournalWriter(storage, name="r", address="here")
            machine = RegistryMachine(limits(), table=await writer.open())
            return writer, machine, InputKeeper(RegistrySettings(), machine.table, storage, writer.inputs_before)

        def large(job_id: str) -> JobSpec:
            objects.create(f"payload/{job_id}-nonce", job_id.encode().ljust(LARGE))
            return spec(job_id, payload=StoredPayload(f"payload/{job_id}-nonce", LARGE))

        writer, machine, keeper = await begun()
        machine.submit([large("listed"), large("live")], CONTEXTS, 1.0)
        machine.cancel("scope", "listed", 0.0, 1.0)
        ended, events = machine.table.take_ended(), machine.table.take_events()
        await writer.write(events, are_all=False)
        keeper.note(ended, events)
        await settled(keeper)
        objects.create("payload/nobodys", b"left behind")

        writer, machine, keeper = await begun()
        assert sorted(objects.names("payload")) == ["listed-nonce", "live-nonce"]
        found = await keeper.read("listed")
        assert found is not None
        assert found[0].payload == b"listed".ljust(LARGE)
        machine.table.apply(Forgotten("listed"))
        await writer.write(machine.table.take_events(), are_all=False)  # and it dies before it has deleted anything

        _, _, keeper = await begun()
        await settled(keeper)
        assert (sorted(objects.names("payload")), list(objects.names(INPUTS))) == (["live-nonce"], [])

    run(story)


@pytest.mark.parametrize("retryable", [True, False])
def test_what_cannot_be_written_is_tried_again_or_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, retryable: bool
) -> None:
    monkeypatch.setattr(input_keeper, "_AGAIN_S", 0)

    async def story() -> None:
        kept = Kept(tmp_path)
        assert kept.storage is not None
        write, failures = kept.storage.run, [StoreUnavailableError("away")] if retryable else [StoreCorruptError("no")]

        async def fails_once(steps: Any) -> Any:
            if failures:
                raise failures.pop()
            return await write(steps)

        monkeypatch.setattr(kept.storage, "run", fails_once)
        kept.end(spec("fails"))
        await kept.settled()
        assert (await kept.keeper.read("fails") is not None) == retryable
        assert len(kept.names(INPUTS)) == retryable

    run(story)


def test_an_object_that_is_gone_is_as_if_it_was_never_kept(tmp_path: Path) -> None:
    async def story() -> None:
        kept = Kept(tmp_path)
        assert kept.objects is not None
        kept.end(kept.beside("fails"))
        await kept.settled()
        kept.objects.delete("payload/fails-nonce")
        assert await kept.keeper.read("fails") is None

    run(story)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "its inputs are not kept.*max_kept_input_bytes=1073741824.*Submit it with submit_capability"),
        ({"max_kept_input_bytes": 0}, "keeps no inputs.*max_kept_input_bytes=0.*Submit it with submit_capability"),
    ],
)
def test_who_asks_for_what_is_not_kept_is_told_why_and_what_to_do(
    tmp_path: Path, settings: dict[str, Any], said: str
) -> None:
    async def story() -> None:
        objects = ObjectStore(str(tmp_path))
        named = {**RegistrySettings(**settings).wire(), "name": "r", "namespace": "n", "journal": None, "where": "here"}
        registry = JobRegistry(named, Around(WireCluster(Wire(new_controller("first"))), Storage(objects)))
        shell = await registry._shell()
        shell.machine.submit([spec("over"), spec("live")], CONTEXTS, 1.0)
        shell.machine.cancel("scope", "over", 0.0, 1.0)
        shell.after()
        with pytest.raises(JobSubmissionError, match=r"it is (PENDING|SCHEDULING)\. Wait for it, or cancel it first"):
            await registry.inputs("scope", "live")
        await settled(shell._inputs)
        assert len(objects.names(INPUTS)) == (settings == {})
        for name in objects.names(INPUTS):
            objects.delete(f"{INPUTS}/{name}")
        with pytest.raises(JobSubmissionError, match=said):
            await registry.inputs("scope", "over")

    run(story)


def test_damage_and_newer_versions_are_told() -> None:
    _, content = kept_inputs(spec("job"), redacted_context(CONTEXT))
    assert inputs_of(content, "uri")[0] == spec("job")
    for damaged in (content[:-4], content[:40] + b"x" + content[41:], gzip.compress(b'{"protocol": 5, "rows": []}')):
        with pytest.raises(StoreCorruptError, match="uri: what a job was given is damaged"):
            inputs_of(damaged, "uri")
    with pytest.raises(IncompatibleVersionError, match="Upgrade"):
        inputs_of(gzip.compress(b'{"protocol": 1000, "other": "things"}'), "uri")


def test_other_files_of_the_folder_are_not_ours() -> None:
    where, _ = kept_inputs(spec("job"), redacted_context(CONTEXT))
    names = [where.key.removeprefix("input/"), "notes.txt", "job~x~0~-.json.gz", "job~1~0.json.gz"]
    assert all_kept_inputs(names) == {"job": where}


# -- the submission that a client makes of it --------------------------------------------------------------------------


def changed(**given: Any) -> CheckedChanges:
    return checked_changes(Changes(**given), Resources(num_cpus=2, num_gpus=1), RayRunOptions)


def test_what_is_not_changed_stays_as_it_was() -> None:
    kept = spec("job", tags=(("sweep", "12"),), resources=Resources(num_cpus=2, num_gpus=1))
    again, contexts = spec_again(kept, redacted_context(CONTEXT), ContextsHere(CONTEXT), changed())
    assert again.job_id not in ("", "job")
    assert again._replace(job_id="", order=(), context="", submitted_by=None) == kept._replace(
        job_id="", order=(), context="", submitted_by=None
    )
    assert again.identity == kept.identity, "it is the same run, on the same"
    assert again.order[1:] == kept.order[1:]
    assert contexts[again.context].terms.store == CONTEXT.terms.store


def test_what_is_changed_is_other_and_all_else_stays() -> None:
    changes = changed(
        job_name="larger",
        resources={"memory": 2**34},
        tags={},
        options={"max_retries": 0, "report_threshold": 0.9, "force": True},
    )
    again, _ = spec_again(
        spec("job", tags=(("sweep", "12"),)), redacted_context(CONTEXT), ContextsHere(CONTEXT), changes
    )
    assert (again.job_name, again.tags) == ("larger", ())
    assert again.resources == Resources(num_cpus=2, num_gpus=1, memory=2**34)
    assert again.policy == spec("job").policy._replace(max_retries=0)
    assert (again.order[2], again.basis.policy) == (0.9, "never")


def test_faulty_changes_are_told_all_at_once() -> None:
    with pytest.raises(JobSubmissionError) as caught:
        changed(job_name="", resources={"num_cpu": 2}, tags={"a": 1}, options={"max_retrys": 3})
    said = str(caught.value)
    assert all(name in said for name in ("job_name", "num_cpus", "tags", "max_retries")), said


def test_jobs_that_had_the_same_context_have_the_same_again() -> None:
    here, store = ContextsHere(CONTEXT), StoreSpec("parquet", {"uri": "/another", "storage_options": {}})
    another = CONTEXT._replace(terms=evolve(CONTEXT.terms, store=store))
    names = [
        spec_again(spec("job"), redacted_context(then), here, changed())[0].context
        for then in (CONTEXT, CONTEXT, another)
    ]
    assert names[0] == names[1] != names[2]


def test_of_two_who_run_a_job_again_at_once_both_follow_the_same_new_one() -> None:
    rig = Rig()
    rig.submit(spec("fails"))
    rig.go()
    rig.end("fails", ERROR)
    ((kept, redacted),) = rig.registry.table.take_ended()
    answers = []
    for _ in range(2):
        again, contexts = spec_again(kept, redacted, ContextsHere(CONTEXT), changed())
        answers += [(again.job_id, *rig.registry.submit([again], contexts, rig.now))]
    (first, one), (second, other) = answers
    assert (one.is_new, one.job_id) == (True, first)
    assert (other.is_new, other.job_id, second == first) == (False, first, False)
    assert other.reuse.kind is ReuseKind.REUSED


def test_the_new_job_is_in_the_trace_of_who_has_it_run_again() -> None:
    then, now = (TraceContext(f"00-{digit * 32}-{digit * 16}-01", baggage="customer=seven") for digit in "12")
    for trace in (now, None):
        again, _ = spec_again(
            spec("job", trace=then), redacted_context(CONTEXT), ContextsHere(CONTEXT), changed(trace=trace)
        )
        assert again.trace == trace


def test_nothing_of_the_trace_of_then_is_kept(tmp_path: Path) -> None:
    async def story() -> None:
        kept = Kept(tmp_path)
        kept.end(spec("fails", trace=TraceContext(f"00-{'1' * 32}-{'1' * 16}-01", baggage="customer=seven")))
        await kept.settled()
        kept.begin()
        found = await kept.keeper.read("fails")
        assert found is not None
        assert found[0].trace is None

    run(story)


def test_what_may_be_secret_comes_from_who_has_it_run_again() -> None:
    def context(key: str, **env: str) -> Context:
        store = StoreSpec("parquet", {"uri": "s3://store", "storage_options": {"key": key}})
        return Context(Terms(store=store, facts={}), {"env_vars": env} if env else None)

    redacted = redacted_context(context("old", TOKEN="old"))
    again, contexts = spec_again(spec("job"), redacted, ContextsHere(context("new", TOKEN="new")), changed())
    assert contexts[again.context].terms.store.options["storage_options"] == {"key": "new"}
    assert contexts[again.context].runtime_env == {"env_vars": {"TOKEN": "new"}}
    with pytest.raises(JobSubmissionError, match=r"analytics_store\.storage_options, runtime_env\.env_vars\.TOKEN"):
        spec_again(spec("job"), redacted, ContextsHere(context("new")), changed())


def test_who_has_it_run_again_is_whom_its_rows_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHECKMAITE_PROVENANCE_USER_ID", "bob")
    by_alice = CONTEXT._replace(terms=evolve(CONTEXT.terms, facts={"user_id": "alice", "workspace_id": "scope"}))
    again, contexts = spec_again(
        spec("job", submitted_by="alice"), redacted_context(by_alice), ContextsHere(CONTEXT), changed()
    )
    facts = contexts[again.context].terms.facts
    assert (again.submitted_by, facts["user_id"], facts["workspace_id"]) == ("bob", "bob", "scope")
