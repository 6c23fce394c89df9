"""A crash at any point costs nothing: every request of every operation, and every fault that it may meet.

``hatch run crashes`` tells all pairs of them, too.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import StoreError
from checkmaite.jobs.spi import ObjectStore
from checkmaite.store_parquet import ParquetStore
from checkmaite.store_parquet._manifest import INDEXES

from tests.parquet.crash_disk import Disk
from tests.parquet.crash_stories import OPERATIONS, Stories, answers_of, faults_of, filled
from tests.parquet.faulty import s3_error
from tests.processes import serving

PAIRS = 8
SEED = 14


@pytest.mark.parametrize("operation", OPERATIONS)
def test_any_fault_of_any_request_costs_nothing(operation: str) -> None:
    stories = Stories.of(operation)
    faults = faults_of(requests := stories.tell())
    for fault in faults:
        with told(operation, fault, requests[fault.at - 1]):
            stories.tell(fault)
            if operation.startswith(("write", "revise")):
                stories.tell(fault, is_warm=True)
    chosen = random.Random(f"{SEED} {operation}")
    for first in chosen.sample(faults, PAIRS):
        second = chosen.choice(faults_of(stories.tell(first), first.at) or [first])
        with told(operation, first, second):
            stories.tell(first, second)


@contextmanager
def told(*story: Any) -> Iterator[None]:
    try:
        yield
    except (AssertionError, StoreError) as error:
        raise AssertionError(f"{story}: {error}") from error


# -- real processes, on a disk ----------------------------------------------------------------------------------------

PRIMITIVES = ("mkdir", "fsync", "link", "unlink")
"""What a disk is asked to change, or to keep."""


def killed_at(call: int, folder: Path, operation: str) -> None:
    """Do it, and be killed just before one of these is asked the so-many-th time."""
    calls = itertools.count(1)

    def counted(name: str) -> Callable[..., Any]:
        asked = getattr(os, name)

        def ask(*args: Any, **options: Any) -> Any:
            if next(calls) == call:
                os.kill(os.getpid(), signal.SIGKILL)
            return asked(*args, **options)

        return ask

    for name in PRIMITIVES:
        setattr(os, name, counted(name))
    OPERATIONS[operation](ParquetStore(folder))


def put_into(folder: Path, disk: Disk) -> None:
    """Lay objects down as they are in memory, and as old."""
    for key, content in disk.content.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(content)
        at = time.time() - (disk.now - disk.written[key])
        os.utime(folder / key, (at, at))


@pytest.mark.parametrize(("operation", "calls"), [("write", 6), ("revise", 3), ("compact", 4), ("vacuum originals", 4)])
def test_a_process_that_is_killed_anywhere_costs_nothing(tmp_path: Path, operation: str, calls: int) -> None:
    """At so many of what it asks of the disk, spread over all of it."""
    before = filled(operation)
    put_into(tmp_path / "right", before)
    expected = [answers_of(ParquetStore(tmp_path / "right"))]
    asked = counted_calls(tmp_path / "right", operation)
    expected.append(without_instants(answers_of(ParquetStore(tmp_path / "right"))))
    expected[0] = without_instants(expected[0])
    for call in sorted(random.Random(f"{SEED} {operation}").sample(range(1, asked + 1), calls)):
        put_into(folder := tmp_path / f"at-{call}", before)
        process = serving.Process(target=killed_at, args=(call, folder, operation))
        process.start()
        process.join(120)
        assert process.exitcode == -signal.SIGKILL
        INDEXES.forget()
        assert without_instants(answers_of(ParquetStore(folder))) in expected, f"killed at {call} of {asked}"
        OPERATIONS[operation](ParquetStore(folder))
        INDEXES.forget()
        assert without_instants(answers_of(ParquetStore(folder))) == expected[1], f"killed at {call} of {asked}"


def counted_calls(folder: Path, operation: str) -> int:
    """Do it; how often a disk was asked for one of `PRIMITIVES`."""
    asked: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in PRIMITIVES:
            real = getattr(os, name)
            patch.setattr(os, name, lambda *args, n=name, real=real, **more: (asked.append(n), real(*args, **more))[1])
        OPERATIONS[operation](ParquetStore(folder))
    return len(asked)


def without_instants(answer: Any) -> str:
    return re.sub(r"'created_at': datetime\.datetime\(.*?\)\)?, ", "", str(answer))


# -- a server of S3 ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["lost", "busy", "conflict", "exists: none"])
@pytest.mark.parametrize("at", [4, 5], ids=["rows", "commit"])
def test_a_put_of_s3_that_goes_wrong_costs_nothing(
    bucket: str, s3_options: dict[str, Any], monkeypatch: pytest.MonkeyPatch, at: int, what: str
) -> None:
    """The client tries again by itself, and is told that its own object is there."""
    from moto.s3.responses import S3Response

    before = filled("write")
    for key, content in before.content.items():
        ObjectStore(f"s3://{bucket}/store", s3_options).create(key, content)
    put, asked = S3Response.put_object, list[str]()

    def faulty(self: S3Response) -> Any:
        asked.append(str(self.parse_key_name()))
        if len(asked) == at:
            match what:
                case "lost":
                    put(self)
                    raise s3_error("SlowDown", 503)("")
                case "busy":
                    raise s3_error("SlowDown", 503)("")
                case "conflict":
                    raise s3_error("ConditionalRequestConflict", 409)("")
                case "exists: none":
                    raise s3_error("PreconditionFailed", 412)("")
        return put(self)

    monkeypatch.setattr(S3Response, "put_object", faulty)
    store = ParquetStore(f"s3://{bucket}/store", s3_options)
    assert OPERATIONS["write"](store).created
    assert len(asked) == 6, "all were put once, and one again"
    assert store.read_table("a", run_uids=["new"]).num_rows == 2
    found = ParquetStore(f"s3://{bucket}/store", s3_options).find_run("new")
    assert found is not None
    assert found.ref.report is not None
    assert found.ref.report.text
    assert not OPERATIONS["write"](store).created
    assert store.read_table("a").num_rows == 6
