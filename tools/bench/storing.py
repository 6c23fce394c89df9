"""What one write to the Parquet store costs, whatever the store holds."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from checkmaite.jobs.testing import SampleRun
from checkmaite.store_parquet import ParquetStore
from cluster import Cluster
from endpoint import s3_bucket
from figures import Comparison, Figure, seconds

_PRESENT = (1_000, 10_000)
_WRITES = 200
_RUNS_ON_S3 = 300


def write_cost(_: Cluster) -> list[Figure]:
    """Writes to an empty store and to full ones, by turns."""
    with tempfile.TemporaryDirectory() as folder:
        stores = {count: _holding(count, f"{folder}/{count}") for count in (0, *_PRESENT)}
        took: dict[int, list[float]] = {count: [] for count in stores}
        for number in range(_WRITES):
            for count, store in stores.items():
                took[count].append(seconds(lambda: store.write(SampleRun(run_uid=f"run-{number}"))))  # noqa: B023
    return [
        Comparison(
            name=f"one store write with {count:,} runs present",
            unit="ms",
            baseline=[each * 1000 for each in took[0]],
            measured=[each * 1000 for each in took[count]],
        ).at_most(1.2)
        for count in _PRESENT
    ]


def _holding(count: int, folder: str) -> ParquetStore:
    """A store with the files of so many runs: copies of one run's, as writing them all would take a minute."""
    store = ParquetStore(folder)
    store.write(SampleRun(run_uid="first"))
    for path in list(Path(folder).rglob("*.parquet")):
        for number in range(count):
            shutil.copyfile(path, path.with_name(f"copy-{number}.parquet"))
    os.sync()  # so that no measured write has to wait for the copies
    return store


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
