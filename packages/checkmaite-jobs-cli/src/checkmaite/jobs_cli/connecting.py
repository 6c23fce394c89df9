"""A command's way to live jobs: the backend that its settings mean, for as long as it needs one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from checkmaite.jobs import (
    BackendUnavailableError,
    ConfigurationError,
    Job,
    JobBackend,
    configure_job_backend,
    get_job,
    list_jobs,
    shutdown_job_backend,
)
from checkmaite.jobs_cli.filters import JobFilter
from checkmaite.jobs_cli.options import Asked
from checkmaite.jobs_cli.summaries import JobSummary

_OF_ONE_PROCESS = ("inline", "ray-simple")


def has_cluster(asked: Asked) -> bool:
    """Whether these settings lead to jobs that this process can reach; False where only their journal can be read.

    Raises:
        ConfigurationError: They lead to neither.
    """
    arguments = asked.arguments()
    kind = arguments.get("kind", "ray")
    if kind in _OF_ONE_PROCESS:
        raise ConfigurationError(
            f"Jobs of {kind!r} are known to the process that submitted them alone. Use kind 'ray', whose jobs other "
            "processes see."
        )
    return kind != "ray" or arguments.get("address") not in (None, "local")


def ends_with_process(asked: Asked) -> bool:
    """Whether jobs that are submitted like this end with this process, so that it has to wait for them."""
    arguments = asked.arguments()
    kind = arguments.get("kind", "ray")
    return kind in _OF_ONE_PROCESS or (kind == "ray" and arguments.get("address") in (None, "local"))


@contextmanager
def connected(asked: Asked) -> Iterator[JobBackend]:
    """The backend whose jobs other processes have submitted. They go on when the command ends.

    Raises:
        ConfigurationError: There is no cluster to ask, or the settings are wrong.
        BackendUnavailableError: The cluster does not answer, or refuses.
    """
    if not has_cluster(asked):
        raise ConfigurationError(
            "These jobs run on a Ray of the process that submitted them, which no other process reaches. Act in that "
            "process; `jobs history` shows what its journal has. To reach a cluster pass --address host:port."
        )
    with configured_backend(asked) as backend:
        yield backend


@contextmanager
def configured_backend(asked: Asked) -> Iterator[JobBackend]:
    """The backend, whatever it is; what it has begun in this process alone is cancelled at the end.

    Raises:
        ConfigurationError: The settings are wrong.
        BackendUnavailableError: They are right, and still there is no backend.
    """
    try:
        backend = configure_job_backend(**asked.arguments())
    except ConfigurationError as error:
        if error.problems:
            raise
        raise BackendUnavailableError(str(error)) from error
    try:
        yield backend
    finally:
        shutdown_job_backend(wait=False)


def find(job_ids: Sequence[str], chosen: JobFilter, *, limit: int | None = None, all_scopes: bool = False) -> list[Job]:
    """The jobs with these ids; of all jobs those that are chosen, newest first, when there are none.

    Raises:
        JobNotFoundError: Nobody knows one of them.
    """
    if job_ids:
        found = [get_job(job_id) for job_id in job_ids]
    else:
        found = list_jobs(
            limit=limit if chosen.is_exact else None,
            status_filter=chosen.statuses or None,
            submitted_after_ts=chosen.since.timestamp() if chosen.since else None,
            job_name=chosen.names[0] if chosen.names and chosen.is_exact else None,
            capability_id=chosen.capability_id,
            tags=chosen.tags,
            all_scopes=all_scopes,
        )
    return [job for job in found if chosen.takes(JobSummary.of_job(job))][:limit]
