"""Finds out how a worker process ended when Ray only knows that it is gone.

Ray's raylet lets the system reap its workers, so that nobody learns their exit status, and a signal that ends a process
outright leaves no trace. What can be known stands in what the process has left behind: `os._exit` has noted its status,
and a crash in native code was written into the job's output by Ray's handler and by Python's `faulthandler`.
"""

from __future__ import annotations

import re

from checkmaite.jobs import FailureKind
from checkmaite.jobs.spi import Remains

_LAST_CHARACTERS = 65_536
_CRASH_BY_RAY = re.compile(r"^\[.* E (\d+) \d+\] \S+: \*\*\* (SIG[A-Z]+) received", re.MULTILINE)
"""Names the process: a child that the job has forked writes the same of itself."""
_CRASH_BY_PYTHON = re.compile(r"^Fatal Python error: (.+)", re.MULTILINE)
_SIGNALS = {
    "Segmentation fault": "SIGSEGV",
    "Aborted": "SIGABRT",
    "Bus error": "SIGBUS",
    "Floating point exception": "SIGFPE",
    "Illegal instruction": "SIGILL",
}
_REMEDY_OF_CRASH = (
    "job.logs() ends with where that was. Native code crashed: a library that does not fit the others, say."
)
_NO_TRACE = (
    "it got a signal that leaves no trace, such as SIGKILL, which the kernel sends when memory runs out, or native "
    "code called exit()"
)


def how_it_ended(left: Remains) -> tuple[str, FailureKind, str]:
    """What ended a process, the name for that, and what to do about it."""
    if left.exit_status is not None:
        kind = FailureKind.WORKER_EXIT
        return f"it called os._exit({left.exit_status})", kind, kind.remedy
    if signal := _crash(left):
        return f"it crashed with {signal}", FailureKind.WORKER_SIGNAL, _REMEDY_OF_CRASH
    return _NO_TRACE, FailureKind.WORKER_LOST, FailureKind.WORKER_LOST.remedy


def _crash(left: Remains) -> str:
    text = left.printed.text[-_LAST_CHARACTERS:]
    if told := _CRASH_BY_RAY.findall(text):
        return next((signal for pid, signal in told if int(pid) == left.pid), "")
    found = _CRASH_BY_PYTHON.findall(text)
    return _SIGNALS.get(found[-1], "") if found else ""
