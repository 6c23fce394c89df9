"""A mailbox on the cluster: workers post news of their jobs to it, and one submitter collects them.

It is a plain asynchronous class, so that a backend can make an actor of it in whatever framework it uses, and it lives
in core, so that the machine that the actor lands on needs nothing else.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Sequence

from attrs import frozen
from checkmaite.jobs._shared.news import News, Printed


@frozen
class PackTold:
    """What a runner of short jobs says of its pack, as the pickled `PackNews`."""

    said: bytes


Letter = tuple[str, Sequence[News | PackTold]]
"""A job's id, or a runner's, and what it said."""

_CHARACTERS = 16 * 2**20
_RUNNERS = 1_000


class NewsMailbox:
    """Keeps news until it is collected. All methods run on one event loop.

    Args:
        capacity: At most this many letters are kept; the oldest are dropped first, because news may be lost.
        characters: At most so much output is kept with them; the oldest letters lose theirs first.
    """

    def __init__(self, capacity: int = 10_000, characters: int = _CHARACTERS) -> None:
        self._capacity = capacity
        self._most_characters = characters
        self._characters = 0
        self._letters: deque[Letter] = deque()
        self._last = 0
        self._arrived = asyncio.Event()
        self._stops: OrderedDict[str, list[tuple[str, int]]] = OrderedDict()

    async def tell_of_pack(self, runner: str, said: bytes) -> Sequence[tuple[str, int]]:
        """A runner of short jobs says how its pack goes on; which of its jobs are to stop."""
        await self.post(runner, [PackTold(said)])
        return self._stops.get(runner, ())

    async def stop(self, runner: str, start: tuple[str, int]) -> None:
        """A job that a runner has is to stop: the runner is told when it asks. Of many runners the last are kept."""
        self._stops.setdefault(runner, []).append(start)
        if len(self._stops) > _RUNNERS:
            self._stops.popitem(last=False)

    async def post(self, job_id: str, news: Sequence[News | PackTold]) -> None:
        """Put a job's news into the box."""
        self._letters.append((job_id, news))
        self._characters += _printed(news)
        self._last += 1
        if len(self._letters) > self._capacity:
            self._drop_oldest()
        for index, (whose, said) in enumerate(self._letters):
            if self._characters <= self._most_characters:
                break
            self._characters -= _printed(said)
            self._letters[index] = whose, [each for each in said if not isinstance(each, Printed)]
        self._arrived.set()

    async def collect(self, after: int, wait_s: float) -> tuple[int, list[Letter]]:
        """The letters that came after number `after`, as soon as there are any.

        Args:
            after: Number of the last letter that the caller has; it and those before it are forgotten here.
            wait_s: At most this long; then there are none.

        Returns:
            The number to pass as `after` next time, and the letters, oldest first.
        """
        if after > self._last:  # the box was restarted, and counts from 0 again
            after = 0
        while self._letters and self._last - len(self._letters) < after:
            self._drop_oldest()
        if not self._letters:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), wait_s)
            except TimeoutError:
                return self._last, []
        return self._last, list(self._letters)

    def _drop_oldest(self) -> None:
        _, news = self._letters.popleft()
        self._characters -= _printed(news)


def _printed(news: Sequence[News | PackTold]) -> int:
    """How many characters of output there are in a letter."""
    return sum(len(each.text) for each in news if isinstance(each, Printed))
