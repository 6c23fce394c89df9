"""What a handle says of its job to people: in a sentence, in a line, as a table of a notebook."""

from __future__ import annotations

import textwrap
from html import escape
from typing import TYPE_CHECKING

from checkmaite.jobs._shared.kinds import FailureKind
from checkmaite.jobs._shared.outcome import Cancelled, Completed, Failed, error_of
from checkmaite.jobs._shared.reuse import RUN, Reuse

if TYPE_CHECKING:
    from checkmaite.jobs._submitters.handle import JobHandle


def explanation(job: JobHandle, more: str) -> str:
    """Why a job is where it is.

    Args:
        job: Its handle.
        more: What the backend knows of a job that is not final.
    """
    first = f"{job.job_name} ({job.job_id}) is {job.status}"
    told = _reuse_told(job.reuse)
    match job.outcome:
        case Completed() as done:
            number = f" Its result is revision {done.ref.revision} of the run." if done.ref.revision > 1 else ""
            return f"{first}.{number}{told}" + "".join(f"\nNote: {note}" for note in done.notes)
        case Failed() | Cancelled() as ended:
            said = f"{first}.{told} {error_of(ended, job_id=job.job_id, job_name=job.job_name)}"
            return f"{said}\n{_kind_told(ended)}"
        case None:
            cancelling = " It is being cancelled." if job.cancelling else ""
            started, progress = job.started, job.progress
            where = f" on {started.node} (pid {started.pid}) since {started.at:%H:%M:%S} UTC" if started else ""
            says = f" It says: {progress.message}" if progress and progress.message else ""
            return f"{first}{where}.{cancelling}{told}{says} {more}".rstrip()


def one_line(job: JobHandle) -> str:
    """A job as its handle's repr."""
    progress, notes = job.progress, _notes(job)
    far = f", {progress.fraction:.0%}" if progress and progress.fraction is not None and not job.outcome else ""
    reuse = "" if job.reuse == RUN else f", {job.reuse}"
    noted = f", see explain(): {textwrap.shorten(notes[0], 80, placeholder=' ...')}" if notes else ""
    return f"<Job {job.job_name!r} {job.job_id} {job.status}{far}{reuse}{noted}>"


def html_table(job: JobHandle) -> str:
    """A job as notebooks show it."""
    error = error_of(job.outcome, job_id=job.job_id, job_name=job.job_name) if job.outcome else None
    progress, notes = job.progress, _notes(job)
    rows = {"job": job.job_name, "id": job.job_id, "status": str(job.status)}
    if progress and job.outcome is None:
        share = progress.fraction
        done = f"{progress.done:g}" if share is None else f"{share:.0%}"
        rows["progress"] = f"{done} {progress.message}".strip()
    rows["created"] = f"{job.created_at:%Y-%m-%d %H:%M:%S} UTC"
    if job.submitted_by:
        rows["by"] = job.submitted_by
    if job.finished_at:
        rows["took"] = f"{(job.finished_at - job.created_at).total_seconds():.1f} s"
    if job.reuse != RUN:
        rows["result"] = str(job.reuse)
    if error:
        rows["error"] = str(error.args[0])
    if notes:
        rows["note"] = "\n".join(notes)
    cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in rows.items())
    return f"<table>{cells}</table>"


def _notes(job: JobHandle) -> tuple[str, ...]:
    return job.outcome.notes if isinstance(job.outcome, Completed) else ()


def _kind_told(ended: Failed | Cancelled) -> str:
    """What kind of end it was; what to do only where the error does not know better."""
    kind = ended.kind if isinstance(ended, Failed) else FailureKind.CANCELLED
    is_told = isinstance(ended, Failed) and ended.remedy
    return f"Kind of end: {kind}. {kind.cause}" + ("" if is_told else f" {kind.remedy}")


def _reuse_told(reuse: Reuse) -> str:
    """What was decided; with what counted as equal because nothing is known of it."""
    said = f" {reuse}." if reuse != RUN else ""
    return said + "".join(f" Not compared: {each}." for each in reuse.unknown)
