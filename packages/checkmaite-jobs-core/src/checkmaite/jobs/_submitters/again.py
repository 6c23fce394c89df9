"""What this process has submitted, so that a job can be run again by its handle.

Models and datasets are known by weak references: that a job could be run again keeps no gigabyte in memory. Whoever
still has them, as a notebook does, can run the job again.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from attrs import evolve, frozen
from checkmaite.jobs._shared.errors import JobSubmissionError
from checkmaite.jobs._shared.job_protocols import Job
from checkmaite.jobs._submitters.submission import Submission

MOST_KEPT = 1_000
"""Submissions of this process that can be run again: the newest."""

Submit = Callable[[Submission, str, str], Job]
"""Submits once more: what, whose run it is (a job id), and the run key that it must have."""


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
    kept = KeptSubmission(
        evolve(submission, models=None, datasets=None),
        _weakly(submission.models),
        _weakly(submission.datasets),
        run_key,
        submit,
    )
    with _lock:
        _kept.setdefault(job_id, kept)
        while len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)


def run_again(job_id: str, **changed: Any) -> Job:
    """Submit a job's run once more.

    Args:
        job_id: The job.
        **changed: Arguments of `Submission` that replace those of then; those of ``options`` are added to them.

    Raises:
        JobSubmissionError: What it was submitted with is not here, or not what it was.
    """
    kept = _kept.get(job_id)
    if kept is None:
        why = f"it is not among the last {MOST_KEPT:,} that this process submitted"
        kept_where = "what a job was given is kept where it was submitted, and on a cluster until it ends"
        raise _cannot(job_id, f"{why}; {kept_where}")
    try:
        models, datasets = kept.models(), kept.datasets()
    except _GoneError:
        raise _cannot(job_id, "this process has let go of its models or datasets") from None
    options = {**kept.submission.options, **changed.pop("options", {})}
    given = {name: value for name, value in changed.items() if value is not None}
    return kept.submit(
        evolve(kept.submission, models=models, datasets=datasets, options=options, **given), job_id, kept.run_key
    )


def another_run(job_id: str) -> JobSubmissionError:
    """What to raise where the objects would make another run than the job's."""
    return _cannot(job_id, "what it was submitted with has changed since, so that it would be another run")


def _cannot(job_id: str, why: str) -> JobSubmissionError:
    return JobSubmissionError(
        f"{job_id} cannot be run again from here: {why}. Submit it with submit_capability() and the same arguments.",
        phase="validate",
    )


def _weakly(given: Any) -> Callable[[], Any]:
    """Gives the same again for as long as somebody else holds it."""
    if type(given) in (list, tuple):
        sequence, parts = type(given), [_weakly(each) for each in given]
        return lambda: sequence(part() for part in parts)
    try:
        reference = weakref.ref(given)
    except TypeError:  # None, a mapping, a class with slots: there is no other way to have it again
        return lambda: given

    def found() -> Any:
        held = reference()
        if held is None:
            raise _GoneError
        return held

    return found
