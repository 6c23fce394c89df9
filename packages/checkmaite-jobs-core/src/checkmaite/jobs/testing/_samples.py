"""The capability and the run that the suites use. They live in core, so every worker can import them."""

from __future__ import annotations

import asyncio
import fcntl
import os
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from attrs import evolve, field, frozen
from checkmaite.jobs._shared.record import Record
from checkmaite.jobs._shared.running import report_progress

WAIT_S = 240.0
"""Seconds that a job waits for its test, which ends long before."""


@frozen
class SampleRecord(Record):
    """A score of one model."""

    table_name = "sample_scores"

    model_id: str
    score: float


class UnpicklableError(Exception):
    """An exception that cannot cross a process border as an object."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")
        self.lock = threading.Lock()  # which cannot be pickled


class UnprintableError(Exception):
    """An exception that ends the process of whoever asks for its text, and does not say where it comes from."""

    def __str__(self) -> str:
        sys.exit("told to exit when shown")

    @property
    def __cause__(self) -> BaseException | None:  # type: ignore[override]
        raise KeyboardInterrupt


@frozen(kw_only=True)
class SampleRun:
    """A run with one row, unless told otherwise.

    Attributes:
        gate: When set, `extract` marks ``extracting`` in this folder and waits there for ``write``.
    """

    run_uid: str
    capability_id: str = "sample"
    dataset_metadata: Sequence[Mapping[str, Any]] = ({"id": "dataset-1"},)
    model_metadata: Sequence[Mapping[str, Any]] = ({"id": "model-1"}, {"id": "model-2"})
    metric_metadata: Sequence[Mapping[str, Any]] = ()
    records: Sequence[Any] = field(factory=lambda: [SampleRecord("model-1", 0.5)])
    gate: str | None = None

    def extract(self) -> Iterable[Any]:
        """The records."""
        if self.gate is not None:
            mark(self.gate, "extracting")
            wait_for_mark(self.gate, "write")
        return self.records

    def collect_md_report(self, threshold: float) -> str:
        """A one-line report."""
        return f"# sample at {threshold}"


_FAILURES: Mapping[str, Callable[[], BaseException]] = {
    "fail": lambda: ValueError("the sample was told to fail"),
    "fail-unpicklable": lambda: UnpicklableError("this", "that"),
    "fail-unprintable": UnprintableError,
    "fail-at-length": lambda: ValueError(f"this begins{chr(0xDCFF) * 2**22}and that ends"),
    "fail-cancelled": lambda: asyncio.CancelledError("a part of the sample was cancelled"),
    "fail-interrupted": lambda: KeyboardInterrupt("the sample interrupts itself"),
}


@frozen(kw_only=True)
class SampleCapability:
    """Does what its `act` says.

    Attributes:
        act: ``return`` at once; ``fail``, ``fail-unpicklable``, ``fail-unprintable``, ``fail-at-length`` with megabytes
            of text that UTF-8 cannot carry, or ``fail-cancelled`` and ``fail-interrupted``, whose errors are no
            `Exception`; ``wait`` marks ``started`` in `folder`, waits there for ``go``, says so on both streams, and
            marks ``left`` when it is left in good order; ``swallow`` likewise, but ignores KeyboardInterrupt while it
            waits; ``slow-write`` waits in `SampleRun.extract`; ``say-process`` marks ``process-`` and the number of its
            process. Each execution that comes to its end marks ``ran-`` and the run's uid, and ``executed-`` with a
            text of its own.
        folder: A folder that the test and the workers share.
    """

    id: str = "sample"
    act: str = "return"
    folder: str = ""

    def run(
        self,
        *,
        models: Any = None,
        datasets: Any = None,
        metrics: Any = None,
        config: Any = None,
        use_cache: bool = False,
    ) -> SampleRun:
        """Act, and return a run whose uid is the config's."""
        assert not use_cache, "workers never use the capability's cache"
        run = SampleRun(run_uid=str(config["run_uid"]))
        if self.act in _FAILURES:
            print("the sample fails")  # noqa: T201 - what a job prints is what the suite looks for
            error = _FAILURES[self.act]()
            raise error
        match self.act:
            case "wait":
                self._say_and_wait()
            case "swallow":
                for _ in range(3):
                    try:
                        self._say_and_wait()
                        break
                    except KeyboardInterrupt:
                        continue
            case "say-process":
                mark(self.folder, f"process-{os.getpid()}")
            case "slow-write":
                run = evolve(run, gate=self.folder)
        mark(self.folder, f"ran-{run.run_uid}")
        mark(self.folder, f"executed-{uuid.uuid4().hex}")
        return run

    def _say_and_wait(self) -> None:
        print("the sample waits")  # noqa: T201 - what a job prints is what the suite looks for
        print("the sample complains", file=sys.stderr)  # noqa: T201 - likewise
        report_progress(1, 4, "waiting")
        with working(self.folder):
            try:
                mark(self.folder, "started")  # within: from here on a test may cancel the job
                wait_for_mark(self.folder, "go")
            finally:
                mark(self.folder, "left")


class SampleRunKnownBefore(SampleRun):
    """A run whose uid is known before it is made."""

    @staticmethod
    def compute_uid(*, config: Any, **_: Any) -> str:
        """The config's."""
        return str(config["run_uid"])


class SampleKnownBefore(SampleCapability):
    """The sample capability, whose run's uid is known before it is made."""

    _RUN_TYPE = SampleRunKnownBefore


def mark(folder: str, name: str) -> None:
    """Leave a mark in a folder; nothing when there is no folder."""
    if folder:
        (Path(folder) / name).touch()


def is_marked(folder: str, name: str) -> bool:
    """Whether the mark is there."""
    return (Path(folder) / name).exists()


@contextmanager
def working(folder: str) -> Iterator[None]:
    """Within the block somebody works in the folder; the operating system sees to it that a killed process does not."""
    if not folder:
        yield
        return
    with (Path(folder) / "working").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def is_worked_in(folder: str) -> bool:
    """Whether a thread of any process is within `working`."""
    with (Path(folder) / "working").open("w") as file, suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    return True


def wait_for_mark(folder: str, name: str, within_s: float | None = None) -> None:
    """Wait until the mark is there.

    Raises:
        TimeoutError: It was not after `within_s` seconds, `WAIT_S` when that is None.
    """
    wait_until(lambda: is_marked(folder, name), f"no mark {name!r}", within_s)


def wait_until(condition: Callable[[], object], otherwise: str, within_s: float | None = None) -> None:
    """Wait until `condition()` is true.

    Raises:
        TimeoutError: It was not after `within_s` seconds, `WAIT_S` when that is None; the text is `otherwise`.
    """
    patience_s = WAIT_S if within_s is None else within_s
    deadline = time.monotonic() + patience_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{otherwise} after {patience_s:g} s")
        time.sleep(0.005)  # processes of any kind share only the folder, which cannot wake anybody
