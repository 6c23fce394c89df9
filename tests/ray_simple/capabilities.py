"""Capabilities that the workers of these tests import by path: they do what a test tells them."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path
from typing import Any

from attrs import frozen
from checkmaite.jobs.testing import SampleRun


@frozen
class Acts:
    """Calls `act` in the worker; sent by value, so `act` may be any function of a test."""

    act: Any
    id: str = "acts"

    def run(
        self, *, models: Any = None, datasets: Any = None, metrics: Any = None, config: Any = None, **_: Any
    ) -> Any:
        self.act()
        return SampleRun(run_uid=config["run_uid"], capability_id=self.id)


def exits() -> None:
    os.write(1, b"last words\n")
    os._exit(3)


def killed() -> None:
    os.write(2, b"last words\n")
    os.kill(os.getpid(), signal.SIGKILL)


def crashes() -> None:
    os.write(2, b"last words\n")
    ctypes.string_at(0)


def aborts() -> None:
    os.write(2, b"last words\n")
    os.abort()


def killed_after_a_child_crashed() -> None:
    os.write(2, b"last words\n")
    if not os.fork():
        ctypes.string_at(0)
    os.wait()
    killed()


def exits_the_first_time(folder: str) -> None:
    before = Path(folder) / "tried"
    if not before.exists():
        before.touch()
        os._exit(3)


def never_yields_the_first_time(folder: str) -> None:
    """Goes on whatever is raised in it."""
    os.write(1, b"begins\n")
    if not (Path(folder) / "attempts").exists():
        while True:
            try:
                never_yields(folder)
            except BaseException:  # noqa: BLE001 - as some evaluations do
                continue


def never_yields(folder: str) -> None:
    """Notes each attempt, then goes on whatever is asked of it, from the moment on in which that can be read."""
    is_noted = False
    while True:
        try:
            if not is_noted:
                is_noted = True
                with (Path(folder) / "attempts").open("a") as attempts:
                    print(os.getpid(), file=attempts)
            time.sleep(0.01)
        except KeyboardInterrupt:
            continue
