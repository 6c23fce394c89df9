"""Short jobs share a worker's task, and nothing else: what happens to one of a pack happens to no neighbour."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import Job, JobBackend, JobFailedError, JobStatus, report_progress, submit_capabilities, wait_all

from tests.late_news import LATE_S, tells_in_time_after, tells_late
from tests.ray import capabilities
from tests.ray.clusters import SOON_S, Cluster, wait_until
from tests.ray.conftest import starts

pytestmark = pytest.mark.usefixtures("attached")
SHORT = {"short": True}


def tells(folder: str, name: str, then: Callable[[], object] = capabilities.nothing) -> None:
    """Says in a file which process it has, prints, reports, and goes on."""
    (Path(folder) / f"pid-{name}").write_text(str(os.getpid()))
    sys.stdout.write(f"printed by {name}\n")
    report_progress(1, 2, name)
    then()


def pack(folder: Path, scope: str, resources: Any, **acts: Callable[[], object]) -> dict[str, Job]:
    """Short jobs of a capability that was never seen, so that all of them are in one pack; by name."""
    submissions = [
        {
            "capability": capabilities.Acts(partial(tells, str(folder), name, act), str(folder), f"acts of {scope}"),
            "config": {"run_uid": f"{scope}-{name}"},
            "job_name": name,
            "resources": resources,
            "options": {"max_retries": 1},
        }
        for name, act in acts.items()
    ]
    return dict(zip(acts, submit_capabilities(submissions), strict=True))


def processes(folder: Path, names: Sequence[str]) -> list[str]:
    """Numbers of their processes; empty texts of those that have not begun."""
    paths = [folder / f"pid-{name}" for name in names]
    return [path.read_text() if path.exists() else "" for path in paths]


def check_completed(folder: Path, scope: str, jobs: Sequence[Job]) -> None:
    """Each has run once, and has what it has printed itself."""
    assert set(wait_all(jobs, SOON_S)) == {JobStatus.COMPLETED}, [each.explain() for each in jobs]
    for job in jobs:
        assert job.logs() == f"printed by {job.job_name}\n"
        assert starts(folder, f"{scope}-{job.job_name}") == 1


def test_a_job_that_fails_or_takes_long_is_no_concern_of_its_neighbours(
    backend: JobBackend, cluster: Cluster, scope: str, tmp_path: Path
) -> None:
    waits = partial(capabilities.waits, str(tmp_path))
    jobs = pack(
        tmp_path,
        scope,
        SHORT,
        first=tells_late,
        fails=capabilities.raises,
        long=partial(tells_in_time_after, waits),
        next=capabilities.nothing,
        last=capabilities.nothing,
    )
    check_completed(tmp_path, scope, [jobs["first"], jobs["next"], jobs["last"]])
    assert isinstance(jobs["fails"].exception(SOON_S), JobFailedError)
    assert jobs["fails"].logs() == "printed by fails\n"
    ended, begun = jobs["first"].info.finished_at, jobs["fails"].info.started_at
    assert ended is not None
    assert begun is not None
    assert ended <= begun + timedelta(seconds=LATE_S / 2), "it ended when its worker was done, not when that was heard"
    (process,) = wait_until(lambda: any(told := processes(tmp_path, ["long"])) and told, "the long job does not begin")
    assert cluster.title(int(process)).startswith("ray::short jobs"), "it has a task of its own"
    long = jobs["long"]
    wait_until(lambda: long.status is JobStatus.RUNNING, "the long job is not seen to run")
    wait_until(lambda: long.progress is not None, "its progress is not seen")
    assert long.progress is not None
    assert long.progress.message == "long"
    assert long.cancel(grace=2 * SOON_S)
    assert long.wait(SOON_S) is JobStatus.CANCELLED, "it is interrupted, not ended by force"
    assert starts(tmp_path, f"{scope}-long") == 1


def test_a_job_that_kills_its_worker_costs_its_neighbours_nothing(
    backend: JobBackend, scope: str, tmp_path: Path
) -> None:
    jobs = pack(
        tmp_path,
        scope,
        SHORT,
        first=capabilities.nothing,
        kills=capabilities.killed,
        next=capabilities.nothing,
        last=capabilities.nothing,
    )
    error = jobs["kills"].exception(SOON_S)
    assert isinstance(error, JobFailedError)
    assert "starts: 2" in str(error), error
    check_completed(tmp_path, scope, [jobs["first"], jobs["next"], jobs["last"]])
    assert starts(tmp_path, f"{scope}-kills") == 2


def test_a_job_that_swallows_its_interruption_is_ended_by_force_and_its_neighbours_are_not(
    backend: JobBackend, scope: str, tmp_path: Path
) -> None:
    jobs = pack(
        tmp_path,
        scope,
        SHORT,
        first=capabilities.nothing,
        stubborn=partial(capabilities.swallows, str(tmp_path)),
        next=capabilities.nothing,
    )
    wait_until(lambda: (tmp_path / "pid-stubborn").exists(), "it does not begin")
    assert jobs["stubborn"].cancel(grace=0.0)
    assert jobs["stubborn"].wait(SOON_S) is JobStatus.CANCELLED
    check_completed(tmp_path, scope, [jobs["first"], jobs["next"]])


def test_jobs_with_gpus_or_a_process_of_their_own_never_share(
    configure: Callable[..., JobBackend], scope: str, tmp_path: Path
) -> None:
    configure(isolation="process")
    alone = pack(tmp_path, scope, SHORT, a=capabilities.nothing, b=capabilities.nothing)
    check_completed(tmp_path, scope, list(alone.values()))
    configure()
    with_gpus = {**SHORT, "num_gpus": 0.5}
    seeing = pack(tmp_path, scope, with_gpus, c=capabilities.nothing, d=capabilities.nothing)
    check_completed(tmp_path, scope, list(seeing.values()))
    assert len(set(processes(tmp_path, ["a", "b", "c", "d"]))) == 4


def test_short_jobs_that_wait_in_a_queue_are_stopped_without_a_worker(
    backend: JobBackend, scope: str, tmp_path: Path
) -> None:
    absent = {**SHORT, "custom": {"nowhere": 1}}
    jobs = pack(tmp_path, scope, absent, a=capabilities.nothing, b=capabilities.nothing)
    began = time.monotonic()
    assert jobs["a"].cancel()
    assert jobs["a"].wait(SOON_S) is JobStatus.CANCELLED
    assert time.monotonic() - began < SOON_S / 2
    assert jobs["b"].status in {JobStatus.PENDING, JobStatus.SCHEDULING}
    assert "nowhere" in jobs["b"].explain()
