"""`job.logs()` is whole, bounded, and what the job itself sees of its streams is what a plain task sees."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import JobFailedError, JobStatus

from tests.ray import capabilities
from tests.ray.clusters import CONTROLLER, SOON_S, Cluster, wait_until
from tests.ray.conftest import submit

pytestmark = pytest.mark.usefixtures("attached")
LIMIT = 1_000_000


def resident(pids: Iterable[int]) -> dict[int, int]:
    """Bytes of memory of those of these processes that live: one of an earlier test may be on its way out."""
    found = {}
    for pid in pids:
        with suppress(OSError):
            found[pid] = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096
    return found


@pytest.mark.usefixtures("backend")
def test_whatever_a_job_prints_is_in_its_logs_in_order(attached: Any) -> None:
    job = submit(capabilities.prints_in_every_way)
    assert job.wait(SOON_S) is JobStatus.COMPLETED, job.explain()
    *lines, streams, last = job.logs().splitlines()
    assert lines == capabilities.PRINTED
    assert last == "buffered by libc"

    def plain() -> str:
        import sys

        return f"{capabilities.look(sys.stdout)} {capabilities.look(sys.stderr)}"

    assert streams == attached.get(attached.remote(plain).remote())


@pytest.mark.usefixtures("backend")
def test_a_job_that_prints_faster_than_anybody_reads_fills_no_process(cluster: Cluster, tmp_path: Path) -> None:
    submit(capabilities.nothing).result(SOON_S)
    before = resident(cluster.pids(CONTROLLER))
    most = 0
    job = submit(partial(capabilities.prints_much, 200, str(tmp_path)))

    def has_all_but_the_end() -> bool:
        nonlocal most
        most = max(most, sum(now - before[pid] for pid, now in resident(before).items()))
        return f"{9_999:098d}\n" in job.logs()[-200:]

    wait_until(has_all_but_the_end, "the output does not come")
    (tmp_path / "go").touch()
    assert job.wait(SOON_S) is JobStatus.COMPLETED, job.explain()
    text = job.logs()
    head, _, rest = text.partition("\n")
    assert head.startswith("[... 19")
    assert head.endswith(" earlier characters were dropped ...]")
    assert len(rest) == LIMIT
    assert rest.endswith(f"{9_999:098d}\nthe end\n")
    assert "missing" not in rest
    has_all_but_the_end()
    assert before
    assert most < 50 * 2**20


@pytest.mark.usefixtures("backend")
def test_what_a_worker_prints_right_before_it_dies_is_in_the_logs(tmp_path: Path) -> None:
    job = submit(partial(capabilities.prints_and_dies, str(tmp_path)), max_retries=0)
    wait_until(lambda: job.logs() == "known to everybody\n", "the output does not come")
    (tmp_path / "go").touch()
    error = job.exception(SOON_S)
    assert isinstance(error, JobFailedError)
    assert job.logs() == "known to everybody\nlast words\n"
