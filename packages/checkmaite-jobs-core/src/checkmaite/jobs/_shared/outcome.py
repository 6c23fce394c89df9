"""How a job ends: a sum type, so that "completed without a result" cannot be written."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any, assert_never

from attrs import field, frozen
from checkmaite.jobs._shared.errors import JobCancelledError, JobFailedError, JobLostError
from checkmaite.jobs._shared.kinds import FailureKind
from checkmaite.jobs._shared.refs import CapabilityRunRef, Report
from checkmaite.jobs._shared.reuse import RUN, Reuse
from checkmaite.jobs._shared.status import JobStatus
from checkmaite.jobs._shared.texts import shortened

MESSAGE_BYTES = 12 * 2**10
TRACEBACK_BYTES = 24 * 2**10
_NAME_BYTES = 512
_SENTENCES_BYTES = 2 * 2**10
_NOTES = 8


def _name(text: str) -> str:
    return shortened(text, _NAME_BYTES)


def _message(text: str) -> str:
    return shortened(text, MESSAGE_BYTES)


def _traceback(text: str) -> str:
    return shortened(text, TRACEBACK_BYTES)


def _sentences(text: str) -> str:
    return shortened(text, _SENTENCES_BYTES)


def _optional_sentences(text: str | None) -> str | None:
    return None if text is None else _sentences(text)


def _first_notes(notes: Iterable[str]) -> tuple[str, ...]:
    return tuple(_sentences(note) for note in islice(notes, _NOTES))


@frozen(kw_only=True)
class Completed:
    """The run is stored durably.

    Attributes:
        ref: Where its results are.
        reuse: What the worker and the store decided: whether the result was made, was another job's, or replaces one
            that was stale.
        notes: What the user should know although the job succeeded, for example a report that failed.
    """

    ref: CapabilityRunRef
    reuse: Reuse = RUN
    notes: tuple[str, ...] = field(default=(), converter=_first_notes)

    def __reduce__(self) -> tuple[Any, ...]:
        """How it is pickled, four times for each job: in one piece with its ref, which takes half as long."""
        ref = self.ref
        about = ref.run_uid, ref.revision, ref.capability_id, ref.store_uri, ref.commit_uri, ref.outputs_uri, ref.report
        return _completed, (*about, self.reuse, self.notes)


def _completed(
    run_uid: str,
    revision: int,
    capability_id: str,
    store_uri: str | None,
    commit_uri: str | None,
    outputs_uri: str | None,
    report: Report | None,
    reuse: Reuse,
    notes: tuple[str, ...],
) -> Completed:
    ref = CapabilityRunRef(
        run_uid=run_uid,
        revision=revision,
        capability_id=capability_id,
        store_uri=store_uri,
        commit_uri=commit_uri,
        outputs_uri=outputs_uri,
        report=report,
    )
    return Completed(ref=ref, reuse=reuse, notes=notes)


@frozen(kw_only=True)
class Failed:
    """The run ended in an error. The fields are those of `JobFailedError`.

    Its texts are cut to what an error, an explanation and a row of the history can take: 64 KiB in all.

    Attributes:
        kind: What ended it; `FailureKind.OTHER` where an earlier version did not say.
        lost: True when the machinery around the job died, so that `JobLostError` is raised.
        remedy: What to do next, when the cause is known well enough to say.
    """

    error_type: str = field(converter=_name)
    error_message: str = field(converter=_message)
    traceback_text: str = field(default="", converter=_traceback)
    phase: str = "run"
    node: str | None = None
    pid: int | None = None
    exit_cause: str | None = field(default=None, converter=_optional_sentences)
    lost: bool = False
    remedy: str = field(default="", converter=_sentences)
    kind: FailureKind = FailureKind.OTHER


@frozen(kw_only=True)
class Cancelled:
    """The job was cancelled and its work has stopped."""

    reason: str = field(default="cancelled on request", converter=_sentences)


Outcome = Completed | Failed | Cancelled


def status_of(outcome: Outcome) -> JobStatus:
    """The final status that an outcome means."""
    match outcome:
        case Completed():
            return JobStatus.COMPLETED
        case Failed():
            return JobStatus.FAILED
        case Cancelled():
            return JobStatus.CANCELLED
        case _:
            assert_never(outcome)


def kind_of(outcome: Outcome) -> FailureKind | None:
    """What ended a job; None when it completed."""
    match outcome:
        case Completed():
            return None
        case Failed():
            return outcome.kind
        case Cancelled():
            return FailureKind.CANCELLED
        case _:
            assert_never(outcome)


def error_of(outcome: Outcome, *, job_id: str, job_name: str) -> JobFailedError | JobCancelledError | None:
    """The exception that an outcome means to somebody who asked for the result; None when it completed."""
    match outcome:
        case Completed():
            return None
        case Failed():
            return _failure(outcome, job_id, job_name)
        case Cancelled():
            return JobCancelledError(f"job {job_name} ({job_id}) was cancelled: {outcome.reason}.", job_id=job_id)
        case _:
            assert_never(outcome)


def _failure(failed: Failed, job_id: str, job_name: str) -> JobFailedError:
    where = f" on {failed.node}" if failed.node else ""
    where += f" (pid {failed.pid})" if failed.pid else ""
    cause = f" [{failed.exit_cause}]" if failed.exit_cause else ""
    remedy = f"\n{failed.remedy}" if failed.remedy else ""
    kind = JobLostError if failed.lost else JobFailedError
    return kind(
        f"job {job_name} ({job_id}) failed in phase {failed.phase!r}{where}{cause}: "
        f"{failed.error_type}: {failed.error_message}{remedy}",
        job_id=job_id,
        error_type=failed.error_type,
        error_message=failed.error_message,
        traceback_text=failed.traceback_text,
        phase=failed.phase,
        node=failed.node,
        pid=failed.pid,
        exit_cause=failed.exit_cause,
        kind=failed.kind,
    )
