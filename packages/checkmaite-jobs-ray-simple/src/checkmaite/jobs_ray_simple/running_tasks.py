"""Launches this process's tasks, takes in their news, cancels them, and ends their jobs.

What follows from something having happened is the courier's: a task became ready, news came, a grace ended.
"""

from __future__ import annotations

import logging
import pickle
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

from attrs import evolve
from checkmaite.jobs import JobStatus, Resources
from checkmaite.jobs.spi import Failed, Finished, JobHandle, Letter, Outcome, PackTold, Remains, Started, failure
from checkmaite.jobs_ray_simple.cluster.connection import Connection, cancel
from checkmaite.jobs_ray_simple.cluster.deaths import Death, Deaths, dead_for_a_while
from checkmaite.jobs_ray_simple.cluster.job_function import make_job_function
from checkmaite.jobs_ray_simple.cluster.maintenance import StoreMaintenance
from checkmaite.jobs_ray_simple.cluster.ray_errors import LOST_WORKER, finished_from, lost_worker, refused
from checkmaite.jobs_ray_simple.cluster.remains import REMAINS_S, remains_of
from checkmaite.jobs_ray_simple.cluster.resources import RemoteWork
from checkmaite.jobs_ray_simple.courier import Courier
from checkmaite.jobs_ray_simple.listening import Listening
from checkmaite.jobs_ray_simple.mailbox import Mailbox
from checkmaite.jobs_ray_simple.packs import FORCE_AGAIN_S, Packs
from checkmaite.jobs_ray_simple.task import RunningTask, TaskRequest, connection_lost, explained_loss
from checkmaite.jobs_ray_simple.under_way import UnderWay

_log = logging.getLogger("checkmaite.jobs")
_WATCH_S = 2.0
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
        self._under_way = UnderWay(completed=self._count, doubt=self._doubt)
        self._handles: WeakValueDictionary[str, JobHandle] = WeakValueDictionary()
        self._deaths = Deaths()
        self._courier = Courier(connection)
        self._work: RemoteWork | None = None
        self._mailbox: Mailbox | None = None
        self._packs: Packs | None = None
        self._listening: Listening | None = None
        self._watching = False
        self._maintenance = StoreMaintenance(
            maintenance_jobs, took=lambda future: self._courier.hand(self._maintenance.ended, future)
        )

    # -- what a backend asks ------------------------------------------------------------------------------------------

    def launch(self, requests: Sequence[TaskRequest]) -> None:
        """Hand jobs to Ray, all of them or none; short ones wait here until there is a pack of them.

        Raises:
            JobSubmissionError: Ray did not take one of them. Short ones fail one by one where Ray does not take a pack.
        """
        alone: list[TaskRequest] = []
        short: list[TaskRequest] = []
        for each in requests:
            was_short = self._under_way.are_short(each.job.capability_id)
            (short if each.shares_task(was_short=was_short) else alone).append(each)
        refs: dict[str, Any] = {}
        try:
            with self._lock:
                work = self._open()
            for each in requests:
                self._handles[each.job.job_id] = each.job
            for each in alone:
                refs[each.job.job_id] = each.leave(work)
        except Exception as error:
            # Whatever Ray raises here, what it took before must not run.
            for ref in refs.values():
                cancel(ref, force=True)
            raise refused(error) from error
        self._under_way.add(RunningTask.of(each, refs.get(each.job.job_id)) for each in requests)
        with self._lock:
            begins_watch, self._watching = not self._watching, True
        for each in requests:
            each.job.advance(JobStatus.SCHEDULING)
        for each in alone:
            # After Ray has all of them: through ray:// this waits for the server to have taken the task.
            self._courier.follow(refs[each.job.job_id], partial(self._land, each.job))
        self._courier.put(partial(self._pack, short))
        assert self._listening is not None, "who has launched listens"
        self._courier.put(self._listening.listen)
        if begins_watch:
            self._courier.put(self._watch)

    def cancel(self, job: JobHandle, grace: float) -> None:
        """Stop a job: cooperatively now, by force after `grace` seconds."""
        running, at = self._under_way.get(job.job_id), time.monotonic() + grace
        if running is None:
            return
        if (ref := running.ref) is not None:
            cancel(ref, force=False)
        self._courier.put(partial(self._stop, job.job_id, at, ref))

    def live(self) -> list[JobHandle]:
        """The jobs under way, oldest first."""
        return [each.request.job for each in self._under_way.all()]

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
        self._courier.end()

    # -- the courier --------------------------------------------------------------------------------------------------

    def _open(self) -> RemoteWork:
        if self._work is None:
            # The start of what needs a process waits for the first job, so that configuring stays quick.
            self._mailbox = Mailbox()
            self._listening = Listening(
                self._mailbox,
                self._courier,
                hear=self._hear,
                is_wanted=lambda: self._under_way,
                lose=partial(self._lose_all, _ENDED),
            )
            self._work = RemoteWork(partial(make_job_function, self._mailbox.actor, None))
            self._courier.begin()
        return self._work

    def _pack(self, requests: Sequence[TaskRequest]) -> None:
        if not requests:
            return
        assert self._mailbox is not None, "who launches has a mailbox"
        self._packs = self._packs or Packs(self._mailbox, self._courier, self._under_way, self._lose)
        self._packs.add(requests)

    def _stop(self, job_id: str, force_at: float, interrupted: Any) -> None:
        running = self._under_way.get(job_id)
        if running is None:
            return
        if running.ref is None:
            if self._packs is not None:  # else it is still on its way there, and is not taken in
                self._packs.stop(job_id, force_at)
            return
        if running.ref is not interrupted:  # it has left its pack in the meantime
            cancel(running.ref, force=False)
        self._courier.at(force_at, partial(self._force, job_id))

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
        self._under_way.take_in(job, finished)
        outcome: Outcome = finished.outcome
        if isinstance(outcome, Failed):
            if not self.connection.is_alive():
                # It did not fail by itself: Ray ends the workers of a driver that leaves.
                outcome = connection_lost(_ENDED)
            elif running is not None and not result and (error is None or isinstance(error, LOST_WORKER)):
                self._recover(running, outcome)
                return
        self._under_way.settle(job, outcome)

    def _count(self, request: TaskRequest) -> None:
        if self.connection.is_alive():  # else Ray would be started anew for it
            self._maintenance.completed(request.order.terms, code=request.code)

    def _recover(self, running: RunningTask, failed: Failed) -> None:
        """End a job whose worker has died, after a look for what it had printed and not told, and for how it ended."""
        job, death = running.request.job, self._death_of(running)

        def finish(left: Remains | None) -> None:
            if left is not None:
                job.replace_output(left.printed)
            self._under_way.settle(job, explained_loss(failed, running, death, left))

        try:
            asked = remains_of(job.job_id, explained_loss(failed, running, death).node)
        except Exception:  # noqa: BLE001 - whatever Ray raises about its nodes, the job has ended
            _log.info("what job %s printed last could not be looked for", job.job_id, exc_info=True)
            asked = []
        self._courier.first_of(asked, REMAINS_S, finish)

    def _lose(self, job_id: str, started: Started | None) -> None:
        """A job was running in a pack whose process has died: it starts again by itself, if it may."""
        running = self._under_way.get(job_id)
        if running is None:
            return
        if started is not None and running.started is None:
            running.started = started
            running.request.job.apply(started)
        if running.request.max_retries and not running.request.job.cancelling:
            self._begin_again(running, counts=True)
        else:
            self._recover(running, lost_worker())

    def _doubt(self, running: RunningTask, failed: Failed) -> None:
        """A job may have begun in a pack that is gone: it begins again where it may, which costs it nothing."""
        if running.request.max_retries and not running.request.job.cancelling:
            self._begin_again(running, counts=False)
        else:
            failed = explained_loss(failed, running, self._death_of(running))
            self._under_way.settle(running.request.job, failed)

    def _begin_again(self, running: RunningTask, *, counts: bool) -> None:
        """Start a job that was in a pack again, with a task of its own."""
        assert self._work is not None, "it has begun before"
        request, job = running.request, running.request.job
        if counts and request.max_retries > 0:
            request = evolve(request, max_retries=request.max_retries - 1)
            running.lost_starts += 1
        job.lose_start()
        running.request, running.started, running.last_words = request.left(), None, None
        try:
            running.ref = request.leave(self._work)
        except Exception as error:  # noqa: BLE001 - whatever Ray raises for one job must not keep the others
            self._under_way.settle(job, failure(error, phase="launch"))
            return
        job.advance(JobStatus.SCHEDULING)
        self._courier.follow(running.ref, partial(self._land, job))

    def _death_of(self, running: RunningTask) -> Death | None:
        started = running.started
        return self._deaths.of_task(started.pid, started.node) if started is not None else self._deaths.of_task(None)

    def _watch(self) -> None:
        """Find jobs whose worker has died: those that may not start again end, since Ray reports them when it has room.

        The others wait until Ray has room for their next start.
        """
        with self._lock:
            watched = [each for each in self._under_way.all() if not each.given_up]
            self._watching = bool(watched) and self.connection.is_alive()
        if not self._watching:
            return
        self._courier.at(time.monotonic() + _WATCH_S, self._watch)
        if self._packs is not None:
            self._packs.end_dead()
        alone = [each for each in watched if each.ref is not None]
        begun = {each.started: each for each in alone if each.started and each.request.job.started}
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
        """End a job's process. It is asked again: Ray forgets it while an interruption is on its way."""
        running = self._under_way.get(job_id)
        if running is not None and running.ref is not None and not running.given_up:
            cancel(running.ref, force=True)
            self._courier.at(time.monotonic() + FORCE_AGAIN_S, partial(self._force, job_id))

    def _hear(self, letters: Sequence[Letter]) -> None:
        for sender, news in letters:
            running, job = self._under_way.get(sender), self._handles.get(sender)
            for each in news:
                if isinstance(each, PackTold):
                    assert self._packs is not None, "a runner has a pack from here"
                    self._packs.hear(sender, each.said)
                    continue
                if running is not None:
                    running.hear(each)
                    if isinstance(each, Started) and self._packs is not None:
                        self._packs.began(sender, each)
                if job is not None:
                    job.apply(each)

    def _lose_all(self, why: str) -> None:
        lost = self._under_way.lose_all(why)
        self._courier.abandon([running.ref for running in lost])
        if self._packs is not None:
            self._courier.abandon(self._packs.abandoned())
