"""Translates Ray's exceptions into outcomes of a job."""

from __future__ import annotations

import re
from typing import Any

import ray.exceptions as rx
from attrs import evolve
from checkmaite.jobs import FailureKind, JobSubmissionError
from checkmaite.jobs.spi import Cancelled, Failed, Finished, Outcome, Remains, failure
from checkmaite.jobs_ray_simple.cluster.deaths import Death
from checkmaite.jobs_ray_simple.cluster.exit_causes import how_it_ended
from checkmaite.jobs_ray_simple.cluster.runtime_env import setup_remedy

_errors: Any = rx  # their constructors carry no types
_INSTALL_CORE = (
    "Install checkmaite-jobs-core and the store's package, of the versions that are here, in the environment of every "
    'node, the head included, or name them in runtime_env={"pip": [...]}.'
)
_VANISHED = (
    "it was gone without a word, as after os._exit(), SIGKILL (which the kernel sends when memory runs out) or a crash "
    "in native code"
)
_ENDED_BY_OTHERS = "Its node was taken away, or somebody ended it; submit it again."
_MEANINGS: tuple[tuple[type[BaseException], str, bool, FailureKind], ...] = (
    (rx.OutOfMemoryError, "killed: its node was running out of memory", False, FailureKind.WORKER_MEMORY),
    (rx.WorkerCrashedError, "its worker process died", False, FailureKind.WORKER_LOST),
    (rx.NodeDiedError, "its node died", True, FailureKind.NODE_LOST),
    (rx.LocalRayletDiedError, "its node's raylet died", True, FailureKind.NODE_LOST),
    (rx.OwnerDiedError, "the process that owned it died", True, FailureKind.CONTROLLER_DIED),
    (rx.ObjectLostError, "its result was lost with the node that held it", True, FailureKind.NODE_LOST),
    (rx.TaskUnschedulableError, "no node can run it", False, FailureKind.NO_NODE),
    (rx.RaySystemError, "Ray failed", True, FailureKind.OTHER),
    (ConnectionError, "the connection to the cluster broke", True, FailureKind.CANNOT_CONNECT),
)
LOST_WORKER = (rx.WorkerCrashedError, rx.NodeDiedError, rx.LocalRayletDiedError, rx.OutOfMemoryError)
"""What Ray raises when a job's worker or node died, so that another start may help."""

_MEND_ENVIRONMENT = "Mend the runtime_env given to configure_job_backend()."
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def finished_from(error: BaseException) -> Finished:
    """How a task ended that gave an exception instead of a value."""
    return Finished(outcome=_outcome_from(error))


def _outcome_from(error: BaseException) -> Outcome:
    if isinstance(error, rx.TaskCancelledError):
        return Cancelled()
    name = type(error).__name__
    if isinstance(error, rx.RayTaskError):  # core itself never lets an exception out, so it did not get to run
        return _not_started(error)
    if isinstance(error, rx.RuntimeEnvSetupError):
        return _not_prepared(error)
    for raised, cause_text, lost, kind in _MEANINGS:
        if isinstance(error, raised):
            return Failed(
                error_type=name,
                error_message=str(error).strip(),
                phase="launch" if isinstance(error, rx.TaskUnschedulableError) else "run",
                exit_cause=cause_text,
                lost=lost,
                kind=kind,
                remedy=kind.remedy,
            )
    kind = FailureKind.OTHER
    said = str(error).strip()
    return Failed(
        error_type=name, error_message=said, exit_cause="Ray failed", lost=True, kind=kind, remedy=kind.remedy
    )


def lost_worker() -> Failed:
    """The outcome of a start whose worker died, when nothing more is known."""
    return _failed_as(rx.WorkerCrashedError())


def is_known(death: Death | None, last_words: str | None) -> bool:
    """Whether the cause of a worker's death is known, so that `explained` has no need of what it left behind."""
    return last_words is not None or (
        death is not None and bool(death.node_died or death.node_left or death.memory or death.cause)
    )


def explained(
    failed: Failed,
    death: Death | None,
    *,
    last_words: str | None,
    reserved: int | None,
    left: Remains | None = None,
) -> Failed:
    """The outcome of a start whose worker died, with what is known of that.

    Args:
        failed: What Ray says.
        death: The worker's, when it was found.
        last_words: Why the worker said that it ends, if it did.
        reserved: Bytes of memory that the job had reserved.
        left: What was found of it on its node.
    """
    if death is not None:
        failed = evolve(failed, node=death.node, pid=death.pid)
        if death.memory is not None:
            had = f"its process had {_gib(death.memory)}"
            held = f"it had reserved {_gib(reserved)}" if reserved else "it had reserved none"
            means = _failed_as(_errors.OutOfMemoryError(death.cause))
            return evolve(means, node=death.node, pid=death.pid, exit_cause=f"{means.exit_cause}; {had}, {held}")
        if death.node_died or death.node_left:
            means = _failed_as(_errors.NodeDiedError(death.cause or "The node died."))
            cause = "its node was drained and went away" if death.node_left else means.exit_cause
            return evolve(means, node=death.node, pid=death.pid, exit_cause=cause)
    if last_words is not None:
        cause = f"{failed.exit_cause}: it got {last_words}"
        return evolve(failed, exit_cause=cause, kind=FailureKind.WORKER_SIGNAL, remedy=_ENDED_BY_OTHERS)
    if death is not None and death.cause:
        return evolve(failed, exit_cause=f"{failed.exit_cause}: {death.cause}")
    if left is not None:
        cause, kind, remedy = how_it_ended(left)
        return evolve(failed, exit_cause=f"{failed.exit_cause}: {cause}", kind=kind, remedy=remedy, pid=left.pid)
    return failed if death is None else evolve(failed, exit_cause=f"{failed.exit_cause}: {_VANISHED}")


def _failed_as(error: BaseException) -> Failed:
    outcome = _outcome_from(error)
    assert isinstance(outcome, Failed)
    return outcome


def _gib(size: int) -> str:
    return f"{size / 2**30:.2f} GiB"


def _not_prepared(error: rx.RuntimeEnvSetupError) -> Failed:
    text = _COLOURS.sub("", str(error)).strip()
    return Failed(
        error_type=type(error).__name__,
        error_message=(text.splitlines() or [text])[-1],
        traceback_text=text,
        phase="launch",
        exit_cause="its runtime_env could not be set up",
        kind=FailureKind.CANNOT_START,
        remedy=setup_remedy(text) or _MEND_ENVIRONMENT,
    )


def _not_started(error: rx.RayTaskError) -> Failed:
    cause = error.cause if isinstance(error.cause, BaseException) else error
    text = _COLOURS.sub("", str(error))
    lacks = _lacks_core(text)
    return Failed(
        error_type=failure(cause, phase="start").error_type,
        error_message="the worker cannot import checkmaite.jobs"
        if lacks
        else (text.strip().splitlines() or [text])[-1],
        traceback_text=text,  # the attributes of this class are not on all that Ray makes of it
        phase="start",
        kind=FailureKind.CANNOT_START,
        remedy=_INSTALL_CORE if lacks else "",
    )


def refused(error: Exception) -> JobSubmissionError:
    """The error that Ray did not take a job, with the reason."""
    return JobSubmissionError(f"Ray did not take the job: {type(error).__name__}: {error}", phase="launch")


def _lacks_core(text: str) -> bool:
    return "No module named 'checkmaite" in text
