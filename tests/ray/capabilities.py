"""What the jobs of these tests do. Sent by value, so that a worker needs core alone; marks in a folder say what ran."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import frozen
from checkmaite.jobs.testing import SampleRecord, SampleRun

WAIT_S = 240.0
"""Seconds that a job waits for its test, which ends long before."""


@frozen
class Acts:
    """Leaves a mark for each start, then calls `act`, which may be any function, and gives a run with one row."""

    act: Callable[[], object]
    folder: str = ""
    id: str = "acts"

    def run(self, *, config: Any, **_: Any) -> Any:
        if self.folder:
            (Path(self.folder) / f"start-{config['run_uid']}-{uuid.uuid4().hex}").touch()
        self.act()
        return SampleRun(run_uid=config["run_uid"], capability_id=self.id)


@frozen
class Weighs:
    """Sums the weights of its model, once another process of its node has it too, and spoils them."""

    folder: str
    id: str = "weighs"

    def run(self, *, models: Any, config: Any, **_: Any) -> Any:
        import ray

        node, deadline = ray.get_runtime_context().get_node_id(), time.monotonic() + WAIT_S
        (Path(self.folder) / f"{node}-{os.getpid()}").touch()
        while len(list(Path(self.folder).glob(f"{node}-*"))) < 2:
            assert time.monotonic() < deadline, "it is the only process of its node"
            time.sleep(0.01)
        (model,) = models
        total = float(model.weights.sum())
        model.weights[:] = 0
        records = [SampleRecord("net", total)]
        return SampleRun(run_uid=config["run_uid"], capability_id=self.id, records=records)


@frozen
class Draws(Acts):
    """Calls `act` and gives a run with a number that it has drawn, in its row and in its report."""

    id: str = "draws"

    def run(self, *, config: Any, **_: Any) -> Any:
        drawn = random.random()
        (Path(self.folder) / f"start-{config['run_uid']}-{uuid.uuid4().hex}").write_text(repr(drawn))
        self.act()
        records = [SampleRecord("model-1", drawn)]
        return DrawnRun(run_uid=config["run_uid"], capability_id=self.id, records=records)


class DrawnRun(SampleRun):
    def collect_md_report(self, threshold: float) -> str:
        return repr(self.records[0].score)


@frozen
class Bulky(Acts):
    """Has a payload that the registry does not keep in memory, and gives a run with a report that is a document."""

    ballast: str = "much" * 25_000
    id: str = "bulky"

    def run(self, *, config: Any, **_: Any) -> Any:
        self.act()
        return ReportedRun(run_uid=config["run_uid"], capability_id=self.id)


class ReportedRun(SampleRun):
    def collect_md_report(self, threshold: float) -> str:
        return "# large" * 50_000


@frozen
class NeedsAModule:
    """Cannot be unpickled where the module does not exist."""

    module: str
    id: str = "needs-a-module"

    def run(self, **_: Any) -> Any:
        raise AssertionError("it cannot have arrived")

    def __reduce__(self) -> Any:
        return __import__, (self.module,)


class UnpicklableError(Exception):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")
        self.lock = threading.Lock()


def nothing() -> None:
    pass


def raises() -> None:
    raise ValueError("told to fail")


def prints_and_raises() -> None:
    sys.stdout.write("before the error\n")
    raise ValueError("told to")


def raises_unpicklable() -> None:
    raise UnpicklableError("this", "that")


def exits() -> None:
    os._exit(3)


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def crashes() -> None:
    ctypes.string_at(0)


def dies_at_commit() -> None:
    """This worker is killed when it has stored a run's rows, and is about to make them visible."""
    link = os.link

    def refused(source: str, target: str) -> None:
        if "/runs/" in target:
            killed()
        link(source, target)

    os.link = refused  # type: ignore[assignment]


def goes_on_whatever_comes() -> None:
    """Takes everything that is raised in it for the failure of one step."""
    while True:
        try:
            time.sleep(0.01)
        except BaseException:  # noqa: BLE001 - as some evaluations do
            continue


def computes_in_c() -> None:
    """For an hour, without the interpreter's lock."""
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)


def stuck_at_commit() -> None:
    """This worker goes on for ever when it has stored a run's rows, and is about to make them visible."""
    link = os.link

    def stuck(source: str, target: str) -> None:
        if "/runs/" in target:
            goes_on_whatever_comes()
        link(source, target)

    os.link = stuck  # type: ignore[assignment]


def dies_after_commit() -> None:
    """This worker is killed when it has made a run visible, and nobody has heard of it."""
    link = os.link

    def fatal(source: str, target: str) -> None:
        link(source, target)
        if "/runs/" in target:
            killed()

    os.link = fatal  # type: ignore[assignment]


def killed_later() -> None:
    time.sleep(1.0)
    killed()


def out_of_memory() -> None:
    raise MemoryError("no more of it")


def waits(folder: str, mark: str = "go") -> None:
    deadline = time.monotonic() + WAIT_S
    while not (Path(folder) / mark).exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"no mark {mark!r}")
        time.sleep(0.01)


def tells_its_start_and_waits(folder: str) -> None:
    print("started in", os.getpid(), flush=True)  # noqa: T201 - it is the job's
    waits(folder)


def swallows(folder: str) -> None:
    while True:
        try:
            (Path(folder) / "waiting").touch()  # within: from here on a test may cancel the job
            return waits(folder)
        except KeyboardInterrupt:
            (Path(folder) / "interrupted").touch()


def first_time(folder: str, then: Callable[[], object], else_: Callable[[], object] = nothing) -> None:
    """Calls `then` the first time, and `else_` ever after."""
    try:
        (Path(folder) / "tried").touch(exist_ok=False)
    except FileExistsError:
        else_()
    else:
        then()


def waits_then_raises(folder: str) -> None:
    waits(folder)
    (Path(folder) / "raised").touch()
    raises()


def look(stream: Any) -> list[Any]:
    """What a stream says of itself."""
    said = [type(stream).__name__, stream.encoding, stream.errors, stream.line_buffering, stream.fileno()]
    return [*said, stream.isatty(), stream.writable(), stream.closed, repr(stream.buffer)]


def prints_in_every_way() -> None:
    """What it prints is `PRINTED`, but for the last line, which says what `sys.stdout` and `sys.stderr` are."""
    sys.stdout.write("print\n")
    sys.stderr.write("stderr\n")
    noisy = logging.StreamHandler(sys.stderr)
    logging.getLogger("of the job").addHandler(noisy)
    logging.getLogger("of the job").warning("logging")
    logging.getLogger("of the job").removeHandler(noisy)
    os.write(1, b"one\n")
    os.write(2, b"two\n")
    subprocess.run(["/bin/sh", "-c", "echo child; echo complaint >&2"], check=True)
    libc = ctypes.CDLL(None)
    libc.puts(b"native")
    libc.fflush(None)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        pool.map(os.system, ["echo pool"])
    child = os.fork()
    if not child:
        sys.stdout.write("fork\n")
        os._exit(0)
    os.waitpid(child, 0)
    sys.stdout.write(f"{look(sys.stdout)} {look(sys.stderr)}\n")
    libc.puts(b"buffered by libc")


PRINTED = ["print", "stderr", "logging", "one", "two", "child", "complaint", "native", "pool", "fork"]


def prints_much(megabytes: int, folder: str) -> None:
    """Prints lines of a hundred characters, faster than they can be carried away; waits before it ends."""
    lines = b"".join(b"%098d\n" % number for number in range(10_000))[:-1] + b"\n"
    for _ in range(megabytes):
        os.write(1, lines)
    waits(folder)
    os.write(1, b"the end\n")


def prints_and_dies(folder: str) -> None:
    """Prints, waits until the test has seen that, prints more and is dead."""
    os.write(1, b"known to everybody\n")
    waits(folder)
    os.write(2, b"last words\n")
    killed()
