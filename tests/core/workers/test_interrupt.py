"""Who a KeyboardInterrupt comes from."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest
from checkmaite.jobs._workers.interrupt import Interrupt


@pytest.fixture
def interrupt() -> Interrupt:
    return Interrupt()


def test_a_signal_leaves_a_note(interrupt: Interrupt) -> None:
    with interrupt.from_signals():
        assert not interrupt.may_have_raised
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert interrupt.may_have_raised


def test_a_job_that_takes_the_handler_away_may_have_been_asked_to_stop(interrupt: Interrupt) -> None:
    with interrupt.from_signals():
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert not interrupt.requested
        assert interrupt.may_have_raised
    assert not interrupt.may_have_raised


_PROFILED = """
import cProfile, sys, threading
from checkmaite.jobs._workers.interrupt import Interrupt

def job():
    interrupt = Interrupt()
    try:
        with interrupt.from_threads():
            if "asked" in sys.argv:
                interrupt.request()
            with interrupt.shielded():
                pass
    except KeyboardInterrupt:
        print("interrupted")

def profiled():
    for _ in range(1000):
        pass

thread = threading.Thread(target=job)
thread.start()
thread.join()
cProfile.run("profiled()")
"""


@pytest.mark.parametrize("asked", [[], ["asked"]], ids=["a job that ended by itself", "a job that was asked to stop"])
def test_threads_are_profiled_after_a_job_as_before(asked: list[str]) -> None:
    """CPython 3.11 hangs in a profiled thread while any thread is said to have an exception that never comes."""
    done = subprocess.run(
        [sys.executable, "-c", _PROFILED, *asked], capture_output=True, text=True, check=True, timeout=60
    )
    assert ("interrupted" in done.stdout) == bool(asked)
    assert "function calls" in done.stdout
