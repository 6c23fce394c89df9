"""One job as a Ray task: what is handed to Ray, what its worker does, what is known of it while it runs or is lost."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import ray
from attrs import define, evolve, field, frozen
from checkmaite.jobs import FailureKind, Resources
from checkmaite.jobs.spi import Failed, JobHandle, Leaving, News, Post, Remains, Started
from checkmaite.jobs_ray_simple.cluster.deaths import Death
from checkmaite.jobs_ray_simple.cluster.pickling import carried, is_large
from checkmaite.jobs_ray_simple.cluster.ray_errors import explained
from checkmaite.jobs_ray_simple.cluster.resources import RemoteWork
from checkmaite.jobs_ray_simple.cluster.worker_processes import Leave, make_version_check


@frozen(kw_only=True)
class TaskRequest:
    """One job, ready to be handed to Ray.

    Attributes:
        job: Its handle.
        order: `WorkOrder.to_wire`'s value, pickled.
        payload: The pickled arguments.
        resources: What it needs.
        max_retries: How often Ray starts it again when its worker died.
        isolation: "reuse" or "process".
        code: Digest of the code that it runs.
    """

    job: JobHandle
    order: bytes = field(repr=False)
    payload: bytes = field(repr=False)
    resources: Resources
    max_retries: int
    isolation: str
    code: str

    def left(self) -> TaskRequest:
        """The same once Ray has it: a large payload is not kept a second time."""
        return evolve(self, payload=b"") if is_large(self.payload) else self

    def terms(self) -> bytes:
        """What its order has in common with others."""
        terms: bytes = pickle.loads(self.order)[0]  # noqa: S301 - builtins, from this process
        return terms

    def leave(self, work: RemoteWork) -> Any:
        """Hand the job to Ray, and return the reference of its task.

        Of what Ray may not start again, it kills last what uses up a node's memory, after actors that others need.
        """
        retries = self.max_retries or 1
        return work.start(
            *(self.order, carried(self.payload), self.max_retries),
            job_name=self.job.job_name,
            resources=self.resources,
            isolation=self.isolation,
            max_retries=retries,
            code=self.code,
        )


@define
class RunningTask:
    """A task under way.

    Attributes:
        request: What was handed to Ray.
        ref: Its reference.
        started: What its worker said last when it began.
        last_words: Why that worker said that it ends.
        given_up: Whether the worker was found dead, so that what Ray says of the task tells nothing more.
    """

    request: TaskRequest
    ref: Any
    started: Started | None = None
    last_words: str | None = None
    given_up: bool = False

    def hear(self, news: News) -> None:
        """Note what the task's worker says of itself."""
        if isinstance(news, Started):
            self.started, self.last_words = news, None
        elif isinstance(news, Leaving):
            self.last_words = news.cause


def work_that_posts_to(post: Post, leave: Leave | None) -> Callable[[bytes, bytes, int], bytes]:
    """The worker's function with the mailbox inside, for one kind of process.

    Ray sends a function once to each worker, but an argument, and an actor's handle is a dear one, with every task.
    Bytes go in and come out, because Ray pickles any other object in a way that costs several times as much. It imports
    what it needs of core once it knows that the worker's is of the same version.
    """
    check_versions, is_new = make_version_check(), True

    def checkmaite_job(order: bytes, payload: bytes, max_retries: int) -> bytes:
        worker: Any = ray  # its parts that carry no types
        if 0 <= max_retries < worker._private.worker.global_worker.core_worker.get_current_task_attempt_number():
            return b""  # Ray starts again without end what it has killed since memory ran out
        nonlocal is_new
        wire = pickle.loads(order)  # noqa: S301 - builtins, from this submitter
        if is_new:
            check_versions(wire[0])
            is_new = False
        from checkmaite.jobs.spi import WorkerProcess, execute

        return pickle.dumps(execute(wire, payload, post, WorkerProcess(leave)))

    return checkmaite_job


def explained_loss(failed: Failed, running: RunningTask, death: Death | None, left: Remains | None = None) -> Failed:
    """A lost worker's outcome with what is known of it, and how often the job was started."""
    started, wanted = running.started, running.request
    if started is not None:
        failed = evolve(failed, node=started.node, pid=started.pid)
    words, reserved = running.last_words, wanted.resources.memory
    failed = explained(failed, death, last_words=words, reserved=reserved, left=left)
    return evolve(failed, exit_cause=f"{failed.exit_cause}; starts: {wanted.max_retries + 1}")


def connection_lost(why: str) -> Failed:
    """The outcome of a job that this process hears nothing of any more."""
    return Failed(
        error_type="ConnectionLost",
        error_message=why,
        exit_cause=why,
        lost=True,
        kind=FailureKind.CANNOT_CONNECT,
        remedy="Configure the backend again and submit the job again.",
    )
