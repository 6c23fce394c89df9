"""One job as a Ray task: what is handed to Ray, what is known of it while it runs or is lost."""

from __future__ import annotations

from typing import Any

from attrs import define, evolve, field, frozen
from checkmaite.jobs import FailureKind, Resources
from checkmaite.jobs.spi import Failed, JobHandle, Leaving, News, Remains, Started, WorkOrder
from checkmaite.jobs_ray_simple.cluster.deaths import Death
from checkmaite.jobs_ray_simple.cluster.job_function import packed_order
from checkmaite.jobs_ray_simple.cluster.pickling import carried, is_large
from checkmaite.jobs_ray_simple.cluster.ray_errors import explained
from checkmaite.jobs_ray_simple.cluster.resources import RemoteWork


@frozen(kw_only=True)
class TaskRequest:
    """One job, ready to be handed to Ray.

    Attributes:
        job: Its handle.
        order: What its worker has to know.
        payload: The pickled arguments.
        resources: What it needs.
        max_retries: How often Ray starts it again when its worker died.
        isolation: "reuse" or "process".
    """

    job: JobHandle
    order: WorkOrder = field(repr=False)
    payload: bytes = field(repr=False)
    resources: Resources
    max_retries: int
    isolation: str

    @property
    def code(self) -> str:
        """Digest of the code that it runs."""
        return self.order.terms.code.digest if self.order.terms.code else ""

    def left(self) -> TaskRequest:
        """The same once Ray has it: a large payload is not kept a second time."""
        return evolve(self, payload=b"") if is_large(self.payload) else self

    def leave(self, work: RemoteWork) -> Any:
        """Hand the job to Ray, and return the reference of its task.

        Of what Ray may not start again, it kills last what uses up a node's memory, after actors that others need.
        """
        packed = packed_order(self.order.to_wire(), self.job.job_id, self.max_retries)
        return work.start(
            *(packed, carried(self.payload)),
            job_name=self.job.job_name,
            resources=self.resources,
            isolation=self.isolation,
            max_retries=self.max_retries or 1,
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
