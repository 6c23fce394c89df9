"""One job as a Ray task: what is handed to Ray, what is known of it while it runs or is lost."""

from __future__ import annotations

from typing import Any

from attrs import define, evolve, field, frozen
from checkmaite.jobs import FailureKind, Resources
from checkmaite.jobs.spi import (
    MOST_PACKED_BYTES,
    Failed,
    JobHandle,
    Leaving,
    News,
    Remains,
    ShortJob,
    Started,
    WorkOrder,
)
from checkmaite.jobs_ray_simple.cluster.deaths import Death
from checkmaite.jobs_ray_simple.cluster.job_function import packed_order
from checkmaite.jobs_ray_simple.cluster.pickling import carried, is_large
from checkmaite.jobs_ray_simple.cluster.ray_errors import explained
from checkmaite.jobs_ray_simple.cluster.resources import RemoteWork
from checkmaite.jobs_ray_simple.cluster.worker_processes import needs_own_process


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
        packs_by_history: Whether it shares a task when its capability has been short so far.
    """

    job: JobHandle
    order: WorkOrder = field(repr=False)
    payload: bytes = field(repr=False)
    resources: Resources
    max_retries: int
    isolation: str
    packs_by_history: bool = False

    @property
    def code(self) -> str:
        """Digest of the code that it runs."""
        return self.order.terms.code.digest if self.order.terms.code else ""

    def shares_task(self, *, was_short: bool) -> bool:
        """Whether it runs in a pack: one that is short, needs no process of its own, and is small.

        One that may be started once only does not by history alone: when a node is lost, nobody knows which jobs of a
        pack had begun.

        Args:
            was_short: Whether its capability has been short so far.
        """
        by_history = was_short and self.packs_by_history and self.max_retries != 0
        return (
            (self.resources.short or by_history)
            and not needs_own_process(self.resources, self.isolation)
            and len(self.payload) <= MOST_PACKED_BYTES
        )

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
    """A job under way.

    Attributes:
        request: What was handed to Ray.
        ref: The reference of its task; None while it shares one.
        started: What its worker said last when it began.
        last_words: Why that worker said that it ends.
        given_up: Whether the worker was found dead, so that what Ray says of the task tells nothing more.
        lost_starts: Starts that were lost in a pack, beside those that Ray counts.
    """

    request: TaskRequest
    ref: Any
    started: Started | None = None
    last_words: str | None = None
    given_up: bool = False
    lost_starts: int = 0

    @classmethod
    def of(cls, request: TaskRequest, ref: Any) -> RunningTask:
        """A job that Ray has, or that waits for a pack, where its arguments are needed still."""
        return cls(request if ref is None else request.left(), ref)

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
    return evolve(failed, exit_cause=f"{failed.exit_cause}; starts: {wanted.max_retries + 1 + running.lost_starts}")


def start_of(request: TaskRequest) -> tuple[str, int]:
    """The start of a job that shares a task: its first, since a further one has a task of its own."""
    return request.job.job_id, 1


def described(request: TaskRequest) -> ShortJob[TaskRequest]:
    """What there is to know of a job that shares a task with others of its code and resources."""
    kind = request.code, request.resources
    return ShortJob(start_of(request), kind, request.job.capability_id, len(request.payload), request)


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
