"""Short jobs that a worker process runs one after the other, in packs of some fifty milliseconds.

A task of its own costs such a job more than it does itself. So a *runner*, which is one task, asks for packs of jobs,
runs them as `execute` runs any job, and tells how they ended when it asks for the next pack. What a pack that takes
longer has not begun is given back, for others to run: whatever is taken out of a pack under its lock never begins here.
"""

from __future__ import annotations

import _thread
import logging
import os
import pickle
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from os import _exit
from types import FrameType
from typing import Any, NamedTuple, Protocol

from attrs import evolve, frozen
from checkmaite.jobs._shared.news import News, Started
from checkmaite.jobs._shared.order import Wire
from checkmaite.jobs._shared.outcome import Cancelled
from checkmaite.jobs._shared.signals import Handler, set_handler
from checkmaite.jobs._workers.execution import Finished, execute
from checkmaite.jobs._workers.failing import failure
from checkmaite.jobs._workers.hygiene import KeptWorld, WorkerProcess
from checkmaite.jobs._workers.interrupt import Interrupt
from checkmaite.jobs._workers.pack_notes import PackNotes, Sender

_log = logging.getLogger("checkmaite.jobs")
_LATE_S = 0.15
"""A pack of this age gives back what it has not begun. It is made to take a third of it."""
_RUNNER_S = 1.0
"""After so long a runner ends, so that what else waits for its place gets it."""
_LOOK_S = 0.02
_ANSWER_S = 10.0


class PackedJob(NamedTuple):
    """One job of a pack."""

    sender: Sender
    order: Wire
    payload: bytes


class EndedJob(NamedTuple):
    """How a job of a pack ended, as the pickled `Finished`, and in how many seconds."""

    sender: Sender
    took_s: float
    finished: bytes


class PackNews(NamedTuple):
    """What a runner says of its present pack: all of it each time, so that nothing of it can be lost.

    Attributes:
        started: The process.
        number: Of the pack, 0 before the first: what comes late is about no later one.
        ended: The jobs that have ended.
        unbegun: Those that it gives back.
    """

    started: Started
    number: int
    ended: Sequence[EndedJob]
    unbegun: Sequence[Sender]


class Line(Protocol):
    """Connects a runner with whoever gives it jobs. Nothing blocks."""

    def next_pack(self, runner: str, news: PackNews) -> Future[bytes]:
        """The next jobs, a pickled sequence of `PackedJob`; none when the runner is to end."""
        ...

    def tell(self, runner: str, news: PackNews) -> Future[Collection[Sender]]:
        """Say how a pack goes on; which of its jobs are to stop."""
        ...

    def post(self, sender: Sender, news: Sequence[News]) -> Future[Any]:
        """Hand on what one of the jobs says."""
        ...


@frozen
class RemoteLine:
    """A `Line` to an actor with these methods, of any framework whose references have ``future()``.

    A future is waited for without the framework's knowledge, which would else give this process's CPU away meanwhile.
    """

    actor: Any

    def next_pack(self, runner: str, news: PackNews) -> Future[bytes]:
        """See `Line`."""
        answer: Future[bytes] = self.actor.next_pack.remote(runner, pickle.dumps(news)).future()
        return answer

    def tell(self, runner: str, news: PackNews) -> Future[Collection[Sender]]:
        """See `Line`."""
        answer: Future[Collection[Sender]] = self.actor.tell_of_pack.remote(runner, pickle.dumps(news)).future()
        return answer

    def post(self, sender: Sender, news: Sequence[News]) -> Future[Any]:
        """See `Line`."""
        arrived: Future[Any] = self.actor.post.remote(sender, list(news)).future()
        return arrived


def run_packs(
    runner: str, line: Line, process: WorkerProcess, *, task_is_over: Callable[[], bool] = lambda: True
) -> bytes:
    """Run packs until there is none, or long enough; what is not told yet, as pickled `PackNews`.

    Once this has looked for its first pack, no signal interrupts the task: else Ray would hear that it was cancelled,
    and nothing of the jobs that have run.

    Args:
        runner: Its id.
        line: To whoever gives the jobs.
        process: This one, which must take further jobs after one.
        task_is_over: Whether the task that calls this has ended; asked by the handler that this leaves behind.
    """
    news = PackNews(Started(), 0, (), ())
    until = time.monotonic() + _RUNNER_S
    notes, kept = PackNotes(runner), KeptWorld()
    process = evolve(process, kept=kept)
    desk = _Desk(runner, line, task_is_over)
    try:
        with desk.open():
            while True:
                try:
                    jobs = pickle.loads(line.next_pack(runner, news).result())  # noqa: S301 - from this task's owner
                except Exception:  # noqa: BLE001 - whatever the channel raises: what is not told yet is the result
                    _log.debug("runner %s gets no further jobs", runner, exc_info=True)
                    return pickle.dumps(news)
                if not jobs:
                    return pickle.dumps(news._replace(ended=(), unbegun=()))
                pack = _Pack(jobs, notes, partial(PackNews, news.started, news.number + 1))
                news = desk.run(pack, process)
                if pack.is_last or time.monotonic() > until:
                    return pickle.dumps(news)
    finally:
        kept.end()
        notes.end()


class _Pack:
    """Jobs that run here one after the other.

    Args:
        jobs: They.
        notes: Of this process.
        say: Makes news of what has ended and what is given back.
    """

    def __init__(self, jobs: Sequence[PackedJob], notes: PackNotes, say: Any) -> None:
        self._waiting = deque(jobs)
        self._notes = notes
        self._say = say
        self._lock = threading.Lock()
        self._present: Sender | None = None
        self._stopped: set[Sender] = set()
        self._ended: list[EndedJob] = []
        self._unbegun: list[Sender] = []
        self._late_at = time.monotonic() + _LATE_S
        self._told = 0
        self.is_asked = False
        """Somebody has sent a signal: one of these jobs is to stop, perhaps."""
        self.is_last = False
        """This process takes no further job."""

    def close(self) -> None:
        """Begin nothing more, here or in a later pack of this process."""
        with self._lock:
            self.is_last = True
            self._give_back()

    def run(self, line: Line, process: WorkerProcess) -> PackNews:
        """Run the jobs; what became of each."""

        def leave() -> None:
            self.close()
            if process.leave is not None:
                process.leave()

        leaving, ended, pid = evolve(process, leave=leave), None, os.getpid()
        try:
            self._notes.begin_pack()
        except OSError:
            self.close()
        while (job := self._next(ended)) is not None:
            began = time.monotonic()
            try:
                finished = execute(
                    job.order,
                    job.payload,
                    lambda _, news, sender=job.sender: line.post(sender, news),  # type: ignore[misc]
                    leaving,
                    Interrupt(self._is_meant),
                )
            except KeyboardInterrupt:  # it has come when the job was nearly over: who knows what it has broken off
                leave()
                finished = Finished(outcome=Cancelled())
            except Exception as error:  # noqa: BLE001 - a fault of this library's, which is to fail this job alone
                finished = Finished(outcome=failure(error, phase="run"))
            if os.getpid() != pid:  # a child that the job has forked, and that has come back: the others are not its
                _exit(1)
            ended = EndedJob(job.sender, time.monotonic() - began, pickle.dumps(finished))
        with self._lock:
            return self._news()

    def look(self, now: float) -> PackNews | None:
        """Give back what has not begun, when it is late; what there is to tell at once, if anything."""
        with self._lock:
            if now < self._late_at and not self.is_asked:
                return None
            if now >= self._late_at:
                self._give_back()
            news = len(self._ended) + len(self._unbegun)
            if news == self._told and not self.is_asked:
                return None
            self.is_asked = False
            return self._news()

    def told(self, news: PackNews, stops: Collection[Sender]) -> None:
        """This has arrived, and these of the jobs are to stop."""
        with self._lock:
            self._told = max(self._told, len(news.ended) + len(news.unbegun))
            for job in [each for each in self._waiting if each.sender in stops]:
                self._waiting.remove(job)
                self._ended.append(EndedJob(job.sender, 0.0, pickle.dumps(Finished(outcome=Cancelled()))))
            if self._present is not None and self._present in stops:
                self._stopped.add(self._present)
                _thread.interrupt_main()  # a signal would not come: Ray's processes have this one blocked

    def _is_meant(self) -> bool:
        """Called by a signal's handler, on the thread that may have the lock."""
        if self._present in self._stopped:
            return True
        self.is_asked = True
        return False

    def _next(self, ended: EndedJob | None) -> PackedJob | None:
        with self._lock:
            if ended is not None:
                self._ended.append(ended)
            job = self._waiting[0] if self._waiting else None
            try:
                self._notes.note(ended and (ended.sender, ended.finished), job and job.sender)
            except OSError as error:
                _log.warning("this worker process runs no further short jobs: %s", error)
                self.is_last = True
                self._give_back()
                job = None
            if job is not None:
                self._waiting.popleft()
            self._present = job and job.sender
            return job

    def _give_back(self) -> None:
        self._unbegun += [each.sender for each in self._waiting]
        self._waiting.clear()

    def _news(self) -> PackNews:
        news: PackNews = self._say(tuple(self._ended), tuple(self._unbegun))
        return news


class _Desk:
    """Looks after the pack under way while the main thread runs its jobs.

    Args:
        runner: The runner's id.
        line: To whoever gives the jobs.
        task_is_over: See `run_packs`.
    """

    def __init__(self, runner: str, line: Line, task_is_over: Callable[[], bool]) -> None:
        self._runner = runner
        self._line = line
        self._task_is_over = task_is_over
        self._pack: _Pack | None = None
        self._is_closed = threading.Event()

    @contextmanager
    def open(self) -> Iterator[None]:
        """Within the block there is a thread that looks, and a signal stops no job that it is not meant for."""
        before = set_handler(signal.SIGINT, self._on_signal)
        if isinstance(before, _LeftHandler):
            before = before.before
        try:
            threading.Thread(target=self._look, name="checkmaite packs", daemon=True).start()
            yield
        finally:
            self._is_closed.set()
            set_handler(signal.SIGINT, _LeftHandler(before, self._task_is_over))

    def run(self, pack: _Pack, process: WorkerProcess) -> PackNews:
        """Run a pack."""
        self._pack = pack
        try:
            return pack.run(self._line, process)
        finally:
            self._pack = None

    def _on_signal(self, _number: int, _frame: object) -> None:
        if (pack := self._pack) is not None:
            pack.is_asked = True

    def _look(self) -> None:
        while not self._is_closed.wait(_LOOK_S):
            pack = self._pack
            news = pack.look(time.monotonic()) if pack is not None else None
            if pack is None or news is None:
                continue
            try:
                stops = self._line.tell(self._runner, news).result(_ANSWER_S)
            except Exception:  # noqa: BLE001 - whatever the channel raises: it is told again
                _log.debug("news of runner %s did not arrive", self._runner, exc_info=True)
                pack.is_asked = True
                continue
            pack.told(news, stops)


@frozen
class _LeftHandler:
    """Handles SIGINT between a runner's last job and the end of its task: not at all. Later it steps aside.

    Attributes:
        before: The handler that was there before.
        task_is_over: See `run_packs`.
    """

    before: Handler
    task_is_over: Callable[[], bool]

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """Called by the interpreter."""
        if self.task_is_over():
            before = signal.default_int_handler if self.before is None else self.before
            set_handler(number, before)
            if callable(before):
                before(number, frame)
