"""A mailbox on the cluster: workers post news of their jobs to it, and one submitter collects them.

It is a plain asynchronous class, so that a backend can make an actor of it in whatever framework it uses, and it lives
in core, so that the machine that the actor lands on needs nothing else.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence

from checkmaite.jobs._shared.news import News, Printed

Letter = tuple[str, Sequence[News]]
"""A job's id and what the job said."""

_CHARACTERS = 16 * 2**20


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

    async def post(self, job_id: str, news: Sequence[News]) -> None:
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


def _printed(news: Sequence[News]) -> int:
    """How many characters of output there are in a letter."""
    return sum(len(each.text) for each in news if isinstance(each, Printed))
