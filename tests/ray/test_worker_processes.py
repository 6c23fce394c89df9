"""What jobs find in worker processes that others had before, and which jobs get a process of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import JobBackend

from tests import soiling, worker_processes
from tests.ray.capabilities import Acts
from tests.ray.clusters import wait_until


@pytest.fixture(autouse=True)
def _by_value(attached: Any) -> Iterator[None]:
    attached.cloudpickle.register_pickle_by_value(soiling)
    yield
    attached.cloudpickle.unregister_pickle_by_value(soiling)


told = partial(worker_processes.told, Acts)


def test_no_job_finds_what_another_left(backend: JobBackend, tmp_path: Path) -> None:
    worker_processes.check_that_no_job_finds_what_another_left(Acts, tmp_path, seed=21)


def test_gpus_are_seen_by_those_who_asked_for_them(backend: JobBackend, tmp_path: Path) -> None:
    without = told(tmp_path)
    assert without["accelerators"]["CUDA_VISIBLE_DEVICES"] == ""
    shares = told(tmp_path, resources={"num_gpus": 0, "share_gpus": True})
    assert shares["accelerators"].get("CUDA_VISIBLE_DEVICES") != ""
    reserves = [told(tmp_path, resources={"num_gpus": 1}) for _ in range(2)]
    assert all(each["accelerators"]["CUDA_VISIBLE_DEVICES"] in {"0", "1"} for each in reserves)
    used_once = [shares, *reserves]
    assert [each["jobs_before"] for each in used_once] == [0, 0, 0]
    for each in used_once:
        wait_until(lambda pid=each["pid"]: not soiling.is_alive(pid), "the process of a GPU job stays")


def test_a_process_of_its_own_on_request(configure: Callable[..., JobBackend], tmp_path: Path) -> None:
    configure(isolation="process")
    own = [told(tmp_path) for _ in range(2)]
    reused = [told(tmp_path, isolation="reuse") for _ in range(6)]
    assert [each["jobs_before"] for each in own] == [0, 0]
    assert not {each["pid"] for each in own} & {each["pid"] for each in reused}
    assert len({each["pid"] for each in reused}) < 6
    for each in own:
        wait_until(lambda pid=each["pid"]: not soiling.is_alive(pid), "an isolated job's process stays")
