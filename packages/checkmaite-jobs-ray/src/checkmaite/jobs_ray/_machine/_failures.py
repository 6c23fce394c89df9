"""How a job ends that the machinery around it has failed."""

from __future__ import annotations

from checkmaite.jobs.spi import Failed
from checkmaite.jobs_ray._machine._record import Record


def lost(reason: str, record: Record) -> Failed:
    """Its start was lost, and no other follows."""
    return Failed(
        error_type="ControllerLost",
        error_message=f"start {record.attempt} ended when {reason}",
        phase="lost",
        node=record.where.node if record.where else None,
        pid=record.where.pid if record.where else None,
        exit_cause=reason,
        lost=True,
        remedy='Submit it again, or raise max_attempts; with recovery="resubmit" that happens by itself.',
    )


def superseded(other: str) -> Failed:
    """Another job stands for its run by now."""
    return Failed(
        error_type="RunSubmittedAgain",
        error_message=f"{other} was submitted for the same run while the controller of this job could not be reached",
        phase="lost",
        lost=True,
        remedy=f"Use {other}.",
    )


def no_worker(record: Record) -> Failed:
    """It found no worker in the time that it had."""
    return Failed(
        error_type="SchedulingTimeout",
        error_message=f"no worker took it within {record.draft.policy.scheduling_timeout_s:g} s",
        phase="schedule",
        remedy="Ask for resources that the cluster has free, or raise scheduling_timeout_s.",
    )
