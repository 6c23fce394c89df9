"""A controller's tasks: launched, cancelled, taken in when they have ended."""

from __future__ import annotations

import asyncio
import logging
import pickle
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple

from attrs import evolve
from checkmaite.jobs.spi import (
    Completed,
    Failed,
    Finished,
    LeftPack,
    LeftPackNews,
    PackedJob,
    Remains,
    RunnerNews,
    RunnerOrder,
    Started,
    failure,
    read_left_pack,
    read_pack_news,
)
from checkmaite.jobs_ray.wire import AttemptId, Context, Launch, LostAttempt, attempt_of
from checkmaite.jobs_ray_simple.cluster import (
    LOST_WORKER,
    REMAINS_S,
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
    make_runner_function,
    pack_left_by,
    packed_order,
    start_worker,
)

_log = logging.getLogger("checkmaite.jobs")


class EndedTask(NamedTuple):
    """How a task ended; `worker_lost` when its worker or node died, so that another attempt may help."""

    attempt_id: AttemptId
    finished: Finished
    worker_lost: bool


class EndedRunner(NamedTuple):
    """How a runner of short jobs ended.

    Attributes:
        news: What it has said last; None when it could not.
        failed: Why Ray did not let it begin, if it did not.
    """

    runner: str
    news: RunnerNews | None
    failed: Failed | None = None


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
        on_runner_ended: Called with each task that has run packs of short jobs.
        maintenance_jobs: See `StoreMaintenance`.
    """

    def __init__(
        self,
        controller: Any,
        on_ended: Callable[[Sequence[EndedTask]], None],
        on_runner_ended: Callable[[EndedRunner], None],
        maintenance_jobs: int | None = None,
    ) -> None:
        self._on_ended = on_ended
        self._on_runner_ended = on_runner_ended
        self._loop = asyncio.get_running_loop()
        self._maintenance = StoreMaintenance(
            maintenance_jobs,
            took=lambda future: self._loop.call_soon_threadsafe(self._maintenance.ended, future),
            prepare=leave_driver,
        )
        self._refs: dict[AttemptId | str, Any] = {}
        self._contexts: dict[AttemptId, Context] = {}
        self._ended: deque[tuple[AttemptId | str, Future[Any]]] = deque()
        self._is_woken = False
        self._deaths = Deaths()
        self._work = RemoteWork(partial(make_job_function, controller, leave_driver))
        self._runs = RemoteWork(partial(make_runner_function, controller, leave_driver))
        self._first_worker: Any = None

    def prepare(self) -> None:
        """Have a worker process started before the first job comes: none that is there already runs its tasks."""
        self._first_worker = start_worker()

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

    def start(self, order: RunnerOrder[Launch]) -> None:
        """Have Ray start a runner. A second start by Ray does nothing, as with a job's task."""
        runner, (spec, context, *_) = order
        ref = self._runs.start(
            *(runner, context.terms.written),
            job_name="short jobs",
            resources=spec.resources,
            isolation=spec.policy.isolation,
            runtime_env=context.runtime_env,
            max_retries=1,
            code=context.terms.code.digest if context.terms.code else "",
        )
        self._refs[runner] = ref
        ref.future().add_done_callback(partial(self._note_ended, runner))

    def interrupt(self, task: AttemptId | str) -> None:
        """Raise KeyboardInterrupt in a task, or take it out of the queue; one that is over stays as it is.

        A runner takes it as the word that one of its jobs is to stop, and asks which.
        """
        if task in self._refs:
            is_runner = isinstance(task, str)  # what one of its jobs has started is not another's to stop
            cancel(self._refs[task], force=False, with_children=not is_runner)

    def force(self, task: AttemptId | str) -> bool:
        """End a task's worker, or a runner's; False when it is over."""
        if task not in self._refs:
            return False
        cancel(self._refs[task], force=True)
        return True

    async def lost(
        self, begun: Mapping[AttemptId, Started], runners: Mapping[str, Started]
    ) -> tuple[list[EndedTask], list[EndedRunner]]:
        """Of tasks that have begun, those whose worker has died: Ray tells it when it has room to start them again."""
        await asyncio.to_thread(self._deaths.note_leaving)
        dead = await asyncio.to_thread(dead_for_a_while, {*begun.values(), *runners.values()})
        tasks = [
            self._give_up(attempt_id)
            for attempt_id, started in begun.items()
            if started in dead and attempt_id in self._refs
        ]
        gone = [runner for runner, started in runners.items() if started in dead and runner in self._refs]
        for runner in gone:
            cancel(self._refs.pop(runner), force=False)
        return tasks, [EndedRunner(runner, None) for runner in gone]

    def _give_up(self, attempt_id: AttemptId) -> EndedTask:
        cancel(self._refs.pop(attempt_id), force=False)
        del self._contexts[attempt_id]
        return EndedTask(attempt_id, Finished(outcome=lost_worker()), worker_lost=True)

    def death_of(self, known: LostAttempt) -> Death | None:
        """What Ray can tell of the process that died under an attempt, each time once."""
        started = known.started
        return self._deaths.of_task(started.pid, started.node) if started is not None else self._deaths.of_task(None)

    def completed(self, launch: Launch) -> None:
        """A job that a runner had is completed."""
        self._maintain(launch.context)

    def _note_ended(self, task: AttemptId | str, future: Future[Any]) -> None:
        """Called on a thread of Ray's, or on the loop's own when the task was over before anybody asked.

        The loop is woken once for all that come before it looks. Two threads at once may wake it twice, never not.
        """
        self._ended.append((task, future))
        if not self._is_woken:
            self._is_woken = True
            self._loop.call_soon_threadsafe(self._take_ended)

    def _take_ended(self) -> None:
        self._is_woken = False  # before it looks: who has seen it as True has added to what is looked at now
        ended_tasks: list[EndedTask] = []
        while self._ended:
            task, future = self._ended.popleft()
            try:
                if isinstance(task, str):
                    self._take_runner(task, future)
                else:
                    ended_tasks.append(_end_of(task, future))
                    self._let_go(task, ended_tasks[-1])
            except Exception:  # noqa: BLE001 - whatever it was, the others have ended too
                _log.exception("the end of task %s was not all dealt with", task)
        self._on_ended(ended_tasks)

    def _take_runner(self, runner: str, future: Future[Any]) -> None:
        if self._refs.pop(runner, None) is not None:  # one that was given up has ended already
            self._on_runner_ended(_end_of_runner(runner, future))

    def _let_go(self, attempt_id: AttemptId, ended: EndedTask) -> None:
        self._refs.pop(attempt_id, None)
        context = self._contexts.pop(attempt_id, None)
        if context is not None and isinstance(ended.finished.outcome, Completed):
            self._maintain(context)

    def _maintain(self, context: Context) -> None:
        code = context.terms.code.digest if context.terms.code else ""
        self._maintenance.completed(context.terms, code=code, runtime_env=context.runtime_env)


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


# -- what travels between runners and their controller -----------------------------------------------------------------


def written_pack(launches: Sequence[Launch]) -> bytes:
    """A pack as a runner reads it."""
    return pickle.dumps(
        [
            PackedJob(attempt_of(each), each.spec.work_order(each.context.terms.written), each.spec.payload)
            for each in launches
        ]
    )


async def left_pack(runner: str, started: Started, context: Context) -> LeftPackNews | None:
    """What the dead worker of a runner has noted of its pack; None when it has noted nothing, or nobody answers."""
    left: LeftPack | None
    try:
        async with asyncio.timeout(REMAINS_S):
            for each in pack_left_by(runner, started.node, context.runtime_env, leaves_driver=True):
                left = await each
                if left is not None:
                    return read_left_pack(left)
    except Exception:  # noqa: BLE001 - whatever Ray raises about the node, nothing is known of the pack
        _log.info("what runner %s had done could not be looked for", runner, exc_info=True)
    return None


def _end_of_runner(runner: str, future: Future[Any]) -> EndedRunner:
    try:
        result = future.result()
        return EndedRunner(runner, read_pack_news(result) if result else None)
    except Exception as error:  # noqa: BLE001 - whatever Ray raises of a task, its runner is gone
        _log.info("a runner of short jobs was lost", exc_info=True)
        outcome = None if isinstance(error, LOST_WORKER) else finished_from(error).outcome
        return EndedRunner(runner, None, outcome if isinstance(outcome, Failed) else None)
