"""What queued jobs with payloads keep in memory, and whether it comes back when they are gone."""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

import work
from checkmaite.jobs import Job, submit_capabilities, wait_all
from cluster import Cluster
from figures import Figure
from processes import own_memory_mb

_PAYLOAD_BYTES = 12_000
_BATCH = 1_000
_WINDOW_BATCHES = 2
_MORE_BATCHES = 5
_SETTLE_S = 10.0
_RETURNED_S = 45.0
"""Memory is given back every twenty seconds, when something has happened since."""
_COMES_BACK_S = 60.0
_LOOK_S = 5.0
_THREADS = 32
_PROCESSES = 2
"""The registry and its one controller."""
_numbers = itertools.count()


def memory(cluster: Cluster) -> list[Figure]:
    """Queue jobs with 12 KB of payload on a registry with a journal, and cancel them all."""
    with (
        tempfile.TemporaryDirectory() as folder,
        cluster.registry(journal_uri=folder) as registry,
    ):
        wait_all(submit_capabilities([{"capability": work.Nothing(), "config": next(_numbers)} for _ in range(200)]))
        pids = registry.pids(_PROCESSES)
        time.sleep(_SETTLE_S)
        idle_mb = own_memory_mb(pids)
        jobs = _queued(_WINDOW_BATCHES)
        window_mb = own_memory_mb(pids)
        jobs += _queued(_MORE_BATCHES)
        full_mb = own_memory_mb(pids)
        with ThreadPoolExecutor(_THREADS) as threads:
            list(threads.map(lambda job: job.cancel(grace=0), jobs))
        wait_all(jobs)
        deadline = time.monotonic() + _COMES_BACK_S
        while (after_mb := own_memory_mb(pids)) > 1.5 * idle_mb and time.monotonic() < deadline:
            time.sleep(_LOOK_S)
    count, more = _BATCH * (_WINDOW_BATCHES + _MORE_BATCHES), _BATCH * _MORE_BATCHES
    per_job_kb = (full_mb - window_mb) * 1024 / more
    what = f'"ray": {count:,} queued jobs with {_PAYLOAD_BYTES:,} bytes each, journal on disk'
    return [
        Figure(
            name=f"{what}, registry and controller with the first {count - more:,} of them",
            baseline=idle_mb,
            measured=window_mb,
            unit="MB",
            figure=window_mb - idle_mb,
        ),
        Figure(
            name=f"{what}, beyond those, for each job",
            baseline=window_mb,
            measured=full_mb,
            unit="MB",
            figure=per_job_kb,
            reach="at most +4 KB",
            met=per_job_kb <= 4,
        ),
        Figure(
            name=f"{what}, at most a minute after all were cancelled",
            baseline=idle_mb,
            measured=after_mb,
            unit="MB",
            figure=after_mb / idle_mb,
            reach="at most 1.50",
            met=after_mb / idle_mb <= 1.5,
        ),
    ]


def _queued(batches: int) -> list[Job]:
    """Jobs that wait for what no node has, once all that their submission has set off is over."""
    jobs: list[Job] = []
    for _ in range(batches):
        jobs += submit_capabilities(
            [
                {
                    "capability": work.Heavy(os.urandom(_PAYLOAD_BYTES)),
                    "config": next(_numbers),
                    "resources": {"custom": {"nowhere": 1}},
                }
                for _ in range(_BATCH)
            ]
        )
    time.sleep(_RETURNED_S)
    return jobs
