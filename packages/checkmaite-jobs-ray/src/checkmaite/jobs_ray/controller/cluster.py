"""A controller's tasks: launched, cancelled, taken in when they have ended."""

from __future__ import annotations

import asyncio
import pickle
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple

from attrs import evolve
from checkmaite.jobs.spi import Completed, Failed, Finished, Remains, Started, failure
from checkmaite.jobs_ray.wire import AttemptId, Context, Launch, LostAttempt, attempt_of
from checkmaite.jobs_ray_simple.cluster import (
    LOST_WORKER,
    Death,
    Deaths,
    RemoteWork,
    StoreMaintenance,
    cancel,
    dead_for_a_while,
    explained,
    finished_from,
    leave_driver,
    lost_worker,
    make_job_function,
    packed_order,
)


class EndedTask(NamedTuple):
    """How a task ended; `worker_lost` when its worker or node died, so that another attempt may help."""

    attempt_id: AttemptId
    finished: Finished
    worker_lost: bool


def told_of(
    failed: Failed, known: LostAttempt, death: Death | None, left: Remains | None = None
) -> tuple[Failed, bool]:
    """The outcome of a lost worker with what can be learnt of the process that died, and whether it is to blame.

    It is not when Ray killed it for memory of which another worker there had more, or drained its node.
    """
    started, reserved = known.started, known.launch.spec.resources.memory
    if started is not None:
        failed = evolve(failed, node=started.node, pid=started.pid)
    told = explained(failed, death, last_words=known.last_words, reserved=reserved, left=left)
    return told, death is None or started is None or death.is_to_blame


class Tasks:
    """The Ray tasks of one controller. Its methods run on the controller's event loop.

    Args:
        controller: Handle of the controller's actor, for news.
        on_ended: Called with tasks that have ended, several at a time when they end in quick succession.
        maintenance_jobs: See `StoreMaintenance`.
    """

    def __init__(
        self, controller: Any, on_ended: Callable[[Sequence[EndedTask]], None], maintenance_jobs: int | None = None
    ) -> None:
        self._on_ended = on_ended
        self._loop = asyncio.get_running_loop()
        self._maintenance = StoreMaintenance(
            maintenance_jobs,
            took=lambda future: self._loop.call_soon_threadsafe(self._maintenance.ended, future),
            prepare=leave_driver,
        )
        self._refs: dict[AttemptId, Any] = {}
        self._contexts: dict[AttemptId, Context] = {}
        self._ended: deque[tuple[AttemptId, Future[Any]]] = deque()
        self._deaths = Deaths()
        self._work = RemoteWork(partial(make_job_function, controller, leave_driver))

    def launch(self, launch: Launch) -> None:
        """Hand a job to Ray.

        Retries are the registry's: a second start by Ray only brings the word that the first was lost. It is allowed
        since Ray kills last, after this controller and its registry, what it may not start again and uses up a node's
        memory.
        """
        spec, context = launch.spec, launch.context
        attempt_id = attempt_of(launch)
        ref = self._work.start(
            *(packed_order(spec.work_order(context.terms.written), attempt_id, 0), spec.payload),
            job_name=spec.job_name,
            resources=spec.resources,
            isolation=spec.policy.isolation,
            runtime_env=context.runtime_env,
            max_retries=1,
            code=context.terms.code.digest if context.terms.code else "",
        )
        self._refs[attempt_id], self._contexts[attempt_id] = ref, context
        ref.future().add_done_callback(partial(self._note_ended, attempt_id))

    def interrupt(self, attempt_id: AttemptId) -> None:
        """Raise KeyboardInterrupt in a task, or take it out of the queue; one that is over stays as it is."""
        if attempt_id in self._refs:
            cancel(self._refs[attempt_id], force=False)

    def force(self, attempt_id: AttemptId) -> None:
        """End a task's worker; one that is over stays as it is."""
        if attempt_id in self._refs:
            cancel(self._refs[attempt_id], force=True)

    async def lost(self, begun: Mapping[AttemptId, Started]) -> list[EndedTask]:
        """Of tasks that have begun, those whose worker has died: Ray tells it when it has room to start them again."""
        await asyncio.to_thread(self._deaths.note_leaving)
        dead = await asyncio.to_thread(dead_for_a_while, set(begun.values()))
        return [
            self._give_up(attempt_id)
            for attempt_id, started in begun.items()
            if started in dead and attempt_id in self._refs
        ]

    def _give_up(self, attempt_id: AttemptId) -> EndedTask:
        cancel(self._refs.pop(attempt_id), force=False)
        del self._contexts[attempt_id]
        return EndedTask(attempt_id, Finished(outcome=lost_worker()), worker_lost=True)

    def death_of(self, known: LostAttempt) -> Death | None:
        """What Ray can tell of the process that died under an attempt, each time once."""
        started = known.started
        return self._deaths.of_task(started.pid, started.node) if started is not None else self._deaths.of_task(None)

    def _note_ended(self, attempt_id: AttemptId, future: Future[Any]) -> None:
        """Called on a thread of Ray's; the loop is woken once for all that come before it looks."""
        self._ended.append((attempt_id, future))
        if len(self._ended) == 1:
            self._loop.call_soon_threadsafe(self._take_ended)

    def _take_ended(self) -> None:
        ended_tasks: list[EndedTask] = []
        while self._ended:
            attempt_id, future = self._ended[0]
            ended_tasks.append(_end_of(attempt_id, future))
            self._refs.pop(attempt_id, None)
            context = self._contexts.pop(attempt_id, None)
            if context is not None and isinstance(ended_tasks[-1].finished.outcome, Completed):
                self._maintain(context)
            self._ended.popleft()  # not before it was dealt with: while there is one, nobody wakes the loop again
        self._on_ended(ended_tasks)

    def _maintain(self, context: Context) -> None:
        code = context.terms.code.digest if context.terms.code else ""
        self._maintenance.completed(lambda: context.terms.written, code=code, runtime_env=context.runtime_env)


def _end_of(attempt_id: AttemptId, future: Future[Any]) -> EndedTask:
    """How a task ended; one whose result cannot be read has failed, and keeps no other back."""
    try:
        error = future.exception()
        result = future.result() if error is None else b"no result"
        if result == b"":
            return EndedTask(attempt_id, Finished(outcome=lost_worker()), worker_lost=True)
        # The bytes were made by core's `execute`, of this project's classes alone.
        finished = finished_from(error) if error is not None else pickle.loads(result)  # noqa: S301
    except Exception as unreadable:  # noqa: BLE001 - whatever a result raises when it is unpickled
        return EndedTask(attempt_id, Finished(outcome=failure(unreadable, phase="run")), worker_lost=False)
    return EndedTask(attempt_id, finished, worker_lost=isinstance(error, LOST_WORKER))
