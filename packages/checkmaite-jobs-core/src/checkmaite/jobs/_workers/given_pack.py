"""Connects a runner that was started with its only pack to whoever gave it: through a mailbox."""

from __future__ import annotations

import pickle
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from typing import Any

from checkmaite.jobs._shared.news import News
from checkmaite.jobs._workers.pack_notes import Sender
from checkmaite.jobs._workers.packs import PackNews


class GivenPack:
    """A `Line` that has one pack. Nobody can be asked for another: what became of this one is the task's result.

    Args:
        pack: The pickled jobs.
        mailbox: Handle of a `NewsMailbox`, of any framework whose references have ``future()``.
    """

    def __init__(self, pack: bytes, mailbox: Any) -> None:
        self._pack: bytes | None = pack
        self._mailbox = mailbox

    def next_pack(self, runner: str, news: PackNews) -> Future[bytes]:
        """See `Line`."""
        answer: Future[bytes] = Future()
        if self._pack is None:
            answer.set_exception(EOFError(f"runner {runner} was given one pack"))
        else:
            # If this process dies, what it has noted is looked for on the node that it says; nobody waits for the word.
            self._mailbox.tell_of_pack.remote(runner, pickle.dumps(news))
            answer.set_result(self._pack)
        self._pack = None
        return answer

    def tell(self, runner: str, news: PackNews) -> Future[Collection[Sender]]:
        """See `Line`."""
        answer: Future[Collection[Sender]] = self._mailbox.tell_of_pack.remote(runner, pickle.dumps(news)).future()
        return answer

    def post(self, sender: Sender, news: Sequence[News]) -> Future[Any]:
        """See `Line`."""
        job_id, _ = sender
        arrived: Future[Any] = self._mailbox.post.remote(job_id, list(news)).future()
        return arrived
