"""What is kept of jobs' output beside the journal, for how long, and how much of it."""

from __future__ import annotations

import asyncio
import gzip
import random
from collections.abc import Awaitable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import StoreCorruptError, StoreNotFoundError, StoreUnavailableError
from checkmaite.jobs.spi import ObjectStore, Started
from checkmaite.jobs_ray.journal.logs import find_log
from checkmaite.jobs_ray.registry import log_keeper
from checkmaite.jobs_ray.registry.log_keeper import LogKeeper
from checkmaite.jobs_ray.registry.model.events import Ended, Event, Forgotten, OwnerLost
from checkmaite.jobs_ray.registry.model.record import Final, JobRecord, Owner, Running, ending_of
from checkmaite.jobs_ray.registry.storage import Storage

from tests.ray_registry.making import ERROR, completed, spec


class Keeping:
    """A keeper in a folder, and what controllers have for it."""

    def __init__(self, folder: Path, **changed: Any) -> None:
        self.objects = ObjectStore(str(folder))
        self.printed: dict[str, str] = {}
        self.records = {job_id: JobRecord(spec(job_id), 1.0, attempt=1) for job_id in "abcd"}
        self.left: dict[str, str] = {}
        self.keeper = self.begun(**changed)

    def begun(self, *, keeps_all: bool = False, most_bytes: int = 10**9) -> LogKeeper:
        async def fetch(job_id: str) -> str | None:
            return self.printed.get(job_id)

        async def found(job_id: str) -> str | None:
            return self.left.get(job_id)

        def look_for(job_id: str) -> tuple[int, Awaitable[str | None]]:
            return self.records[job_id].attempt, found(job_id)

        return LogKeeper(
            Storage(self.objects),
            self.objects.names("log"),
            keeps_all=keeps_all,
            most_bytes=most_bytes,
            fetch=fetch,
            records=self.records,
            look_for=look_for,
        )

    def runs(self, job_id: str, start: int) -> None:
        started = Started(node="node", pid=4711, at=datetime.fromtimestamp(1.0, UTC))
        self.records[job_id] = JobRecord(spec(job_id), 1.0, Running(Owner("controller", 1), started), attempt=start)

    async def happens(self, events: Sequence[Event]) -> None:
        self.keeper.note(events)
        await self.settle()

    async def settle(self) -> None:
        while self.keeper._chores:
            await asyncio.wait(self.keeper._chores)

    def jobs(self) -> list[str]:
        return [name.partition(".")[0] for name in self.objects.names("log")]


def failed(*jobs: str) -> list[Event]:
    return [Ended(job_id, ending_of(ERROR), 5.0) for job_id in jobs]


def test_the_output_of_failed_jobs_is_kept_until_they_are_forgotten(tmp_path: Path) -> None:
    async def test() -> None:
        keeping = Keeping(tmp_path)
        keeping.printed = {"a": "é\n" * 3, "b": "", "c": "c"}
        await keeping.happens([*failed("a", "b", "d"), Ended("c", ending_of(completed("c")), 5.0)])
        assert keeping.jobs() == ["a", "b"], (
            "that one printed nothing is worth knowing; of another nobody knows anything"
        )
        keeping.printed = {}
        assert [await keeping.keeper.read(job_id) for job_id in "abcd"] == ["é\n" * 3, "", None, None]
        assert find_log(keeping.objects, "a") == "é\n" * 3
        (stored,) = (tmp_path / "log").glob("a.*")
        assert gzip.decompress(stored.read_bytes()).decode() == "é\n" * 3
        keeping.keeper = keeping.begun()
        assert await keeping.keeper.read("a") == "é\n" * 3, "the next registry has it"
        del keeping.records["a"]
        await keeping.happens([Forgotten("a"), Forgotten("c")])
        assert keeping.jobs() == ["b"]
        with pytest.raises(StoreNotFoundError, match="'a'"):
            find_log(keeping.objects, "a")

    asyncio.run(test())


def test_all_output_may_be_kept(tmp_path: Path) -> None:
    async def test() -> None:
        keeping = Keeping(tmp_path, keeps_all=True)
        keeping.printed = {"a": "a", "b": "b"}
        await keeping.happens([*failed("a"), Ended("b", ending_of(completed("b")), 5.0)])
        assert keeping.jobs() == ["a", "b"]

    asyncio.run(test())


def test_what_is_kept_takes_a_bounded_number_of_bytes_and_the_newest_stay(tmp_path: Path) -> None:
    async def test() -> None:
        keeping = Keeping(tmp_path, most_bytes=2_500)
        noise = random.Random(1)
        for job_id in "abcd":
            keeping.printed[job_id] = "".join(noise.choice("0123456789abcdef") for _ in range(1_600))  # 800 in gzip
            await keeping.happens(failed(job_id))
        assert keeping.jobs() == ["c", "d"]
        keeping.keeper = keeping.begun(most_bytes=2_500)
        await keeping.happens([])
        assert keeping.jobs() == ["c", "d"]

    asyncio.run(test())


def test_a_later_registry_keeps_what_is_still_there_and_deletes_what_is_nobodys(tmp_path: Path) -> None:
    async def test() -> None:
        keeping = Keeping(tmp_path)
        keeping.printed = {"a": "a", "b": "b", "c": "c"}
        await keeping.happens(failed("a"))
        keeping.objects.create("log/left.5.txt.gz", b"12345")
        keeping.objects.create("log/README", b"somebody else's")
        for number in (9, 10):
            keeping.objects.create(f"log/b~1-{number}.5.txt.gz", b"12345")
        keeping.keeper = keeping.begun()
        records: Iterable[JobRecord] = [
            JobRecord(spec(job_id), 1.0, Final(ending_of(ERROR), at))
            for job_id, at in (("a", 9.0), ("b", 9.0), ("c", 1.0))
        ]
        keeping.keeper.catch_up(records, since=5.0)
        await keeping.settle()
        assert keeping.jobs() == ["README", "a", "b"], "what was kept of a start that is over goes, too"

    asyncio.run(test())


def test_a_job_that_is_forgotten_while_its_output_is_kept_leaves_none(tmp_path: Path) -> None:
    async def test() -> None:
        keeping = Keeping(tmp_path)
        keeping.printed = {"a": "a"}
        keeping.records.clear()
        await keeping.happens(failed("a"))
        assert keeping.jobs() == []

    asyncio.run(test())


def test_a_store_that_is_away_for_a_moment_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        keeping = Keeping(tmp_path)
        keeping.printed = {"a": "a"}
        create, refusals = keeping.objects.create, [StoreUnavailableError("away", uri="")] * 2

        def refused(key: str, content: bytes) -> bool:
            if refusals:
                raise refusals.pop()
            return create(key, content)

        monkeypatch.setattr(keeping.objects, "create", refused)
        await keeping.happens(failed("a"))
        assert keeping.jobs() == ["a"]

    monkeypatch.setattr(log_keeper, "_AGAIN_S", 0.0)
    asyncio.run(test())


def test_what_a_job_prints_is_kept_while_it_runs_and_outlives_its_cluster(tmp_path: Path) -> None:
    async def test() -> None:
        keeping = Keeping(tmp_path)
        keeping.runs("a", 1)
        keeping.runs("b", 1)
        keeping.printed = {"a": "one\n", "b": "", "c": "not running"}
        await keeping.keeper.keep_running()
        (first,) = keeping.objects.names("log")
        await keeping.keeper.keep_running()
        assert keeping.objects.names("log") == [first], "nothing is new"
        keeping.printed["a"] = "one\ntwo\n"
        await keeping.keeper.keep_running()
        await keeping.settle()
        assert keeping.jobs() == ["a~1-" + keeping.jobs()[0].partition("-")[2]]
        assert find_log(keeping.objects, "a") == "one\ntwo\n"
        keeping.printed = {}  # the cluster is gone
        keeping.keeper = keeping.begun()
        assert await keeping.keeper.read("a") == "one\ntwo\n"
        keeping.runs("a", 2)
        keeping.printed = {"a": "again\n"}
        both = "[... start 1, which was lost, had printed: ...]\none\ntwo\n\n[... the last start: ...]\nagain\n"
        assert await keeping.keeper.read("a") == both
        await keeping.happens(failed("a"))
        keeping.printed = {}
        assert await keeping.keeper.read("a") == find_log(keeping.objects, "a") == both
        assert len(keeping.jobs()) == 2

    asyncio.run(test())


def test_what_was_kept_of_a_job_that_completes_goes_unless_a_start_was_lost(tmp_path: Path) -> None:
    async def test() -> None:
        keeping = Keeping(tmp_path)
        keeping.printed = {"a": "first", "b": "only"}
        keeping.runs("a", 1)
        keeping.runs("b", 1)
        await keeping.keeper.keep_running()
        keeping.left = {"a": "first, and the rest"}
        await keeping.happens([OwnerLost("a", "its controller died")])
        keeping.runs("a", 2)
        keeping.printed["a"] = "second"
        await keeping.keeper.keep_running()
        assert len(keeping.jobs()) == 3
        await keeping.happens([Ended(job_id, ending_of(completed(job_id)), 5.0) for job_id in "ab"])
        assert [each.partition("-")[0] for each in keeping.jobs()] == ["a~1"]
        assert find_log(keeping.objects, "a") == "first, and the rest"

    asyncio.run(test())


def test_damaged_output_is_an_error_and_not_empty(tmp_path: Path) -> None:
    async def test() -> None:
        keeping = Keeping(tmp_path)
        keeping.objects.create("log/a.5.txt.gz", b"12345")
        keeping.objects.create("log/b.5.txt.gz", gzip.compress(b"whole")[:-9])
        for job_id in ("a", "b"):
            with pytest.raises(StoreCorruptError, match=rf"log/{job_id}\.5"):
                await keeping.begun().read(job_id)

    asyncio.run(test())
