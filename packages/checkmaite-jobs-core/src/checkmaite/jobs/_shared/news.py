"""The messages that a running job sends: that it started, how far it is, what it printed.

A worker's `Reporter` collects news and hands it on in batches, from a thread of its own, so that saying something costs
the job next to nothing and a job that is over in a blink sends no message at all: its outcome says the rest.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from attrs import field, frozen
from checkmaite.jobs._shared.job_protocols import JobProgress
from checkmaite.jobs._shared.logs import LogTail
from checkmaite.jobs._shared.texts import class_name, message_text, shortened

if TYPE_CHECKING:
    from checkmaite.jobs._shared.store_protocols import AnalyticsStore

_log = logging.getLogger("checkmaite.jobs")
_LEAVING_S = 0.4
_SENTENCE_BYTES = 2_000


@frozen(kw_only=True)
class Started:
    """A worker has begun the job."""

    node: str = field(factory=socket.gethostname)
    pid: int = field(factory=os.getpid)
    at: datetime = field(factory=lambda: datetime.now(UTC))

    def __reduce__(self) -> tuple[Any, ...]:
        return _started, (self.node, self.pid, self.at.timestamp())


def _started(node: str, pid: int, at: float) -> Started:
    return Started(node=node, pid=pid, at=datetime.fromtimestamp(at, UTC))


@frozen
class Progressed:
    """How far the job is."""

    progress: JobProgress


@frozen(kw_only=True)
class Printed:
    """Something that the job printed.

    Attributes:
        start: Characters that it had printed before; news may arrive twice or out of order.
        text: What it printed then.
    """

    start: int
    text: str


@frozen
class Leaving:
    """The job's worker process is about to end, and the job with it.

    Attributes:
        cause: Why, for people: the name of a signal.
    """

    cause: str


News = Started | Progressed | Printed | Leaving
Post = Callable[[str, Sequence[News]], Future[Any] | None]
"""Hands a job's news on: ``post(job_id, news)``. It must not block for long, and may lose news when nobody listens.

What it gives is done when the news has arrived, with an exception when it has not; None for news that is there already.
Until then the job's further news waits, so that a slow receiver finds no more of it than one batch.
"""


@frozen
class RemotePost:
    """A `Post` to an actor with a ``post`` method, of any framework whose references have ``future()``."""

    actor: Any

    def __call__(self, job_id: str, news: Sequence[News]) -> Future[Any]:
        arrived: Future[Any] = self.actor.post.remote(job_id, list(news)).future()
        return arrived


class _Couriers:
    """The one thread of this process that carries every running job's news.

    Starting a thread for each job would cost a job of no work several times what the rest of it costs, so the thread
    looks round at short intervals while there are jobs, and ends when there have been none for a while.
    """

    _ROUND_S = 0.05
    _IDLE_ROUNDS = 40

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reporters: set[Reporter] = set()
        self._thread: threading.Thread | None = None

    def carry(self, reporter: Reporter) -> None:
        """Begin to carry this reporter's news."""
        with self._lock:
            self._reporters.add(reporter)
            if self._thread is None or not self._thread.is_alive():  # not alive: this process was forked
                self._thread = threading.Thread(target=self._go_round, name="checkmaite news", daemon=True)
                self._thread.start()

    def drop(self, reporter: Reporter) -> None:
        """Stop carrying this reporter's news."""
        with self._lock:
            self._reporters.discard(reporter)

    def _go_round(self) -> None:
        idle, hurried, pause = 0, False, threading.Event()
        while idle < self._IDLE_ROUNDS:
            pause.wait(0 if hurried else self._ROUND_S)
            with self._lock:
                reporters = list(self._reporters)
                idle = 0 if reporters else idle + 1
                if idle == self._IDLE_ROUNDS:
                    self._thread = None
            now = time.monotonic()
            hurried = False
            for reporter in reporters:
                if (look := reporter.look) is not None:
                    hurried |= look()
                reporter.deliver(now)


_couriers = _Couriers()


class Reporter:
    """Collects one job's news on the worker. Its methods send nothing themselves: a thread carries the news.

    Args:
        job_id: The job.
        post: Where news goes; None when nobody listens.
        announce_after_s: The start is announced once the job has run this long, 0 at once. A shorter job needs no
            announcement.
        interval_s: At least this long between two batches of news.
    """

    def __init__(
        self, job_id: str, post: Post | None, *, announce_after_s: float = 0.2, interval_s: float = 0.25
    ) -> None:
        self.job_id = job_id
        self._post = post
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self.look: Callable[[], bool] | None = None
        """Called by the courier each time that it comes round: calls `printed`, and says whether there is more."""
        self.catch_up: Callable[[], object] | None = None
        """Calls `printed` with all that the job has printed so far and that was not told yet."""
        self.started = Started()
        self.store: AnalyticsStore | None = None
        """What the job writes to, once it is open."""
        self._is_announced = False
        self._has_complained = False
        self.progress_note: tuple[Any, Any, Any, float] | None = None
        """Done, total, message, as the capability gave them, and when.

        Only the newest is sent, so it is noted by whoever has it, without a call.
        """
        self._unsaid = LogTail()
        self._under_way: tuple[Future[Any], bool, int] | None = None
        self._due_at = time.monotonic() + announce_after_s
        if announce_after_s <= 0:
            self.deliver(self._due_at)
        _couriers.carry(self)

    def printed(self, text: str) -> None:
        """Note what the job printed."""
        self._unsaid.append(text)

    def remark(self, text: str) -> None:
        """Add a text that is not the job's own to its output, after what the job has printed so far."""
        if self.catch_up is not None:
            self.catch_up()
        self.printed(text)

    def close(self) -> Printed | None:
        """End the reports; what is not known to have arrived, so that it can travel with the outcome."""
        _couriers.drop(self)
        with self._lock:
            self._has_arrived()
            return self._take_printed()

    def last_words(self, cause: str) -> None:
        """Say why this process ends; return when that has arrived, or soon.

        What the job has printed is not said: it stays in a file. Called from a signal's handler: no lock is taken.
        """
        arrives = self._post(self.job_id, [Leaving(cause)]) if self._post is not None else None
        if arrives is not None:
            arrives.exception(_LEAVING_S)

    def deliver(self, now: float) -> None:
        """Post what there is to say, when it is time; called by the courier."""
        if self._post is None or now < self._due_at:
            return
        with self._lock:
            if not self._has_arrived():
                return
            news: list[News] = []
            announces, self._is_announced = not self._is_announced, True
            if announces:
                news.append(self.started)
            note, self.progress_note = self.progress_note, None
            printed = self._take_printed()
        if note is not None and (progressed := self._progressed(*note)) is not None:
            news.append(progressed)
        if printed is not None:
            news.append(printed)
        if not news:
            return
        self._due_at = now + self._interval_s
        said = 0 if printed is None else printed.start + len(printed.text)
        try:
            arrives = self._post(self.job_id, news)
        except Exception:  # noqa: BLE001 - whatever the channel raises, the job itself must go on
            _log.warning("news of job %s could not be sent", self.job_id, exc_info=True)
            return
        with self._lock:
            if arrives is None:
                self._unsaid.drop(said)
            else:
                self._under_way = arrives, announces, said

    def _has_arrived(self) -> bool:
        """Whether no news is under way; what has not come is said again. The lock is held."""
        if self._under_way is None:
            return True
        arrives, announces, said = self._under_way
        if not arrives.done():
            return False
        self._under_way = None
        if arrives.cancelled() or arrives.exception() is not None:
            self._is_announced = not announces
        else:
            self._unsaid.drop(said)
        return True

    def _progressed(self, done: Any, total: Any, message: Any, at: float) -> Progressed | None:
        """A progress report in plain values, which can be read wherever it goes; None when it has none.

        The lock must not be held: the values' own code may print.
        """
        try:
            return Progressed(
                JobProgress(
                    done=float(done),
                    total=None if total is None else float(total),
                    message=shortened(str(message), _SENTENCE_BYTES),
                    reported_at=datetime.fromtimestamp(at, UTC),
                )
            )
        except BaseException as error:  # noqa: BLE001 - they are the user's objects; the job and its other news go on
            if not self._has_complained:
                self._has_complained = True
                said = shortened(message_text(error), _SENTENCE_BYTES)
                _log.warning("progress of job %s is not shown: %s: %s", self.job_id, class_name(error), said)
            return None

    def _take_printed(self) -> Printed | None:
        start, text = self._unsaid.kept()
        return Printed(start=start, text=text) if text else None
