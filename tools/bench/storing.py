"""What writes to the Parquet store and reads of it cost, whatever it holds."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
from checkmaite.jobs.testing import SampleRun
from checkmaite.store_parquet import ParquetStore
from checkmaite.store_parquet._arguments import DEFAULT_GRACE_S
from checkmaite.store_parquet._manifest import INDEXES
from cluster import Cluster
from endpoint import s3_bucket
from figures import Comparison, Figure, seconds

_PRESENT = (1_000, 10_000)
_WRITES = 200
_RUNS_ON_S3 = 300
_READ, _MANY, _FRESH, _ROWS = 10_000, 100_000, 200, 20
_ROUNDS = 7


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


def store_reading(_: Cluster) -> list[Figure]:
    """Queries of a compacted store, each against DuckDB on one plain file of the same rows, by turns."""
    with tempfile.TemporaryDirectory() as folder:
        store = ParquetStore(f"{folder}/store")
        _fill(store, range(_READ))
        store.compact()
        plain = _in_one_file(store, folder)
        found = _reads(f"{_READ:,} runs of {_ROWS} rows", store, plain, 3)
        _fill(store, range(_READ, _READ + _FRESH))
        plain = _in_one_file(store, folder)
        found += _reads(f"the same and {_FRESH} runs that are not compacted", store, plain, 8)
        return [*found, _disk(store, plain)]


def reading_of_many(_: Cluster) -> list[Figure]:
    """The same queries of ten times as many runs: each ratio against what it was with the fewer."""
    with tempfile.TemporaryDirectory() as folder:
        store = ParquetStore(f"{folder}/store")
        found = []
        for known, count in ((0, _READ), (_READ, _MANY)):
            _fill(store, range(known, count))
            store.compact()
            found.append(_reads(f"{count:,} runs of {_ROWS} rows", store, _in_one_file(store, folder), 6))
    growing = [
        Figure(
            name=f"ratio of {many.name} against that of {_READ:,}",
            baseline=few.figure,
            measured=many.figure,
            unit="times",
            figure=(ratio := many.figure / few.figure),
            reach="at most 2.00",
            met=ratio <= 2,
        )
        for few, many in zip(*found, strict=True)
    ]
    return [*found[1], *growing]


def _disk(store: ParquetStore, plain: dict[str, str]) -> Figure:
    """What a store takes after all of it is compacted and the small files are deleted, a grace later."""
    store.compact()
    for _ in range(2):  # once to announce it
        _grow_old(Path(store.uri))
        store.vacuum(originals=True)
    baseline, measured = (sum(_taken(Path(path)) for path in paths) / 1e6 for paths in (plain.values(), [store.uri]))
    return Figure(
        name="the same without small files: space on disk",
        baseline=baseline,
        measured=measured,
        unit="MB",
        figure=(ratio := measured / baseline),
        reach="at most 2.00",
        met=ratio <= 2,
    )


def _grow_old(folder: Path) -> None:
    for path in folder.rglob("*.*"):
        os.utime(path, (at := path.stat().st_mtime - 2 * DEFAULT_GRACE_S, at))


def _taken(path: Path) -> int:
    """Bytes of the blocks of a file, or of all below a folder; folders that were full once keep some of their own."""
    return sum(each.stat().st_blocks * 512 for each in (path, *path.rglob("*")) if each.is_file())


def _fill(store: ParquetStore, numbers: range) -> None:
    """Store runs as jobs do, but for waiting for the disk."""
    sync, os.fsync = os.fsync, lambda _: None
    try:
        for number in numbers:
            rows = [
                {"table_name": "scores", "model": f"m{row % 5}", "score": (number * 31 + row * 17) % 1000 / 1000}
                for row in range(_ROWS)
            ]
            store.write(SampleRun(run_uid=f"run-{number:06}", records=rows))
    finally:
        os.fsync = sync


def _in_one_file(store: ParquetStore, folder: str) -> dict[str, str]:
    """By table one plain file of the same rows."""
    files = {name: f"{folder}/{name}.parquet" for name in ("scores", "runs")}
    for name, file in files.items():
        pq.write_table(store.read_table(name), file)
    return files


def _reads(about: str, store: ParquetStore, plain: dict[str, str], reach: float) -> list[Figure]:
    """Warm: a process has read the store before. Cold: it has not, but has imported what it needs."""
    uid = "run-000077"
    grouped = (
        "select model, count(*) as n, avg(score) as mean from {scores} as s join {runs} as r using (run_uid) "
        "where r.entity_type = 'dataset' group by model"
    )
    one = f"select * from {{scores}} as s where run_uid = '{uid}'"
    tables = {"scores": "scores", "runs": "runs"}
    asks: dict[str, tuple[Callable[[], object], str]] = {
        "group-by": (lambda: store.query_sql(grouped.format(**tables)), grouped),
        "one run by SQL": (lambda: store.query_sql(one.format(**tables)), one),
        "one run by read_table": (lambda: store.read_table("scores", run_uids=[uid]), one),
        "list_tables": (store.list_tables, "select distinct capability_table from {runs}"),
        "describe_table": (
            lambda: store.describe_table("scores"),
            "select count(*), count(distinct run_uid) from {scores}",
        ),
    }
    figures = []
    for name, (ours, sql) in asks.items():
        baseline, cold, warm = [], [], []
        for _ in range(_ROUNDS):
            baseline.append(1000 * seconds(lambda: _plainly(sql, plain)))  # noqa: B023
            INDEXES.forget()
            cold.append(1000 * seconds(ours))
            warm.append(1000 * seconds(ours))
        for state, measured in (("warm", warm), ("cold", cold)):
            title = f"{name}, {state}: {about}"
            figures.append(Comparison(name=title, unit="ms", baseline=baseline, measured=measured).at_most(reach))
    return figures


def _plainly(sql: str, files: dict[str, str]) -> object:
    with duckdb.connect() as connection:
        named = {name: f"'{file}'" for name, file in files.items()}
        return connection.sql(sql.format(**named)).to_arrow_table()


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
