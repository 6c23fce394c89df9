"""What jobs find in worker processes that others had before, and which jobs get a process of their own."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import (
    Job,
    JobBackend,
    JobStatus,
    configure_job_backend,
    submit_capability,
)
from checkmaite.jobs._workers.hygiene.accelerators import VARIABLES
from checkmaite.jobs.testing._samples import wait_until

from tests import soiling, worker_processes
from tests.ray_simple.capabilities import Acts
from tests.stopping import stop_backend

SOON_S = 120.0


@pytest.fixture
def backend(local_ray: Any) -> Iterator[JobBackend]:
    local_ray.cloudpickle.register_pickle_by_value(soiling)
    yield configure_job_backend("ray-simple", analytics_store={"backend": "null"})
    stop_backend()
    local_ray.cloudpickle.unregister_pickle_by_value(soiling)


def submit(act: Any, **arguments: Any) -> Job:
    return submit_capability(Acts(act), config={"run_uid": uuid.uuid4().hex}, **arguments)


told = partial(worker_processes.told, Acts)


def test_no_job_finds_what_another_left(backend: JobBackend, tmp_path: Path) -> None:
    worker_processes.check_that_no_job_finds_what_another_left(Acts, tmp_path, seed=20)


def test_a_job_without_gpus_sees_none(backend: JobBackend, tmp_path: Path) -> None:
    hidden = {name: "" for names in VARIABLES.values() for name in names}
    assert told(tmp_path)["accelerators"] == hidden
    assert told(tmp_path, resources={"num_gpus": 0})["accelerators"] == hidden


def test_a_job_that_shares_gpus_sees_those_of_its_machine(backend: JobBackend, tmp_path: Path) -> None:
    seen = told(tmp_path, resources={"num_gpus": 0, "share_gpus": True})
    assert {name for name in VARIABLES["GPU"] if seen["accelerators"].get(name) == ""} == set()
    assert seen["accelerators"]["TPU_VISIBLE_CHIPS"] == ""
    again = told(tmp_path, resources={"num_gpus": 0, "share_gpus": True})
    assert (seen["jobs_before"], again["jobs_before"]) == (0, 0)


@pytest.mark.parametrize("resources", [{"num_gpus": 1}, {"num_gpus": 0.25}])
def test_a_job_with_gpus_has_a_process_of_its_own(
    backend: JobBackend, tmp_path: Path, resources: Mapping[str, float]
) -> None:
    told(tmp_path)  # leaves an idle process in which GPUs were hidden
    seen = [told(tmp_path, resources=resources) for _ in range(3)]
    assert all(each["accelerators"]["CUDA_VISIBLE_DEVICES"] in {"0", "1"} for each in seen)
    assert all(each["accelerators"]["ASCEND_RT_VISIBLE_DEVICES"] == "" for each in seen)
    assert [each["jobs_before"] for each in seen] == [0, 0, 0]
    for each in seen:
        wait_until(lambda pid=each["pid"]: not soiling.is_alive(pid), "the process of a GPU job stays")
    assert told(tmp_path)["pid"] not in {each["pid"] for each in seen}


def test_a_gpu_job_whose_thread_goes_on_leaves_all_the_same(backend: JobBackend, tmp_path: Path) -> None:
    path = tmp_path / "told"

    def act() -> None:
        soiling.tell(str(path))
        soiling.leaves_a_thread()

    assert submit(act, resources={"num_gpus": 1}).wait(SOON_S) is JobStatus.COMPLETED
    pid = soiling.read(path)["pid"]
    wait_until(lambda: not soiling.is_alive(pid), "the process stays with its thread")


def test_a_process_of_its_own_on_request(backend: JobBackend, tmp_path: Path) -> None:
    shared = [told(tmp_path) for _ in range(5)]
    own = [told(tmp_path, isolation="process") for _ in range(3)]
    after = [told(tmp_path) for _ in range(3)]
    assert [each["jobs_before"] for each in own] == [0, 0, 0]
    assert not {each["pid"] for each in own} & {each["pid"] for each in [*shared, *after]}
    assert len({each["pid"] for each in own}) == 3
    assert len({each["pid"] for each in [*shared, *after]}) <= 3, "the others reuse processes"
    for each in own:
        wait_until(lambda pid=each["pid"]: not soiling.is_alive(pid), "an isolated job's process stays")


def test_every_job_in_a_process_of_its_own_unless_it_wants_otherwise(local_ray: Any, tmp_path: Path) -> None:
    configure_job_backend("ray-simple", analytics_store={"backend": "null"}, isolation="process")
    local_ray.cloudpickle.register_pickle_by_value(soiling)
    try:
        assert [told(tmp_path)["jobs_before"] for _ in range(2)] == [0, 0]
        reused = [told(tmp_path, isolation="reuse") for _ in range(4)]
        assert len({each["pid"] for each in reused}) < 4
    finally:
        stop_backend()
        local_ray.cloudpickle.unregister_pickle_by_value(soiling)


def test_the_variables_of_accelerators_are_rays() -> None:
    from ray._private.accelerators import get_all_accelerator_managers

    for manager in get_all_accelerator_managers():
        variable = manager.get_visible_accelerator_ids_env_var()
        assert variable is None or variable in VARIABLES[manager.get_resource_name()], manager


def test_a_job_without_gpus_keeps_the_users_environment(backend: JobBackend, tmp_path: Path) -> None:
    os.environ.pop("SOILED", None)
    assert told(tmp_path, isolation="process")["environment"].get("PYTHONPATH") == os.environ.get("PYTHONPATH")
