"""The one thread that does everything that follows from something having happened in Ray, or from time having passed.

Ray's callbacks only put work into its queue, because they run on a thread that Ray needs, so nothing polls and nothing
blocks in ``ray.get``.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from checkmaite.jobs_ray_simple.cluster.connection import Connection

_log = logging.getLogger("checkmaite.jobs")
_JOIN_TIMEOUT_S = 5.0


class Courier:
    """The thread, its work and its timers.

    Args:
        connection: To the Ray whose answers it takes.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._queue: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        # References of a connection that the user ends stay here: letting go of one while Ray shuts down, on another
        # thread than the user's, ends the process.
        self._abandoned: list[object] = []

    @property
    def is_connected(self) -> bool:
        """Whether the connection is there."""
        return self._connection.is_alive()

    def begin(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._carry, name="checkmaite-ray-simple-courier", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """End the thread, after which nothing calls Ray. It may be called on the thread itself."""
        if self._thread is not None:
            self._queue.put(None)
            if threading.current_thread() is not self._thread:
                self._thread.join(_JOIN_TIMEOUT_S)

    def put(self, act: Callable[[], object]) -> None:
        """Do this on the thread; called on any."""
        self._queue.put(act)

    def at(self, at: float, act: Callable[[], object]) -> None:
        """Do this at a time of the monotonic clock; called on the thread."""
        heapq.heappush(self._timers, (at, next(self._numbers), act))

    def follow(self, ref: Any, act: Callable[[Future[Any]], object]) -> None:
        """Call `act` on the thread with the future of a reference once that is ready; called on any."""
        ref.future().add_done_callback(partial(self.hand, act))

    def hand(self, act: Callable[[Future[Any]], object], future: Future[Any]) -> None:
        """Take over a future that is ready; called on a thread of Ray's."""
        self._queue.put(partial(self._take, act, future))

    def first_of(self, refs: Sequence[Any], within_s: float, act: Callable[[Any], object]) -> None:
        """Call `act` once, with the first value of these references that is not None; called on the thread.

        With None where there is none, or not in time.
        """
        waiting, is_answered = set(refs), False

        def answer(value: Any) -> None:
            nonlocal is_answered
            if not is_answered:
                is_answered = True
                act(value)

        def take(ref: Any, future: Future[Any]) -> None:
            value = future.result() if future.exception() is None else None
            waiting.discard(ref)
            if value is not None or not waiting:
                answer(value)

        self.at(time.monotonic() + within_s, partial(answer, None))
        for each in refs:
            self.follow(each, partial(take, each))
        if not refs:
            answer(None)

    def abandon(self, refs: Sequence[object]) -> None:
        """Keep references of a connection that has ended for as long as this process lives."""
        self._abandoned += refs

    # -- the thread ---------------------------------------------------------------------------------------------------

    def _take(self, act: Callable[[Future[Any]], object], future: Future[Any]) -> None:
        if not self.is_connected:
            self._abandoned.append(future)
        act(future)

    def _carry(self) -> None:
        while (act := self._next()) is not None:
            try:
                act()
            except Exception:  # noqa: BLE001 - a fault in bringing one job home must not strand all others
                _log.exception("the courier of ray-simple stumbled")

    def _next(self) -> Callable[[], object] | None:
        """What to do next: a timer that is due, else what comes into the queue; None at the end."""
        while True:
            left = self._timers[0][0] - time.monotonic() if self._timers else None
            if left is not None and left <= 0:
                return heapq.heappop(self._timers)[2]
            try:
                return self._queue.get(timeout=left)
            except Empty:
                continue
