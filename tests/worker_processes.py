"""What jobs find in worker processes that others had before: one story for both backends that have such processes."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from checkmaite.jobs import JobStatus, submit_capabilities, submit_capability, wait_all

from tests import soiling

SOON_S = 240.0
Acts = Callable[[Callable[[], object]], Any]
"""Gives a capability that calls a function."""


def told(acts: Acts, folder: Path, **arguments: Any) -> dict[str, Any]:
    """What a job tells of its process: see `soiling.tell`."""
    path = folder / uuid.uuid4().hex
    job = submit_capability(acts(partial(soiling.tell, str(path))), config={"run_uid": path.name}, **arguments)
    assert job.wait(SOON_S) is JobStatus.COMPLETED, job.explain()
    return soiling.read(path)


def check_that_no_job_finds_what_another_left(acts: Acts, folder: Path, seed: int) -> None:
    order = soiling.order(200, random.Random(seed))
    jobs = submit_capabilities(
        [
            {
                "capability": acts(partial(soiling.sentinel, act, str(folder), str(number))),
                "config": {"run_uid": uuid.uuid4().hex},
                "options": {"max_retries": 0},
            }
            for number, act in enumerate(order)
        ]
    )
    statuses = wait_all(jobs, SOON_S)
    odd = [
        f"{number} ({act}, after {order[max(0, number - 3) : number]}): {job.explain()}"
        for number, (act, job, status) in enumerate(zip(order, jobs, statuses, strict=True))
        if (status is JobStatus.COMPLETED) is (act in soiling.FAIL)
    ]
    assert not odd, "\n".join(odd[:3])
    soiling.check(order, folder)
