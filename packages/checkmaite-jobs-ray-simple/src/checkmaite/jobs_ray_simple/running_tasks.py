"""Launches this process's tasks, takes in their news, cancels them, and ends their jobs.

One thread, the courier, does everything that follows from something having happened: a task became ready, news came,
a grace ended. Ray's callbacks only put work into its queue, because they run on a thread that Ray needs, so nothing
polls and nothing blocks in ``ray.get``.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import pickle
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any
from weakref import WeakValueDictionary

from checkmaite.jobs import JobStatus, Resources
from checkmaite.jobs.spi import (
    Completed,
    Failed,
    Finished,
    JobHandle,
    Outcome,
    Remains,
)
from checkmaite.jobs_ray_simple.cluster.connection import Connection, cancel
from checkmaite.jobs_ray_simple.cluster.deaths import Death, Deaths, dead_for_a_while
from checkmaite.jobs_ray_simple.cluster.job_function import make_job_function
from checkmaite.jobs_ray_simple.cluster.maintenance import StoreMaintenance
from checkmaite.jobs_ray_simple.cluster.ray_errors import LOST_WORKER, finished_from, lost_worker, refused
from checkmaite.jobs_ray_simple.cluster.remains import REMAINS_S, remains_of
from checkmaite.jobs_ray_simple.cluster.resources import RemoteWork
from checkmaite.jobs_ray_simple.mailbox import Mailbox
from checkmaite.jobs_ray_simple.task import (
    RunningTask,
    TaskRequest,
    connection_lost,
    explained_loss,
)

_log = logging.getLogger("checkmaite.jobs")
_LISTEN_AGAIN_AFTER_S = 1.0
_WATCH_S = 2.0
_LOOK_AFTER_S = 1.0  # how soon a connection is missed that the user ended; a look asks nobody
_JOIN_TIMEOUT_S = 5.0
_ENDED = "this process's connection to Ray was ended"


class RunningTasks:
    """The tasks under way on one connection to Ray, of every backend that uses it. Thread-safe.

    Args:
        connection: The use of the connection that they have together.
        maintenance_jobs: See `StoreMaintenance`.
    """

    def __init__(self, connection: Connection, maintenance_jobs: int | None) -> None:
        self.connection = connection
        self.users: set[object] = set()
        self._lock = threading.Lock()
        self._under_way: dict[str, RunningTask] = {}
        self._handles: WeakValueDictionary[str, JobHandle] = WeakValueDictionary()
        self._deaths = Deaths()
        self._queue: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._timers: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._work: RemoteWork | None = None
        self._mailbox: Mailbox | None = None
        self._poll = 0
        self._listening = False
        self._watching = False
        # References of a connection that the user ends stay here: letting go of one while Ray shuts down, on another
        # thread than the user's, ends the process.
        self._abandoned: list[object] = []
        self._courier: threading.Thread | None = None
        self._maintenance = StoreMaintenance(
            maintenance_jobs, took=lambda future: self._hand_to_courier(self._maintenance.ended, future)
        )

    # -- what a backend asks ------------------------------------------------------------------------------------------

    def launch(self, requests: Sequence[TaskRequest]) -> None:
        """Hand jobs to Ray, all of them or none.

        Raises:
            JobSubmissionError: Ray did not take one of them.
        """
        refs: list[Any] = []
        try:
            with self._lock:
                work = self._open()
            for each in requests:
                self._handles[each.job.job_id] = each.job
                refs.append(each.leave(work))
        except Exception as error:
            # Whatever Ray raises here, what it took before must not run.
            for ref in refs:
                cancel(ref, force=True)
            raise refused(error) from error
        for each, ref in zip(requests, refs, strict=True):
            with self._lock:
                self._under_way[each.job.job_id] = RunningTask(each.left(), ref)
            each.job.advance(JobStatus.SCHEDULING)
        for each, ref in zip(requests, refs, strict=True):
            # After Ray has all of them: through ray:// this waits for the server to have taken the task.
            ref.future().add_done_callback(partial(self._hand_to_courier, partial(self._land, each.job)))
        self._queue.put(self._listen)
        with self._lock:
            begin = not self._watching
            self._watching = True
        if begin:
            self._queue.put(self._watch)

    def cancel(self, job: JobHandle, grace: float) -> None:
        """Stop a job: cooperatively now, by force after `grace` seconds."""
        running = self._under_way.get(job.job_id)
        if running is None:
            return
        cancel(running.ref, force=False)
        at = time.monotonic() + grace
        self._queue.put(lambda: self._at(at, partial(self._force, job.job_id)))

    def live(self) -> list[JobHandle]:
        """The jobs under way, oldest first."""
        with self._lock:
            return [each.request.job for each in self._under_way.values()]

    def resources(self, job: JobHandle) -> Resources | None:
        """What a job under way needs; None when it is over."""
        running = self._under_way.get(job.job_id)
        return running.request.resources if running else None

    def close(self, *, connected: bool) -> None:
        """Stop listening. Jobs that are still under way are lost to this process.

        Args:
            connected: Whether the connection is still there.
        """
        self.fall_silent()
        if self._mailbox is not None and connected:
            self._mailbox.close()
        self._lose_all("this process ended its connection to Ray")

    def fall_silent(self) -> None:
        """End the courier thread, after which nothing here calls Ray."""
        if self._courier is not None:
            self._queue.put(None)
            if threading.current_thread() is not self._courier:
                self._courier.join(_JOIN_TIMEOUT_S)

    # -- the courier --------------------------------------------------------------------------------------------------

    def _open(self) -> RemoteWork:
        if self._work is None:
            # The start of what needs a process waits for the first job, so that configuring stays quick.
            self._mailbox = Mailbox()
            self._work = RemoteWork(partial(make_job_function, self._mailbox.actor, None))
            self._courier = threading.Thread(target=self._carry, name="checkmaite-ray-simple-courier", daemon=True)
            self._courier.start()
        return self._work

    def _hand_to_courier(self, act: Callable[[Future[Any]], object], future: Future[Any]) -> None:
        self._queue.put(partial(self._take, act, future))

    def _take(self, act: Callable[[Future[Any]], object], future: Future[Any]) -> None:
        if not self.connection.is_alive():
            self._abandoned.append(future)
        act(future)

    def _at(self, at: float, act: Callable[[], object]) -> None:
        heapq.heappush(self._timers, (at, next(self._numbers), act))

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

    def _land(self, job: JobHandle, future: Future[Any]) -> None:
        error = future.exception()
        result = future.result() if error is None else b""
        # The bytes were made by core's `execute`, of this project's classes alone.
        finished: Finished | None = pickle.loads(result) if result else None  # noqa: S301
        running = self._under_way.get(job.job_id)
        if running is not None and running.given_up:
            return
        if finished is None:
            finished = finished_from(error) if error is not None else Finished(outcome=lost_worker())
        if finished.started is not None:  # a short start has not told it, and the output of one before is another's
            job.apply(finished.started)
        if finished.printed is not None:
            job.apply(finished.printed)
        job.measured(finished.used)
        outcome: Outcome = finished.outcome
        if isinstance(outcome, Failed):
            if not self.connection.is_alive():
                # It did not fail by itself: Ray ends the workers of a driver that leaves.
                outcome = connection_lost(_ENDED)
            elif running is not None and not result and (error is None or isinstance(error, LOST_WORKER)):
                self._recover(running, outcome)
                return
        self._settle(job, outcome)

    def _settle(self, job: JobHandle, outcome: Outcome) -> None:
        with self._lock:
            running = self._under_way.pop(job.job_id, None)
        job.finish(outcome)
        if running is not None and isinstance(outcome, Completed):
            terms = running.request.order.terms
            self._maintenance.completed(terms, code=running.request.code)

    def _recover(self, running: RunningTask, failed: Failed) -> None:
        """End a job whose worker has died, after a look for what it had printed and not told, and for how it ended."""
        job, death = running.request.job, self._death_of(running)

        def finish(left: Remains | None = None) -> None:
            self._settle(job, explained_loss(failed, running, death, left))

        self._at(time.monotonic() + REMAINS_S, finish)
        try:
            asked = remains_of(job.job_id, explained_loss(failed, running, death).node)
        except Exception:  # noqa: BLE001 - whatever Ray raises about its nodes, the job has ended
            _log.info("what job %s printed last could not be looked for", job.job_id, exc_info=True)
            asked = []
        waiting = set(asked)

        def take(answered: Any, future: Future[Any]) -> None:
            left = future.result() if future.exception() is None else None
            if left is not None:
                job.replace_output(left.printed)
            waiting.discard(answered)
            if left is not None or not waiting:
                finish(left)

        for each in asked:
            each.future().add_done_callback(partial(self._hand_to_courier, partial(take, each)))
        if not asked:
            finish()

    def _death_of(self, running: RunningTask) -> Death | None:
        started = running.started
        return self._deaths.of_task(started.pid, started.node) if started is not None else self._deaths.of_task(None)

    def _watch(self) -> None:
        """Find jobs whose worker has died: those that may not start again end, since Ray reports them when it has room.

        The others wait until Ray has room for their next start.
        """
        with self._lock:
            watched = [each for each in self._under_way.values() if not each.given_up]
            self._watching = bool(watched) and self.connection.is_alive()
        if not self._watching:
            return
        self._at(time.monotonic() + _WATCH_S, self._watch)
        begun = {each.started: each for each in watched if each.started and each.request.job.started}
        for started in dead_for_a_while(begun.keys()) if begun else ():
            running = begun[started]
            if running.request.max_retries:
                running.request.job.lose_start()
                running.request.job.advance(JobStatus.SCHEDULING)
                continue
            running.given_up = True
            cancel(running.ref, force=False)
            self._recover(running, lost_worker())

    def _force(self, job_id: str) -> None:
        running = self._under_way.get(job_id)
        if running is not None:
            cancel(running.ref, force=True)

    def _listen(self) -> None:
        if self._listening or self._mailbox is None:
            return
        if not self.connection.is_alive():
            self._lose_all(_ENDED)
            return
        self._listening = True
        self._poll += 1
        # A connection that the user ends leaves every reference unanswered, the next one too.
        self._at(time.monotonic() + _LOOK_AFTER_S, partial(self._check, self._poll))
        self._mailbox.collect().future().add_done_callback(partial(self._hand_to_courier, self._hear))

    def _hear(self, future: Future[Any]) -> None:
        self._listening = False
        assert self._mailbox is not None, "who listens has a mailbox"
        if future.exception() is not None:  # the mailbox's node died: Ray starts it again, empty
            self._at(time.monotonic() + _LISTEN_AGAIN_AFTER_S, self._listen_or_lose)
            return
        letters = self._mailbox.read(future.result())
        for job_id, news in letters:
            running = self._under_way.get(job_id)
            if running is not None:
                for each in news:
                    running.hear(each)
            job = self._handles.get(job_id)
            if job is not None:
                for each in news:
                    job.apply(each)
        if letters or self._under_way:  # the last words of a job may come after its end
            self._listen()

    def _check(self, poll: int) -> None:
        if self._listening and self._poll == poll:
            self._listening = self.connection.is_alive()
            self._listen_or_lose()
            if self._listening:
                self._at(time.monotonic() + _LOOK_AFTER_S, partial(self._check, poll))

    def _listen_or_lose(self) -> None:
        if self._under_way or not self.connection.is_alive():
            self._listen()

    def _lose_all(self, why: str) -> None:
        with self._lock:
            lost, self._under_way = list(self._under_way.values()), {}
        self._abandoned += [running.ref for running in lost]
        for running in lost:
            running.request.job.finish(connection_lost(why))
