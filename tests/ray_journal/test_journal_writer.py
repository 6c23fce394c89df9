"""The registry's journal while its store has trouble."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from checkmaite.jobs import StorePermissionError, StoreUnavailableError
from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs_ray.registry import journal_writer
from checkmaite.jobs_ray.registry.journal_writer import JournalWriter
from checkmaite.jobs_ray.registry.storage import Storage

from tests.processes import left_by_killed_writer


@pytest.mark.parametrize(
    ("trouble", "refused"),
    [(StorePermissionError("the token has expired"), True), (StoreUnavailableError("503"), False)],
)
def test_writing_goes_on_after_trouble_and_says_whether_it_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Exception, refused: bool
) -> None:
    async def story() -> None:
        tried = asyncio.Event()
        loop = asyncio.get_running_loop()

        def create(*_: object) -> None:
            raise trouble

        def warned(*_: object) -> None:
            loop.call_soon_threadsafe(tried.set)

        journal_writer = JournalWriter(Storage(ObjectStore(str(tmp_path))), name="r", address="here")
        await journal_writer.open()
        assert journal_writer.trouble == ""
        with monkeypatch.context() as away:
            away.setattr(ObjectStore, "create", create)
            away.setattr(logging.getLogger("checkmaite.jobs"), "warning", warned)
            writing = asyncio.create_task(journal_writer.write([], are_all=True))
            await tried.wait()
            assert str(trouble) in journal_writer.trouble
            assert journal_writer.is_refused is refused
        await writing
        assert (journal_writer.trouble, journal_writer.is_refused) == ("", False)

    asyncio.run(story())


def test_what_killed_registries_left_is_swept_soon_after_the_start_and_each_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = ObjectStore(str(tmp_path))
    monkeypatch.setattr(journal_writer, "_WHOLE_LOCAL_S", 0.0)
    now = [1e6]
    monkeypatch.setattr(journal_writer, "time", SimpleNamespace(monotonic=lambda: now[0]))

    async def story() -> None:
        writer = JournalWriter(Storage(objects), name="r", address="here")
        await writer.open()
        swept, sweep = asyncio.Queue[int](), writer.storage.sweep

        async def count() -> int:
            swept.put_nowait(found := await sweep())
            return found

        monkeypatch.setattr(writer.storage, "sweep", count)
        left = [left_by_killed_writer(objects, f"{folder}/a", age_s=25 * 3600) for folder in ("seg", "payload", "log")]
        watching = asyncio.create_task(writer.watch(writer.seems_led))
        try:
            assert await asyncio.wait_for(swept.get(), 60) == 3
            assert not any(path.exists() for path in left)
            later = left_by_killed_writer(objects, "payload/b", age_s=25 * 3600)
            for _ in range(3):
                await writer.seems_led()
            assert swept.empty(), "once a day is enough"
            assert later.exists()
            now[0] += 24 * 3600
            assert await asyncio.wait_for(swept.get(), 60) == 1
        finally:
            watching.cancel()

    asyncio.run(story())
