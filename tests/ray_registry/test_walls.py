"""A scope that has a key tells nothing to who has not shown it, and does nothing for them; also after a restart."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import (
    ConfigurationError,
    JobNotFoundError,
    JobSubmissionError,
    ScopeKeyError,
    StoreCorruptError,
)
from checkmaite.jobs.spi import JobQuery, ObjectStore, SecretText
from checkmaite.jobs_ray.config import RayOptions, RegistrySettings
from checkmaite.jobs_ray.handshake import client_hello
from checkmaite.jobs_ray.journal.format import SNAPSHOTS
from checkmaite.jobs_ray.journal.walls import proof_of, wall_key
from checkmaite.jobs_ray.registry import actor, journal_writer
from checkmaite.jobs_ray.registry.actor import Around, JobRegistry
from checkmaite.jobs_ray.registry.storage import Storage
from checkmaite.jobs_ray.wire import Cursor

from tests.ray_registry.making import CONTEXT, CONTEXTS, spec
from tests.ray_registry.rig import new_controller
from tests.ray_registry.test_session import Wire
from tests.ray_registry.test_stuck_journal import Silent

KEY, OTHER = "correct horse battery", "another long enough key"


def shown(key: str | None, scope: str = "scope") -> bytes | None:
    return proof_of(RayOptions(idempotency_scope=scope, scope_key=key and SecretText(key)))


PROOF, WRONG = shown(KEY), shown(OTHER)


async def greet(registry: JobRegistry, proof: bytes | None, scope: str = "scope") -> Any:
    return await registry.hello(client_hello({}, patience_s=30.0, scope=scope, proof=proof))


class Forgetful(Silent):
    """A cluster whose store holds no run."""

    async def look_up(self, context: Any, specs: Any) -> dict[str, Any]:
        return {}


Story = Callable[[JobRegistry], Awaitable[None]]


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Story], None]:
    """Tells a story of a registry that has just begun, on the journal that the one before it has left."""
    ends: list[float] = []
    monkeypatch.setattr(actor, "end_this_actor", ends.append)
    monkeypatch.setattr(journal_writer, "_WHOLE_LOCAL_S", 0.01)
    monkeypatch.setattr(Storage, "is_running", lambda self, before: False)  # all of them are this process

    def tell(story: Story, *, journal: bool = True) -> None:
        async def begun() -> None:
            settings = {
                **RegistrySettings(controller_pool_size=1, journal_uri=str(tmp_path)).wire(),
                "name": "registry",
                "namespace": "namespace",
                "journal": None,
                "where": "here",
            }
            storage = Storage(ObjectStore(str(tmp_path / "journal"))) if journal else None
            registry = JobRegistry(settings, Around(Forgetful(Wire(new_controller("first"))), storage))
            await story(registry)

        asyncio.run(begun())
        assert ends == [], "a refused client ends no registry"

    return tell


async def of_a_live_job(registry: JobRegistry, proof: bytes | None) -> None:
    with suppress(JobSubmissionError):  # which is told to whoever may ask
        await registry.inputs("scope", "one", proof)


CALLS: dict[str, Callable[[JobRegistry, bytes | None], Awaitable[Any]]] = {
    "hello": greet,
    "offer": lambda registry, proof: registry.offer("scope", CONTEXT, proof),
    "submit": lambda registry, proof: registry.submit("client", [spec("two")], CONTEXTS, proof),
    "plan": lambda registry, proof: registry.plan([spec("two")], proof),
    "follow": lambda registry, proof: registry.follow("client", ["one"], "scope", CONTEXT, proof),
    "get": lambda registry, proof: registry.get("client", "scope", "one", proof),
    "list_jobs": lambda registry, proof: registry.list_jobs("client", "scope", JobQuery(), proof),
    "cancel": lambda registry, proof: registry.cancel("scope", "one", 0.0, proof),
    "explain": lambda registry, proof: registry.explain("scope", "one", proof),
    "pending_reason": lambda registry, proof: registry.pending_reason("scope", "one", proof),
    "logs": lambda registry, proof: registry.logs("scope", "one", proof),
    "inputs": of_a_live_job,
    "metrics": lambda registry, proof: registry.metrics("scope", proof),
    "hook_reports": lambda registry, proof: registry.hook_reports("scope", proof),
    "settle_hooks": lambda registry, proof: registry.settle_hooks("scope", 1.0, proof),
}


def test_every_call_but_the_news_asks_for_the_scope() -> None:
    """A new one belongs into the table above; `changes` tells only of what `follow` and the others have let in.

    `scopes` is of all of them, and tells the name alone of one that has a key.
    """
    public = {name for name in vars(JobRegistry) if not name.startswith("_")}
    assert public == {*CALLS, "changes", "scopes"}


@pytest.mark.parametrize("is_new", [False, True], ids=["same-registry", "new-registry"])
def test_without_the_key_nobody_reads_cancels_or_lists(told: Callable[..., None], is_new: bool) -> None:
    async def raise_wall(registry: JobRegistry) -> None:
        await greet(registry, PROOF)
        await registry.submit("owner", [spec("one")], CONTEXTS, PROOF)

    async def refuse(registry: JobRegistry) -> None:
        for method, call in CALLS.items():
            for proof, said in ((None, "none was passed"), (WRONG, "another one was passed")):
                with pytest.raises(ScopeKeyError, match=f"'scope' has a key.\n.*{said}.*idempotency_scope"):
                    await call(registry, proof)
            assert method
        (only,) = await registry.list_jobs("owner", "scope", JobQuery(), PROOF)
        assert only.job_id == "one"
        assert only.outcome is None
        assert not (await registry._shell()).machine.table.records["one"].is_cancelling
        for call in CALLS.values():
            await call(registry, PROOF)

    async def both(registry: JobRegistry) -> None:
        await raise_wall(registry)
        await refuse(registry)

    if is_new:
        told(raise_wall)
        told(refuse)
    else:
        told(both)


def test_other_scopes_of_the_registry_are_as_open_as_they_were(told: Callable[..., None]) -> None:
    async def story(registry: JobRegistry) -> None:
        await greet(registry, PROOF)
        await greet(registry, None, "open")
        await registry.submit("client", [spec("three", scope="open")], CONTEXTS)
        with pytest.raises(ScopeKeyError):  # in one batch with jobs of an open scope neither
            await registry.submit("client", [spec("four", scope="open"), spec("two")], CONTEXTS)
        assert [each.job_id for each in await registry.list_jobs("client", "open", JobQuery())] == ["three"]
        with pytest.raises(JobNotFoundError):
            await registry.get("client", "open", "one")
        await registry.submit("owner", [spec("one")], CONTEXTS, PROOF)
        _, unknown = await registry.follow("client", ["one", "three"], "open", CONTEXT)
        assert unknown == ["one"], "nobody hears of a job by way of another scope"

    told(story)


def test_the_key_of_one_scope_opens_no_other() -> None:
    assert shown(KEY) == shown(KEY)
    assert len({shown(KEY), shown(OTHER), shown(KEY, "other")}) == 3


def test_of_two_clients_that_give_a_scope_its_key_one_is_first(told: Callable[..., None]) -> None:
    async def story(registry: JobRegistry) -> None:
        answers = await asyncio.gather(greet(registry, PROOF), greet(registry, WRONG), return_exceptions=True)
        refused = [each for each in answers if isinstance(each, ScopeKeyError)]
        assert len(refused) == 1, answers
        again = await asyncio.gather(greet(registry, PROOF), greet(registry, WRONG), return_exceptions=True)
        assert [type(each) for each in again] == [type(each) for each in answers]

    told(story)


def test_who_listened_before_the_scope_had_a_key_hears_nothing_more(told: Callable[..., None]) -> None:
    async def story(registry: JobRegistry) -> None:
        await greet(registry, None)
        await registry.submit("early", [spec("one")], CONTEXTS)
        name, _ = await registry.follow("early", ["one"], "scope", CONTEXT)
        cursor = Cursor(name, 0)

        async def hear() -> None:
            nonlocal cursor
            while (answer := await registry.changes("early", cursor, 30.0, 30.0)) is not None:
                cursor, _ = answer

        hearing = asyncio.ensure_future(hear())
        await asyncio.sleep(0)
        await greet(registry, PROOF)
        await asyncio.wait_for(hearing, 60)
        with pytest.raises(ScopeKeyError):
            await registry.follow("early", ["one"], "scope", CONTEXT)
        assert await registry.changes("early", cursor, 0.0, 30.0) is None
        assert (await registry.follow("owner", ["one"], "scope", CONTEXT, PROOF))[1] == []

    told(story)


def test_where_the_folder_is_deleted_the_wall_is_kept_again(told: Callable[..., None], tmp_path: Path) -> None:
    kept = tmp_path / "journal" / wall_key("scope")

    async def story(registry: JobRegistry) -> None:
        await greet(registry, PROOF)
        before = kept.read_bytes()
        for folder, _, names in os.walk(tmp_path / "journal", topdown=False):
            for name in names:
                (Path(folder) / name).unlink(missing_ok=True)
        async with asyncio.timeout(30):
            while not (kept.exists() and ObjectStore(str(tmp_path / "journal")).names(SNAPSHOTS)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert kept.read_bytes() == before
        kept.unlink()
        async with asyncio.timeout(30):
            while not kept.exists():  # noqa: ASYNC110 - nobody says so
                await asyncio.sleep(0.01)

    async def refused(registry: JobRegistry) -> None:
        with pytest.raises(ScopeKeyError):
            await greet(registry, None)

    told(story)
    told(refused)


def test_a_damaged_wall_lets_nobody_through(
    told: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "journal" / wall_key("scope")
    monkeypatch.setattr(actor, "end_this_actor", lambda _: None)
    told(partial(greet, proof=PROOF))
    whole = kept.read_bytes()

    async def refused(registry: JobRegistry) -> None:
        for proof in (None, PROOF):
            with pytest.raises(StoreCorruptError, match=kept.name):
                await greet(registry, proof)

    fields = {"scope": "scope", "salt": "00", "digest": "00"}
    wrong = [{**fields, **each} for each in ({"digest": 1}, {"digest": "\u00e9"}, {"salt": "\ud800"}, {"more": 1})]
    for damaged in (b"", whole[:-1], b"[]", b"[" * 100_000, b"\xff", *(json.dumps(each).encode() for each in wrong)):
        kept.write_bytes(damaged)
        told(refused)
    kept.write_bytes(whole)
    told(partial(greet, proof=PROOF))


def test_a_registry_without_a_journal_cannot_keep_a_wall(told: Callable[..., None]) -> None:
    async def story(registry: JobRegistry) -> None:
        with pytest.raises(ConfigurationError, match="scope_key: the registry keeps no journal"):
            await greet(registry, PROOF)
        await greet(registry, None)

    told(story, journal=False)


def test_what_is_kept_tells_neither_key_nor_proof(told: Callable[..., None], tmp_path: Path) -> None:
    async def story(registry: JobRegistry) -> None:
        await greet(registry, PROOF)
        await registry.submit("owner", [spec("one")], CONTEXTS, PROOF)

    told(story)
    assert PROOF is not None
    content = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert content
    assert not [secret for secret in (KEY.encode(), PROOF, PROOF.hex().encode()) if secret in content]


def test_the_key_is_in_no_text_of_the_options() -> None:
    options = RayOptions(idempotency_scope="scope", scope_key=SecretText(KEY))
    assert KEY not in f"{options!r} {options.asked}"
