"""What this process has submitted, so that a job can be run again by its handle.

Models and datasets are known by weak references: that a job could be run again keeps no gigabyte in memory. Whoever
still has them, as a notebook does, can run the job again. What this process does not have a backend may have kept.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from attrs import evolve, field, frozen
from checkmaite.jobs._shared.errors import JobSubmissionError
from checkmaite.jobs._shared.job_protocols import Job
from checkmaite.jobs._shared.resources import Resources, resources_over
from checkmaite.jobs._submitters.active import active
from checkmaite.jobs._submitters.submission import Submission

if TYPE_CHECKING:
    from checkmaite.jobs._shared.trace_context import TraceContext
    from checkmaite.jobs._submitters.handle import JobHandle

MOST_KEPT = 1_000
"""Submissions of this process that can be run again: the newest."""

Submit = Callable[[Submission, str, str], Job]
"""Submits once more: what, whose run it is (a job id), and the run key that it must have."""


@frozen(kw_only=True)
class Changes:
    """What is to be other when a job is run again, as a user gives it; None where it stays as it was.

    Attributes:
        job_name: The name.
        resources: Resources; those that a mapping does not name stay.
        tags: All tags.
        options: Options of the job, by name; others stay.
        trace: What the new job is submitted in; nothing of the trace of then stays.
    """

    job_name: str | None = None
    resources: Resources | Mapping[str, Any] | None = None
    tags: Mapping[str, str] | None = None
    options: Mapping[str, Any] = field(factory=dict)
    trace: TraceContext | None = None


@runtime_checkable
class RunsAgain(Protocol):
    """Controls of a backend that keeps what jobs were given, so that another process can have them run again."""

    def run_again(self, job: JobHandle, changes: Changes) -> Job:
        """Submit the run of a job that is final once more.

        Raises:
            JobSubmissionError: What it was given is not kept, or a change is faulty.
        """
        ...


class _GoneError(Exception):
    """The process has let go of something."""


@frozen
class KeptSubmission:
    """One submission, and how it is submitted again.

    Attributes:
        submission: Without models and datasets.
        models: Gives them.
        datasets: Likewise.
        run_key: What it must have again.
        submit: What submits it.
    """

    submission: Submission
    models: Callable[[], Any]
    datasets: Callable[[], Any]
    run_key: str
    submit: Submit


_kept: OrderedDict[str, KeptSubmission] = OrderedDict()
_lock = threading.Lock()


def keep(job_id: str, submission: Submission, run_key: str, submit: Submit) -> None:
    """Remember what a job was submitted with."""
    models, datasets = _weakly(submission.models), _weakly(submission.datasets)
    if submission.models is not None or submission.datasets is not None:
        submission = evolve(submission, models=None, datasets=None)
    kept = KeptSubmission(submission, models, datasets, run_key, submit)
    with _lock:
        _kept.setdefault(job_id, kept)
        while len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)


def run_again(job: JobHandle, controls: object, changes: Changes) -> Job:
    """Submit a job's run once more: with what this process has of it, else with what its backend has kept.

    Args:
        job: The job.
        controls: What its handle asks.
        changes: What is to be other.

    Raises:
        JobSubmissionError: What it was submitted with is nowhere, or not what it was.
    """
    kept = _kept.get(job.job_id)
    if kept is None:
        why = f"it is not among the last {MOST_KEPT:,} that this process submitted"
    else:
        try:
            models, datasets = kept.models(), kept.datasets()
        except _GoneError:
            why = "this process has let go of its models or datasets"
        else:
            return kept.submit(_changed(kept.submission, models, datasets, changes), job.job_id, kept.run_key)
    if isinstance(controls, RunsAgain):
        return _run_again_there(job, controls, changes)
    raise _cannot(job.job_id, f'{why}, and only "ray" keeps what jobs were given for other processes')


def _run_again_there(job: JobHandle, controls: RunsAgain, changes: Changes) -> Job:
    from checkmaite.jobs._submitters.submit_span import SubmitSpan

    with SubmitSpan(1, is_wanted=active.traces) as span:
        new = controls.run_again(job, evolve(changes, trace=span.carried))
        span.note([new])
    return new


def _changed(submission: Submission, models: Any, datasets: Any, changes: Changes) -> Submission:
    before = submission
    return evolve(
        before,
        models=models,
        datasets=datasets,
        job_name=before.job_name if changes.job_name is None else changes.job_name,
        resources=resources_over(before.resources, changes.resources),
        tags=before.tags if changes.tags is None else changes.tags,
        options={**before.options, **changes.options},
    )


def another_run(job_id: str) -> JobSubmissionError:
    """What to raise where the objects would make another run than the job's."""
    return _cannot(job_id, "what it was submitted with has changed since, so that it would be another run")


def _cannot(job_id: str, why: str) -> JobSubmissionError:
    return JobSubmissionError(
        f"{job_id} cannot be run again from here: {why}. Submit it with submit_capability() and the same arguments.",
        phase="validate",
    )


def _nothing() -> None:
    """Gives what was not given: one for all jobs, since Python's collector looks at each object that they keep."""


def _weakly(given: Any) -> Callable[[], Any]:
    """Gives the same again for as long as somebody else holds it."""
    if given is None:
        return _nothing
    if type(given) in (list, tuple):
        sequence, parts = type(given), [_weakly(each) for each in given]
        return lambda: sequence(part() for part in parts)
    try:
        reference = weakref.ref(given)
    except TypeError:  # a mapping, a class with slots: there is no other way to have it again
        return lambda: given

    def found() -> Any:
        held = reference()
        if held is None:
            raise _GoneError
        return held

    return found
