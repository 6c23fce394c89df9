"""What hooks are told: a small record of what happened to a job or a scope, without arguments, results or output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Protocol, runtime_checkable

import attrs
from attrs import field, frozen
from checkmaite.jobs._shared.job_info import JobAttempt
from checkmaite.jobs._shared.kinds import FailureKind
from checkmaite.jobs._shared.reuse import ReuseKind
from checkmaite.jobs._shared.status import JobStatus
from checkmaite.jobs._shared.trace_context import TraceContext


class JobEventKind(StrEnum):
    """What happened."""

    SUBMITTED = "submitted"
    """A job was accepted. A submission that is answered with a job that is there makes none."""
    STARTED = "started"
    """A worker has begun it; again for each start of a job whose worker was lost."""
    FINISHED = "finished"
    """It is final."""
    SCOPE_IDLE = "scope_idle"
    """The last job that was not final has become so."""


@frozen(kw_only=True)
class JobEvent:
    """Something that happened to a job, or to a scope.

    Nothing in it comes from the capability's arguments, its result, its output or the text of its error.

    Attributes:
        kind: What happened.
        event_id: The same for the same event, whoever tells it and however often.
        at: When (UTC).
        backend: The backend's kind.
        scope: Its ``idempotency_scope``; None where the backend has no scopes: then it is this process's jobs.
        job_id: The job; None of ``scope_idle``, as are all that follow.
        job_name: Its name for people.
        capability_id: What it runs.
        submitted_by: Who submitted it; None when nobody knows.
        tags: What it was submitted with.
        status: What it was then.
        attempt: Number of the present or last start; 0 before the first.
        node: Where a worker has begun it.
        created_at: When it was accepted.
        started_at: When its worker has begun it; None when none has, or a short job's has not said so.
        finished_at: When it ended.
        failure: What ended it; None unless it has failed or was cancelled.
        error_type: Name of the exception's class; None unless it has failed.
        run_uid: The run, once it has completed.
        revision: Likewise.
        reuse: Likewise: whether it was made, used again, or replaces a stale one.
        reused_job_id: Likewise: the job whose result was used again, or is replaced.
        lost_attempts: Of a job that has ended, the starts that were lost before the last one: number, node and times.
        trace: The trace that it was submitted in, without the baggage; None when it was submitted in none.
        reused_span: The span of the job whose result was used again, where that one is known.
        missed: Events before this one that the hook was not told, since it was too slow.
    """

    kind: JobEventKind
    event_id: str
    at: datetime
    backend: str
    scope: str | None = None
    job_id: str | None = None
    job_name: str | None = None
    capability_id: str | None = None
    submitted_by: str | None = None
    tags: Mapping[str, str] = field(factory=dict, hash=False)
    status: JobStatus | None = None
    attempt: int | None = None
    node: str | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    failure: FailureKind | None = None
    error_type: str | None = None
    run_uid: str | None = None
    revision: int | None = None
    reuse: ReuseKind | None = None
    reused_job_id: str | None = None
    lost_attempts: tuple[JobAttempt, ...] = ()
    trace: TraceContext | None = None
    reused_span: TraceContext | None = None
    missed: int = 0

    def plain(self) -> dict[str, Any]:
        """As JSON has it: instants as ISO texts, and without what is None."""
        values = {item.name: getattr(self, item.name) for item in attrs.fields(JobEvent)}
        return {name: _plain(value) for name, value in values.items() if value is not None and value != ()}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, TraceContext):
        return {name: text for name, text in value._asdict().items() if text}
    if isinstance(value, JobAttempt):
        return {name: _plain(each) for name, each in attrs.asdict(value).items() if each not in (None, "")}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, StrEnum):
        return str(value)
    return dict(value) if isinstance(value, Mapping) else value


class JobHook:
    """Base class of hooks: what is not overridden does nothing.

    A hook is made, and all its methods are called, on one thread of its own, one after the other. It may be slow, and
    what it raises is logged and counted: jobs go on. It is made anew for each backend that is configured.

    Attributes:
        config_type: An attrs class of its options, each made with `checkmaite.jobs.spi.option`.
        traces: Whether it makes spans of jobs: then what is submitted carries the trace that it is submitted in.
    """

    config_type: ClassVar[Any] = None
    traces: ClassVar[bool] = False

    def on_event(self, event: JobEvent) -> None:
        """Something happened: calls the one of the next four that is meant."""
        match event.kind:
            case JobEventKind.SUBMITTED:
                self.on_submitted(event)
            case JobEventKind.STARTED:
                self.on_started(event)
            case JobEventKind.FINISHED:
                self.on_finished(event)
            case JobEventKind.SCOPE_IDLE:
                self.on_scope_idle(event)

    def on_submitted(self, event: JobEvent) -> None:
        """A job was accepted."""

    def on_started(self, event: JobEvent) -> None:
        """A worker has begun a job."""

    def on_finished(self, event: JobEvent) -> None:
        """A job is final."""

    def on_scope_idle(self, event: JobEvent) -> None:
        """No job is left that is not final."""

    def give_up(self) -> None:
        """Stop waiting for anything: called from another thread when the process wants to end."""


@frozen
class HookSpec:
    """A hook to be opened in whatever process tells it.

    Attributes:
        name: Its entry point.
        options: Its options as the user gave them, checked.
        traces: See `JobHook`.
    """

    name: str
    options: Mapping[str, Any] = field(factory=dict, hash=False)
    traces: bool = False


@frozen(kw_only=True)
class HookReport:
    """How a hook is doing.

    Attributes:
        name: Its entry point.
        where: The process that tells it.
        told: Events that it took without an error.
        failed: Events that it raised an exception for.
        dropped: Events that it was not told: its queue was full, or it could not be made.
        waiting: Events in its queue.
        last_error: What it raised last; empty when it never did.
    """

    name: str
    where: str
    told: int = 0
    failed: int = 0
    dropped: int = 0
    waiting: int = 0
    last_error: str = ""


@runtime_checkable
class TellsHooks(Protocol):
    """A backend that tells hooks of its jobs: its `BackendContext` says which."""

    def hook_reports(self) -> Sequence[HookReport]:
        """How its hooks are doing."""
        ...
