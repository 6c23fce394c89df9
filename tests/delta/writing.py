"""What processes of the tests do, and what is asked of a store after them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa
from attrs import evolve
from checkmaite.jobs import Provenance, StoreNotFoundError
from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs.testing import SampleRun
from checkmaite.store_delta import DeltaStore
from deltalake import DeltaTable

TABLES = ("part_a", "part_b", "part_c")

processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(["tests.delta.writing"])  # a process of its own, in which the library does nothing


def run_of(uid: str, by: int = 0) -> SampleRun:
    """A run with two rows in each of three tables, which say who made them."""
    return SampleRun(
        run_uid=uid, records=[{"table_name": name, "x": x, "maker": by} for name in TABLES for x in (1, 2)]
    )


def event(name: str) -> Provenance:
    """The provenance of one execution."""
    return evolve(Provenance(), run_event_id=name)


def found_in(store: DeltaStore, name: str, **asked: Any) -> pa.Table:
    """The rows of a table, none when there is no such table."""
    try:
        return store.read_table(name, **asked)
    except StoreNotFoundError:
        return pa.table({"run_uid": pa.array([], pa.string()), "maker": pa.array([], pa.int64())})


def whole_runs(store: DeltaStore) -> dict[str, int]:
    """Who made each run that is there: every one is whole in every table, and there is one copy of it."""
    made: list[dict[str, int]] = []
    for name in TABLES:
        rows = found_in(store, name).to_pylist()
        by = {row["run_uid"]: row["maker"] for row in rows}
        assert sorted(row["run_uid"] for row in rows) == sorted([*by, *by]), "each run has two rows, once"
        assert all(by[row["run_uid"]] == row["maker"] for row in rows), "of one writer"
        made.append(by)
    assert made[0] == made[1] == made[2]
    named = found_in(store, "runs").column("run_uid").to_pylist()
    assert sorted(named) == sorted([*made[0]] * 9), "three tables of three entities"
    return made[0]


def die_at(step: int, *, before: bool) -> None:
    """Have this process killed at a step of a write: before its library call, or right after it."""
    taken = 0

    def counted(call: Callable[..., Any]) -> Callable[..., Any]:
        def stepping(*args: Any, **kwargs: Any) -> Any:
            nonlocal taken
            taken += 1
            if taken == step and before:
                os.kill(os.getpid(), signal.SIGKILL)
            answer = call(*args, **kwargs)
            if taken == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        return stepping

    for name in ("create", "create_write_transaction"):
        setattr(DeltaTable, name, counted(getattr(DeltaTable, name)))
    ObjectStore.create = counted(ObjectStore.create)  # type: ignore[method-assign]


def write_and_die(folder: str, uid: str, step: int, before: bool) -> None:
    """Write one run in a process that is killed in the middle."""
    die_at(step, before=before)
    DeltaStore(folder).write_with_receipt(run_of(uid, by=1), provenance=event("killed"))


def write_all(place: tuple[str, Mapping[str, Any] | None], uids: list[str], by: int, told: Any, go: Any) -> None:
    """Write these runs, each first as it is and then as a revision, and tell which writes have stored something."""
    store = DeltaStore(*place)
    go.wait()
    for uid in uids:
        receipt = store.write_with_receipt(run_of(uid, by), provenance=event(f"first-{by}"))
        told.put((by, uid, receipt.revision, receipt.created))
        receipt = store.write_with_receipt(run_of(uid, by), provenance=event(f"again-{by}"), supersede=True)
        told.put((by, uid, receipt.revision, receipt.created))


def write_until_killed(folder: str, by: int, told: Any) -> None:
    """Write runs of its own one after the other, and tell each that is stored."""
    store, number = DeltaStore(folder), 0
    while True:
        uid = f"{by}-{number}"
        store.write(run_of(uid, by))
        told.send(uid)
        number += 1
