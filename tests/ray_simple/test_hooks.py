from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import configure_job_backend, shutdown_job_backend

from tests.hooking import Receiver, no_job_waits_for_a_hook


@pytest.fixture(autouse=True)
def _shut_down() -> Iterator[None]:
    yield
    shutdown_job_backend()


@pytest.mark.usefixtures("local_ray")
def test_no_job_of_a_cluster_waits_for_a_hook_of_this_process(tmp_path: Path) -> None:
    def configure(hooks: Mapping[str, Any]) -> Any:
        return configure_job_backend("ray-simple", analytics_store={"backend": "null"}, hooks=hooks)

    with Receiver() as receiver:
        no_job_waits_for_a_hook(configure, tmp_path, receiver)
