"""What one write to the Parquet store costs, whatever the store holds."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from checkmaite.jobs.testing import SampleRun
from checkmaite.store_parquet import ParquetStore
from cluster import Cluster
from endpoint import s3_bucket
from figures import Figure, seconds

_RUNS_ON_S3 = 300


def write_cost(_: Cluster) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        store = ParquetStore(folder)
        writes = iter(range(1_000_000))

        def present(count: int) -> float:
            number = next(writes)
            while number < count:
                store.write(SampleRun(run_uid=f"run-{number}"))
                number = next(writes)
            took = [seconds(lambda: store.write(SampleRun(run_uid=f"run-{next(writes)}"))) for _ in range(100)]
            return statistics.median(took) * 1000

        store.write(SampleRun(run_uid="warm"))
        empty = present(0)
        return [
            Figure(
                name=f"one store write with {count:,} runs present",
                baseline=empty,
                measured=(measured := present(count)),
                unit="ms",
                figure=measured / empty,
                reach="at most 1.20",
                met=measured / empty <= 1.2,
            )
            for count in (1_000, 10_000)
        ]


def s3_requests(_: Cluster) -> list[Figure]:
    with s3_bucket() as bucket, _counted() as requests:
        store = ParquetStore(f"{bucket}/store")
        store.write(SampleRun(run_uid="first"))  # which also settles the tables' columns
        counts = []
        for number in range(_RUNS_ON_S3 + 1):
            requests.clear()
            store.write(SampleRun(run_uid=f"run-{number}"))
            counts.append(list(requests))
    empty, full = counts[0], counts[-1]
    return [
        Figure(
            name=f"requests of one S3 write with {_RUNS_ON_S3:,} runs present: {' and '.join(full)}",
            baseline=len(empty),
            measured=len(full),
            unit="requests",
            figure=len(full) - len(empty),
            reach="the same, no listing",
            met=all(each == empty for each in counts) and set(empty) == {"PUT"},
        )
    ]


@contextmanager
def _counted() -> Iterator[list[str]]:
    """The methods of the HTTP requests that are sent from now on."""
    from aiobotocore.httpsession import AIOHTTPSession

    sent, send = [], AIOHTTPSession.send

    async def counted(self: Any, request: Any) -> Any:
        sent.append(request.method)
        return await send(self, request)

    AIOHTTPSession.send = counted
    try:
        yield sent
    finally:
        AIOHTTPSession.send = send
