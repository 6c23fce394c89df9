"""What a running job says: that it started, how far it is, what it printed.

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
from datetime import UTC, datetime
from typing import Any

from attrs import field, frozen
from checkmaite.jobs._naming import plain_text
from checkmaite.jobs._protocols import JobProgress

LOG_LIMIT_CHARACTERS = 1_000_000
"""Of a job that prints more than this, the end is kept."""

_log = logging.getLogger("checkmaite.jobs")
_DROPPED = "[... earlier output was dropped ...]\n"
_MISSING = "\n[... some output has not arrived ...]\n"


@frozen(kw_only=True)
class Started:
    """A worker has begun the job."""

    node: str = field(factory=socket.gethostname)
    pid: int = field(factory=os.getpid)
    at: datetime = field(factory=lambda: datetime.now(UTC))


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


News = Started | Progressed | Printed
Post = Callable[[str, Sequence[News]], None]
"""Hands a job's news on: ``post(job_id, news)``. It must not block for long, and may lose news when nobody listens."""


@frozen
class RemotePost:
    """A `Post` to an actor with a ``post`` method, whatever framework the actor is of."""

    actor: Any

    def __call__(self, job_id: str, news: Sequence[News]) -> None:
        self.actor.post.remote(job_id, list(news))


class LogTail:
    """The end of a job's output, put together from pieces that may come twice or out of order. Thread-safe."""

    def __init__(self, limit: int = LOG_LIMIT_CHARACTERS) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._early: dict[int, str] = {}
        self._text = ""
        self._end = 0

    def extend(self, start: int, text: str) -> None:
        """Take in a piece; what is known already is skipped, what comes too early waits for what is before it."""
        with self._lock:
            self._early[start] = max(text, self._early.get(start, ""), key=len)
            for begin in sorted(self._early):
                if begin > self._end:
                    break
                self._append(self._early.pop(begin)[self._end - begin :])
            if len(self._text) > 2 * self._limit:
                self._text = self._text[-self._limit :]

    def text(self) -> str:
        """What is known; where a piece is missing between two others, a line says so."""
        with self._lock:
            kept = self._text[-self._limit :]
            dropped = _DROPPED if len(kept) < self._end else ""
            return dropped + kept + "".join(_MISSING + self._early[start] for start in sorted(self._early))

    def _append(self, piece: str) -> None:
        self._text += piece
        self._end += len(piece)


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
        """Carry this reporter's news from now on."""
        with self._lock:
            self._reporters.add(reporter)
            if self._thread is None or not self._thread.is_alive():  # not alive: this process was forked
                self._thread = threading.Thread(target=self._go_round, name="checkmaite news", daemon=True)
                self._thread.start()

    def drop(self, reporter: Reporter) -> None:
        """Carry it no more."""
        with self._lock:
            self._reporters.discard(reporter)

    def _go_round(self) -> None:
        idle, pause = 0, threading.Event()
        while idle < self._IDLE_ROUNDS:
            pause.wait(self._ROUND_S)
            with self._lock:
                reporters = list(self._reporters)
                idle = 0 if reporters else idle + 1
                if idle == self._IDLE_ROUNDS:
                    self._thread = None
            now = time.monotonic()
            for reporter in reporters:
                reporter.deliver(now)


_couriers = _Couriers()


class Reporter:
    """One job's voice on the worker. Its methods cost the job no message: a thread of its own carries the news.

    Args:
        job_id: The job.
        post: Where news goes; None when nobody listens.
        announce_after_s: The start is announced once the job has run this long, 0 at once. A shorter job needs no
            announcement.
        interval_s: At least this long between two batches of news.
    """

    def __init__(
        self, job_id: str, post: Post | None, *, announce_after_s: float = 0.05, interval_s: float = 0.25
    ) -> None:
        self.job_id = job_id
        self._post = post
        self._interval_s = interval_s
        self._lock = threading.Lock()
        self._started_at: datetime | None = datetime.now(UTC)
        self._has_complained = False
        self.progress_note: tuple[Any, Any, Any, float] | None = None
        """Done, total, message, as the capability gave them, and when.

        Only the newest is sent, so it is noted by whoever has it, without a call.
        """
        self._unsaid: list[str] = []
        self._unsaid_size = 0
        self._sent = 0
        self._due_at = time.monotonic() + announce_after_s
        if post is None:
            return
        if announce_after_s <= 0:
            self.deliver(self._due_at)
        _couriers.carry(self)

    def printed(self, text: str) -> None:
        """Note what the job printed."""
        with self._lock:
            self._unsaid.append(text)
            self._unsaid_size += len(text)
            if self._unsaid_size > 2 * LOG_LIMIT_CHARACTERS:
                self._drop_oldest()

    def close(self) -> Printed | None:
        """End the reports; what was printed but not sent, so that it can travel with the outcome."""
        _couriers.drop(self)
        with self._lock:
            return self._take_printed()

    def deliver(self, now: float) -> None:
        """Post what there is to say, when it is time; called by the courier."""
        if self._post is None or now < self._due_at:
            return
        with self._lock:
            news: list[News] = []
            started_at, self._started_at = self._started_at, None
            if started_at is not None:
                news.append(Started(at=started_at))
            note, self.progress_note = self.progress_note, None
            printed = self._take_printed()
        if note is not None and (progressed := self._progressed(*note)) is not None:
            news.append(progressed)
        if printed is not None:
            news.append(printed)
        if not news:
            return
        self._due_at = now + self._interval_s
        try:
            self._post(self.job_id, news)
        except Exception:  # noqa: BLE001 - whatever the channel raises, the job itself must go on
            _log.warning("news of job %s could not be sent", self.job_id, exc_info=True)

    def _progressed(self, done: Any, total: Any, message: Any, at: float) -> Progressed | None:
        """A progress report in plain values, which can be read wherever it goes; None when it has none.

        The lock must not be held: the values' own code may print.
        """
        try:
            return Progressed(
                JobProgress(
                    done=float(done),
                    total=None if total is None else float(total),
                    message=plain_text(str(message)),
                    reported_at=datetime.fromtimestamp(at, UTC),
                )
            )
        except Exception as error:  # noqa: BLE001 - they are the user's objects; the job and its other news go on
            if not self._has_complained:
                self._has_complained = True
                _log.warning("progress of job %s is not shown: %s: %s", self.job_id, type(error).__name__, error)
            return None

    def _take_printed(self) -> Printed | None:
        self._drop_oldest()
        text, start = "".join(self._unsaid), self._sent
        self._unsaid.clear()
        self._unsaid_size = 0
        self._sent += len(text)
        return Printed(start=start, text=text) if text else None

    def _drop_oldest(self) -> None:
        if self._unsaid_size > LOG_LIMIT_CHARACTERS:
            kept = "".join(self._unsaid)[-LOG_LIMIT_CHARACTERS:]
            self._sent += self._unsaid_size - len(kept)
            self._unsaid, self._unsaid_size = [kept], len(kept)
