"""The Ray tasks that run packs of short jobs. Each takes its jobs with it, since nobody on the cluster could be asked.

All methods are called on the courier's thread. A job that is stopped in a pack that no worker has begun takes the pack
out of Ray's queue; its neighbours go out anew.
"""

from __future__ import annotations

import logging
import pickle
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

from checkmaite.jobs.spi import (
    NOTHING_BEGUN,
    Cancelled,
    Failed,
    Finished,
    LeftPack,
    LeftPackNews,
    PackedJob,
    Packing,
    RunnerNews,
    ShortJobs,
    Started,
    failure,
    read_left_pack,
    read_pack_news,
)
from checkmaite.jobs_ray_simple.cluster.connection import cancel
from checkmaite.jobs_ray_simple.cluster.deaths import dead_for_a_while
from checkmaite.jobs_ray_simple.cluster.job_function import make_pack_function
from checkmaite.jobs_ray_simple.cluster.ray_errors import LOST_WORKER, finished_from, lost_worker
from checkmaite.jobs_ray_simple.cluster.remains import REMAINS_S, pack_left_by
from checkmaite.jobs_ray_simple.cluster.resources import RemoteWork
from checkmaite.jobs_ray_simple.courier import Courier
from checkmaite.jobs_ray_simple.mailbox import Mailbox
from checkmaite.jobs_ray_simple.task import TaskRequest, start_of

_log = logging.getLogger("checkmaite.jobs")
_AHEAD = 64
"""Packs of a kind that Ray has at once. With so many workers one process cannot keep up with short jobs anyway."""
_ASIDE_S = 0.5
"""What shares a pack with a job that is ended by force has this long to be given back before, and a pack that waits to
leave Ray's queue."""
FORCE_AGAIN_S = 1.0
_LOOK_AGAIN_S = 0.2
_NOT_BEGUN = ("launch", "start")


class Packs:
    """The packs under way on one connection.

    Args:
        mailbox: Tells runners which of their jobs are to stop.
        courier: Brings what Ray answers.
        jobs: What is known of the jobs, and told of them.
        lose: Is told of a job that was running when its runner died, and of that process, as far as it is known.
    """

    def __init__(
        self,
        mailbox: Mailbox,
        courier: Courier,
        jobs: ShortJobs[TaskRequest],
        lose: Callable[[str, Started | None], object],
    ) -> None:
        self._mailbox = mailbox
        self._courier = courier
        self._jobs = jobs
        self._lose = lose
        self._packing = Packing(secrets.token_hex(8), jobs, ahead=_AHEAD)
        self._work = RemoteWork(partial(make_pack_function, mailbox.actor, None))
        self._refs: dict[str, Any] = {}
        self._forced: set[str] = set()

    def add(self, requests: Sequence[TaskRequest]) -> None:
        """Jobs wait for a pack, but for those that were stopped before they came here."""
        now = time.monotonic()
        for each in requests:
            if self._jobs.begins(start_of(each), now):
                self._packing.add(each)
        self._start()

    def hear(self, runner: str, said: bytes) -> None:
        """A runner says how its pack goes on."""
        self._take(runner, read_pack_news(said))
        self._start()

    def began(self, job_id: str, started: Started) -> None:
        """A job says in which process it has begun."""
        runner = self._packing.runner_of((job_id, 1))
        if runner is not None:
            self._packing.began(runner, started)

    def stop(self, job_id: str, force_at: float) -> None:
        """A job is to stop, and its process is ended when it has not by then; one that waits ends at once."""
        start, now = (job_id, 1), time.monotonic()
        runner = self._packing.stop(start, now)
        if runner is None:
            return
        if self._packing.shares(runner) or runner not in self._packing.begun():
            force_at = max(force_at, now + _ASIDE_S)
        self._courier.follow(self._mailbox.stop(runner, start), lambda _: self._interrupt(runner, start))
        self._courier.at(force_at, partial(self._force, runner, start))

    def end_dead(self) -> None:
        """Find runners whose process has died: Ray tells of them when it has room to start them again."""
        begun = {started: runner for runner, started in self._packing.begun().items() if runner in self._refs}
        for started in dead_for_a_while(begun) if begun else ():
            cancel(self._refs.pop(begun[started]), force=False)
            self._look_into(begun[started])

    def abandoned(self) -> Sequence[Any]:
        """The references of all tasks, which nobody follows any more."""
        refs, self._refs = list(self._refs.values()), {}
        return refs

    # -- inside -------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        if not self._courier.is_connected:
            return  # all jobs are lost with the connection, and Ray would be started anew for them
        for runner, pack in self._packing.packs(time.monotonic()):
            first = pack[0]
            try:
                ref = self._work.start(
                    *(runner, first.order.terms.written, _written(pack)),
                    job_name="short jobs",
                    resources=first.resources,
                    isolation=first.isolation,
                    max_retries=1,  # see `TaskRequest.leave`; a second start does nothing
                    code=first.code,
                )
            except Exception as error:  # noqa: BLE001 - whatever Ray raises for jobs of one kind must not keep the others
                self._refuse(runner, failure(error, phase="launch"))
                continue
            self._refs[runner] = ref
            self._courier.follow(ref, partial(self._land, runner))

    def _refuse(self, runner: str, failed: Failed) -> None:
        for start in self._packing.refused(runner):
            self._jobs.ended(start, Finished(outcome=failed), time.monotonic())

    def _take(self, runner: str, news: RunnerNews) -> None:
        self._packing.began(runner, news.started)  # the first news is of no pack
        self._packing.take(runner, news, time.monotonic())

    def _land(self, runner: str, future: Future[Any]) -> None:
        if self._refs.pop(runner, None) is None or not self._courier.is_connected:
            return  # it was found dead before, or all jobs are lost with the connection
        error = future.exception()
        result = future.result() if error is None else b""
        outcome = None if error is None or isinstance(error, LOST_WORKER) else finished_from(error).outcome
        if result:
            self._take(runner, read_pack_news(result))
            self._over(runner, NOTHING_BEGUN)
        elif runner in self._packing.begun():
            self._look_into(runner)
        elif isinstance(outcome, Cancelled) and runner not in self._forced:  # a process that has begun takes it as news
            self._over(runner, NOTHING_BEGUN)
        elif isinstance(outcome, Failed) and outcome.phase in _NOT_BEGUN:
            self._refuse(runner, outcome)
        else:
            self._look_into(runner)

    def _look_into(self, runner: str) -> None:
        """A runner has died: what its process has noted says which job was running, and how others had ended."""
        started = self._packing.begun().get(runner)
        try:
            asked = pack_left_by(runner, started.node if started is not None else None, leaves_driver=False)
        except Exception:  # noqa: BLE001 - whatever Ray raises about its nodes, the runner is gone
            _log.info("what runner %s had done could not be looked for", runner, exc_info=True)
            asked = []

        def take(left: LeftPack | None) -> None:
            self._over(runner, read_left_pack(left) if left is not None else None, started)

        self._courier.first_of(asked, REMAINS_S, take)

    def _over(self, runner: str, left: LeftPackNews | None, started: Started | None = None) -> None:
        self._forced.discard(runner)
        for job_id, _ in self._packing.over(runner, left, lost_worker(), time.monotonic()):
            self._lose(job_id, started)
        self._packing.sweep()
        self._start()

    def _interrupt(self, runner: str, start: tuple[str, int]) -> None:
        """Have a runner ask which of its jobs are to stop, or take it out of Ray's queue.

        While several are in a pack that runs nothing is done: Ray would interrupt one that waits for Ray, whichever is
        meant. It asks by itself when it gives back the others.
        """
        if runner not in self._refs or self._packing.runner_of(start) != runner:
            return
        if self._packing.shares(runner) and runner in self._packing.begun():
            self._courier.at(time.monotonic() + _LOOK_AGAIN_S, partial(self._interrupt, runner, start))
            return
        cancel(self._refs[runner], force=False, with_children=False)  # they may be of another job

    def _force(self, runner: str, start: tuple[str, int]) -> None:
        """End a job's process. It is asked again: Ray forgets it while an interruption is on its way."""
        if runner in self._refs and self._packing.runner_of(start) == runner:
            self._forced.add(runner)
            cancel(self._refs[runner], force=True)
            self._courier.at(time.monotonic() + FORCE_AGAIN_S, partial(self._force, runner, start))


def _written(pack: Sequence[TaskRequest]) -> bytes:
    """A pack as a runner reads it."""
    return pickle.dumps([PackedJob(start_of(each), each.order.to_wire(), each.payload) for each in pack])
