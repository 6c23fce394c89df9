"""A controller's tasks: launched, cancelled, awaited."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import ray
import ray.exceptions as rx
from attrs import evolve
from checkmaite.jobs.spi import Failed, Finished, News, Outcome, execute
from checkmaite.jobs_ray._messages import Launch, Where
from checkmaite.jobs_ray._ray._deaths import Deaths
from checkmaite.jobs_ray_simple.wall import cancel, finished_from, task_options

__all__ = ["Landed", "Tasks", "cancel", "landing"]

_WORKER_GONE = (rx.WorkerCrashedError, rx.NodeDiedError, rx.LocalRayletDiedError, rx.OutOfMemoryError)


class Landed(NamedTuple):
    """How a task ended; `worker_lost` when its worker or node died, so that another start may help."""

    finished: Finished
    worker_lost: bool


def _work_that_posts_to(controller: Any) -> Callable[[Mapping[str, Any], bytes, tuple[str, int]], Finished]:
    """The worker's function, with its controller inside: Ray sends a function once to each worker.

    It is nested so that it travels by value, and what it needs is in core: workers have no copy of this package.
    """

    def checkmaite_job(order: Any, payload: bytes, start: tuple[str, int]) -> Finished:
        def post(_: str, news: Sequence[News]) -> None:
            controller.post.remote(start, list(news))

        return execute(order, payload, post)

    return checkmaite_job


class Tasks:
    """Launches tasks that tell their news to a controller.

    Args:
        controller: Handle of the controller's actor.
    """

    def __init__(self, controller: Any) -> None:
        self._deaths = Deaths()
        self._task: Any = ray.remote(_work_that_posts_to(controller))

    def explained(self, outcome: Outcome, where: Where | None) -> Outcome:
        """The outcome of a lost worker with what can be learnt of the process that died."""
        if not isinstance(outcome, Failed):
            return outcome
        death = self._deaths.of_task(where.pid if where else None)
        if death is None:
            return evolve(outcome, node=where.node, pid=where.pid) if where else outcome
        return evolve(
            outcome, node=death.node, pid=death.pid, exit_cause=f"{outcome.exit_cause}: {death.cause}".rstrip(": ")
        )

    def launch(self, launch: Launch) -> Any:
        """Hand a job to Ray; a reference to its end. Retries are the registry's: Ray makes none."""
        draft = launch.draft
        options = task_options(draft.job_name, draft.resources)
        if draft.runtime_env:
            options["runtime_env"] = dict(draft.runtime_env)
        return self._task.options(max_retries=0, **options).remote(
            draft.order, draft.payload, (draft.job_id, launch.attempt)
        )


async def landing(ref: Any) -> Landed:
    """Wait for a task's end."""
    try:
        return Landed(await ref, worker_lost=False)
    except (rx.RayError, ConnectionError) as error:
        return Landed(finished_from(error), worker_lost=isinstance(error, _WORKER_GONE))
