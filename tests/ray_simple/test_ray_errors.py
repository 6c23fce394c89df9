"""What Ray's exceptions mean for a job; no Ray runs here."""

from __future__ import annotations

import pytest
import ray.exceptions as rx
from checkmaite.jobs.spi import Cancelled, Failed
from checkmaite.jobs_ray_simple.cluster.ray_errors import finished_from


def failed(error: BaseException) -> Failed:
    outcome = finished_from(error).outcome
    assert isinstance(outcome, Failed)
    return outcome


def test_a_job_that_is_killed_for_memory_says_so_and_what_to_do() -> None:
    outcome = failed(rx.OutOfMemoryError("Task was killed due to the node running low on memory.\n"))
    assert outcome.exit_cause == "killed: its node was running out of memory"
    assert 'resources={"memory": bytes}' in outcome.remedy
    assert outcome.error_type == "OutOfMemoryError"
    assert outcome.error_message == "Task was killed due to the node running low on memory."
    assert (outcome.phase, outcome.lost) == ("run", False)


@pytest.mark.parametrize(
    ("error", "exit_cause", "phase", "lost", "kind"),
    [
        (rx.WorkerCrashedError(), "its worker process died", "run", False, "worker-lost"),
        (rx.LocalRayletDiedError(), "its node's raylet died", "run", True, "node-lost"),
        (
            rx.RuntimeEnvSetupError("no such package"),
            "its runtime_env could not be set up",
            "launch",
            False,
            "cannot-start",
        ),
        (rx.TaskUnschedulableError("no node"), "no node can run it", "launch", False, "no-node"),
        (rx.RaySystemError("broken"), "Ray failed", "run", True, "other"),
        (ConnectionResetError("reset"), "the connection to the cluster broke", "run", True, "cannot-connect"),
        (ValueError("unheard of"), "Ray failed", "run", True, "other"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_each_end_has_a_cause_and_a_remedy(
    error: BaseException, exit_cause: str, phase: str, lost: bool, kind: str
) -> None:
    outcome = failed(error)
    assert (outcome.exit_cause, outcome.phase, outcome.lost) == (exit_cause, phase, lost)
    assert outcome.kind == kind
    assert outcome.remedy


def test_a_task_that_was_cancelled_is_a_cancelled_job() -> None:
    assert finished_from(rx.TaskCancelledError()).outcome == Cancelled()


@pytest.mark.parametrize(
    ("last", "remedy"),
    [
        (
            "RuntimeError: Please install virtualenv `python -m pip install virtualenv`",
            "Install virtualenv in the Python",
        ),
        ("ValueError: Could not find Conda executable at conda.", "Install conda on every node"),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'podman'", "Install podman on every node"),
        ("ERROR: No matching distribution found for nosuch", "Mend the runtime_env"),
    ],
)
def test_an_environment_that_cannot_be_set_up_is_told_by_its_cause(last: str, remedy: str) -> None:
    outcome = failed(rx.RuntimeEnvSetupError(f"Traceback (most recent call last):\n  deep inside\n{last}\n"))
    assert (outcome.error_message, outcome.phase, outcome.lost) == (last, "launch", False)
    assert "deep inside" in outcome.traceback_text
    assert outcome.remedy.startswith(remedy)
