"""The registry's journal while its store has trouble."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from checkmaite.jobs import StorePermissionError, StoreUnavailableError
from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs_ray.registry.journal_writer import JournalWriter
from checkmaite.jobs_ray.registry.storage import Storage


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
