"""Short jobs share a task of Ray, and nothing else: what happens to one of a pack happens to no neighbour."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import (
    Job,
    JobFailedError,
    JobStatus,
    configure_job_backend,
    report_progress,
    submit_capabilities,
    wait_all,
)
from checkmaite.jobs._shared import paces
from checkmaite.jobs.testing._samples import wait_for_mark, wait_until

from tests.late_news import LATE_S, tells_in_time_after, tells_late
from tests.ray_simple import capabilities
from tests.stopping import stop_backend

SOON_S = 60.0
SHORT = {"short": True}


@pytest.fixture
def configure(local_ray: Any) -> Iterator[Callable[..., object]]:
    local_ray.cloudpickle.register_pickle_by_value(capabilities)
    local_ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    yield partial(configure_job_backend, "ray-simple", analytics_store={"backend": "null"})
    stop_backend()
    local_ray.cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    local_ray.cloudpickle.unregister_pickle_by_value(capabilities)


@pytest.fixture
def backend(configure: Callable[..., object]) -> None:
    configure()


def nothing() -> None:
    """Ends at once."""


def raises() -> None:
    raise ValueError("no")


def tells(folder: str, name: str, then: Callable[[], object] = nothing) -> None:
    """Says in files which process it has and how often it began, prints, reports, and goes on."""
    (Path(folder) / f"pid-{name}").write_text(str(os.getpid()))
    with (Path(folder) / f"starts-{name}").open("a") as file:
        file.write("x")
    sys.stdout.write(f"printed by {name}\n")
    report_progress(1, 2, name)
    then()


def killed_after(folder: str) -> None:
    wait_for_mark(folder, "go")
    capabilities.killed()


def starts_a_task(folder: str) -> None:
    """Waits for a task of its own, which goes on for as long as it is told to."""
    import ray

    def child() -> str:
        (Path(folder) / "child").touch()
        wait_for_mark(folder, "go")
        return "went on"

    untyped: Any = ray
    assert untyped.get(untyped.remote(num_cpus=0)(child).remote()) == "went on"


def holds_the_result(folder: str) -> None:
    """Has its process wait, once the last job of the pack has run and the others are told, until Ray interrupts it."""
    import time

    from checkmaite.jobs._workers import packs

    left = packs._LeftHandler.__call__
    end = packs.PackNotes.end

    def note(handler: Any, number: int, frame: Any) -> None:
        (Path(folder) / "interrupted").touch()
        left(handler, number, frame)

    def hold(notes: Any) -> None:
        packs.PackNotes.end = end  # type: ignore[method-assign]
        (Path(folder) / "held").touch()
        try:
            while not (Path(folder) / "interrupted").exists():
                time.sleep(0.01)
        finally:
            packs._LeftHandler.__call__ = left  # type: ignore[method-assign]
            end(notes)

    while not (Path(folder) / "told").exists():
        time.sleep(0.01)
    packs._LeftHandler.__call__ = note  # type: ignore[method-assign]
    packs.PackNotes.end = hold  # type: ignore[method-assign]


def says_title(folder: str, name: str) -> None:
    """Says in a file what its process is called."""
    (Path(folder) / name).write_text(title(str(os.getpid())))


def pack(folder: Path, resources: Any, **acts: Callable[[], object]) -> dict[str, Job]:
    """Jobs of a capability that was never seen, so that all of them are in one pack if they are short; by name."""
    capability = f"acts of {uuid.uuid4().hex}"
    submissions = [
        {
            "capability": capabilities.Acts(partial(tells, str(folder), name, act), capability),
            "config": {"run_uid": uuid.uuid4().hex},
            "job_name": name,
            "resources": resources,
            "options": {"max_retries": 1},
        }
        for name, act in acts.items()
    ]
    return dict(zip(acts, submit_capabilities(submissions), strict=True))


def starts(folder: Path, name: str) -> int:
    return len((folder / f"starts-{name}").read_text())


def processes(folder: Path, *names: str) -> list[str]:
    return [(folder / f"pid-{name}").read_text() for name in names]


def title(pid: str) -> str:
    return (Path("/proc") / pid / "cmdline").read_bytes().partition(b"\0")[0].decode()


def check_completed(folder: Path, jobs: Sequence[Job]) -> None:
    """Each has run once, and has what it has printed itself."""
    assert set(wait_all(jobs, SOON_S)) == {JobStatus.COMPLETED}, [each.exception() for each in jobs]
    for job in jobs:
        assert job.logs() == f"printed by {job.job_name}\n"
        assert starts(folder, job.job_name) == 1


@pytest.mark.usefixtures("backend")
def test_a_job_that_fails_or_takes_long_is_no_concern_of_its_neighbours(tmp_path: Path) -> None:
    waits = partial(wait_for_mark, str(tmp_path), "go")
    long_one = partial(tells_in_time_after, waits)
    jobs = pack(tmp_path, SHORT, first=tells_late, fails=raises, long=long_one, next=nothing, last=nothing)
    check_completed(tmp_path, [jobs["first"], jobs["next"], jobs["last"]])
    assert isinstance(jobs["fails"].exception(SOON_S), JobFailedError)
    assert jobs["fails"].logs() == "printed by fails\n"
    assert len(set(processes(tmp_path, "first", "fails", "long"))) == 1
    assert title(*processes(tmp_path, "long")) == "ray::short jobs"
    ended, begun = jobs["first"].info.finished_at, jobs["fails"].info.started_at
    assert ended is not None
    assert begun is not None
    assert (ended - begun).total_seconds() < LATE_S / 2, "it ended when its worker was done, not when that was heard"
    long = jobs["long"]
    wait_until(lambda: long.status is JobStatus.RUNNING, "the long job is seen to run")
    wait_until(lambda: long.progress is not None, "its progress is seen")
    assert long.progress is not None
    assert long.progress.message == "long"
    assert long.cancel(grace=2 * SOON_S)
    assert long.wait(SOON_S) is JobStatus.CANCELLED, "it is interrupted, not ended by force"
    assert starts(tmp_path, "long") == 1


@pytest.mark.usefixtures("backend")
def test_a_job_that_kills_its_worker_costs_its_neighbours_nothing(tmp_path: Path) -> None:
    jobs = pack(tmp_path, SHORT, first=nothing, kills=capabilities.killed, next=nothing, last=nothing)
    error = jobs["kills"].exception(SOON_S)
    assert isinstance(error, JobFailedError)
    assert "it got a signal that leaves no trace" in str(error), error
    assert "starts: 2" in str(error), error
    check_completed(tmp_path, [jobs["first"], jobs["next"], jobs["last"]])
    assert starts(tmp_path, "kills") == 2


@pytest.mark.usefixtures("backend")
def test_a_job_that_kills_its_worker_when_a_neighbour_was_stopped_is_charged_alone(tmp_path: Path) -> None:
    go = tmp_path / "go"
    jobs = pack(tmp_path, SHORT, first=nothing, kills=partial(killed_after, str(tmp_path)), next=nothing, last=nothing)
    wait_until(lambda: (tmp_path / "pid-kills").exists(), "it begins")
    assert jobs["next"].cancel(grace=SOON_S)
    wait_until(lambda: jobs["next"].status is JobStatus.CANCELLED, "its neighbour is stopped")
    go.touch()
    assert isinstance(jobs["kills"].exception(SOON_S), JobFailedError)
    assert starts(tmp_path, "kills") == 2
    check_completed(tmp_path, [jobs["first"], jobs["last"]])


@pytest.mark.usefixtures("backend")
def test_what_a_job_has_started_is_not_stopped_with_a_neighbour(tmp_path: Path) -> None:
    jobs = pack(tmp_path, SHORT, first=nothing, starts=partial(starts_a_task, str(tmp_path)), next=nothing)
    wait_until(lambda: (tmp_path / "child").exists(), "its task begins")
    jobs["next"].cancel(grace=SOON_S)
    assert jobs["next"].wait(SOON_S) is not JobStatus.FAILED, "it may have been given back"
    (tmp_path / "go").touch()
    check_completed(tmp_path, [jobs["first"], jobs["starts"]])


@pytest.mark.usefixtures("backend")
def test_an_interruption_after_the_last_job_runs_none_again(tmp_path: Path) -> None:
    """As long as several of a pack have not been told of, it is not interrupted at all."""
    jobs = pack(tmp_path, SHORT, first=nothing, last=partial(holds_the_result, str(tmp_path)))
    assert jobs["first"].wait(SOON_S) is JobStatus.COMPLETED
    (tmp_path / "told").touch()
    wait_until(lambda: (tmp_path / "held").exists(), "all have run")
    jobs["last"].cancel(grace=2 * SOON_S)
    wait_until(lambda: (tmp_path / "interrupted").exists(), "Ray interrupts the task")
    assert jobs["last"].wait(SOON_S) is JobStatus.CANCELLED
    check_completed(tmp_path, [jobs["first"]])
    assert starts(tmp_path, "last") == 1


@pytest.mark.usefixtures("backend")
def test_a_job_that_swallows_its_interruption_is_ended_by_force_and_its_neighbours_are_not(tmp_path: Path) -> None:
    stubborn = partial(capabilities.never_yields, str(tmp_path))
    jobs = pack(tmp_path, SHORT, first=nothing, stubborn=stubborn, next=nothing)
    wait_until(lambda: (tmp_path / "pid-stubborn").exists(), "it begins")
    assert jobs["stubborn"].cancel(grace=0.0)
    assert jobs["stubborn"].wait(SOON_S) is JobStatus.CANCELLED
    check_completed(tmp_path, [jobs["first"], jobs["next"]])
    assert starts(tmp_path, "stubborn") == 1


@pytest.mark.usefixtures("backend")
def test_short_jobs_that_wait_for_room_are_stopped_without_a_worker(tmp_path: Path) -> None:
    jobs = pack(tmp_path, {**SHORT, "custom": {"nowhere": 1}}, a=nothing, b=nothing)
    assert jobs["a"].cancel()
    assert jobs["a"].wait(SOON_S) is JobStatus.CANCELLED
    assert jobs["b"].status is JobStatus.SCHEDULING
    assert "nowhere" in jobs["b"].explain()
    assert jobs["b"].cancel()
    assert jobs["b"].wait(SOON_S) is JobStatus.CANCELLED


@pytest.mark.usefixtures("backend")
def test_jobs_with_gpus_or_a_process_of_their_own_never_share(configure: Callable[..., object], tmp_path: Path) -> None:
    seeing = pack(tmp_path, {**SHORT, "num_gpus": 0.5}, a=nothing, b=nothing)
    check_completed(tmp_path, list(seeing.values()))
    stop_backend()
    configure(isolation="process")
    alone = pack(tmp_path, SHORT, c=nothing, d=nothing)
    check_completed(tmp_path, list(alone.values()))
    assert len(set(processes(tmp_path, "a", "b", "c", "d"))) == 4


def test_a_capability_that_has_been_short_is_packed_without_being_asked(
    configure: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paces, "_SHORT_S", SOON_S)  # however busy this machine is
    configure()
    capability = f"says its title, {uuid.uuid4().hex}"

    def titles(number: int, **options: Any) -> set[str]:
        names = [uuid.uuid4().hex for _ in range(number)]
        submissions = [
            {
                "capability": capabilities.Acts(partial(says_title, str(tmp_path), name), capability),
                "config": {"run_uid": name},
                "job_name": "by its name",
                **options,
            }
            for name in names
        ]
        assert set(wait_all(submit_capabilities(submissions), SOON_S)) == {JobStatus.COMPLETED}
        return {(tmp_path / name).read_text() for name in names}

    assert titles(paces.SHORT_RUNS - 1) == {"ray::by its name"}
    assert titles(1) == {"ray::by its name"}
    assert titles(2) == {"ray::short jobs"}
    assert titles(1, max_retries=0) == {"ray::by its name"}, "nobody may know whether it had begun"
    configure(packs_by_history=False)
    assert titles(1) == {"ray::by its name"}
