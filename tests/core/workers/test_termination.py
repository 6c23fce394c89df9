"""SIGTERM in the middle of a job: real processes, real signals."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_JOB = """
import asyncio, hashlib, multiprocessing, os, signal, sys, threading, time
from functools import partial
from checkmaite.jobs._workers.termination import ended_by_sigterm

def last_words(cause):
    os.write(1, f"last words: {{cause}}\\n".encode())
    {last_words}

def before(*_):
    os.write(1, b"the handler from before\\n")

def ready():
    os.write(1, b"ready\\n")

def job():
{job}

signal.signal(signal.SIGTERM, before)
with ended_by_sigterm(last_words):
    job()
os.write(1, b"went on\\n")
"""
_SWALLOWS = """
    ready()
    while True:
        try:
            time.sleep(0.01)
        except BaseException:
            pass
"""
_IN_C = """
    ready()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
"""
_WAITS = """
    ready()
    threading.Lock().acquire() and threading.Event().wait()
"""
_IN_A_LOOP = """
    async def main():
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print)
        ready()
        await asyncio.sleep(3600)
    asyncio.run(main())
"""
_OWN_HANDLER = """
    came = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: came.set())
    ready()
    came.wait()
    os.write(1, b"the job's own handler\\n")
"""
_CHILD_IS_ENDED = """
    for kind in ("fork", "spawn"):
        context = multiprocessing.get_context(kind)
        begun = context.Event()
        sleeps = partial(time.sleep, 3600)
        child = context.Process(target=sleeps if kind == "spawn" else lambda: begun.set() or sleeps())
        child.start()
        if kind == "fork":  # a signal that comes while a process is forked is lost
            begun.wait()
        child.terminate()
        child.join()
        os.write(1, f"{kind} ended by {-child.exitcode}\\n".encode())
    ready()
    threading.Event().wait()
"""


@contextmanager
def process(job: str, last_words: str = "") -> Iterator[subprocess.Popen[str]]:
    """A process in the middle of a job."""
    text = _JOB.format(job=job, last_words=last_words)
    with subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


def until_ready(running: subprocess.Popen[str]) -> list[str]:
    assert running.stdout is not None
    return [line.strip() for line in iter(running.stdout.readline, "ready\n")]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("job", "last_words"),
    [(_SWALLOWS, ""), (_IN_C, ""), (_WAITS, ""), (_IN_A_LOOP, ""), (_SWALLOWS, "time.sleep(3600)"), (_IN_C, "1 / 0")],
    ids=["swallows all", "in a C call", "waits", "in an event loop", "last words without end", "last words fail"],
)
def test_the_process_ends_at_once_and_says_why(job: str, last_words: str) -> None:
    with process(job, last_words) as running:
        until_ready(running)
        running.send_signal(signal.SIGTERM)
        output, _ = running.communicate(timeout=30)
        assert running.returncode == 128 + signal.SIGTERM
        assert output.splitlines()[:1] == ["last words: SIGTERM"]
        assert "went on" not in output
        assert "handler from before" not in output


def test_a_handler_of_the_jobs_own_is_left_alone() -> None:
    with process(_OWN_HANDLER) as running:
        until_ready(running)
        running.send_signal(signal.SIGTERM)
        output, _ = running.communicate(timeout=30)
        assert (running.returncode, output.splitlines()) == (0, ["the job's own handler", "went on"])


def test_a_child_that_the_job_ends_takes_nobody_along() -> None:
    with process(_CHILD_IS_ENDED) as running:
        assert until_ready(running) == ["fork ended by 15", "spawn ended by 15"]
        assert running.poll() is None


def test_after_the_job_the_handler_from_before_is_back() -> None:
    with process("    pass") as running:
        output, _ = running.communicate(timeout=30)
    assert output == "went on\n"
    then = "    pass\nsignal.signal(signal.SIGTERM, before)\nwith ended_by_sigterm(last_words):\n    pass\n"
    with process(then + "os.kill(os.getpid(), signal.SIGTERM)") as running:
        output, _ = running.communicate(timeout=30)
        assert (running.returncode, output.splitlines()) == (0, ["the handler from before", "went on"])
