"""What a job's process uses at most, from counters that the system keeps anyway."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from functools import cache

if sys.platform != "win32":
    import resource

from checkmaite.jobs._shared.job_info import Used

_RESET = "/proc/self/clear_refs"
_RESET_PEAK = b"5"  # see proc(5): the peak of resident memory begins anew at what is resident now
_STATUS = "/proc/self/status"
_STATUS_BYTES = 1 << 14
_PEAK = re.compile(rb"^VmHWM:\s+(\d+) kB", re.MULTILINE)
_ALIKE_KB = 1024


def watch_memory() -> Callable[[], Used | None]:
    """Begin to measure this process; the function that is returned says what it has used at most since.

    It says None where nothing of it is known.
    """
    is_counted = _begin_anew()

    def used() -> Used | None:
        memory_bytes, gpu_memory_bytes = _peak_bytes() if is_counted else None, _gpu_peak_bytes()
        if memory_bytes is None and gpu_memory_bytes is None:
            return None
        return Used(memory_bytes=memory_bytes, gpu_memory_bytes=gpu_memory_bytes)

    return used


def _begin_anew() -> bool:
    """Whether the system counts from now on; not on other systems than Linux, nor where it is not allowed."""
    try:
        descriptor = os.open(_RESET, os.O_WRONLY)  # streams of Python cost more than a short job
        try:
            os.write(descriptor, _RESET_PEAK)
        finally:
            os.close(descriptor)
    except OSError:
        return False
    return True


def _peak_bytes() -> int | None:
    if _usage_agrees():
        return _peak_by_usage_kb() * 1024
    found = _peak_by_status_kb()
    return None if found is None else found * 1024


@cache
def _usage_agrees() -> bool:
    """Whether `getrusage` says the same, at a twentieth of the cost.

    It does not where the program that this process ran before, such as a large one that has forked it, had more.
    """
    by_usage, by_status = _peak_by_usage_kb(), _peak_by_status_kb()
    return by_status is not None and 0 <= by_status - by_usage <= _ALIKE_KB


def _peak_by_usage_kb() -> int:
    """The peak of the whole process, asked for by a thread: else the system adds up what all threads have used."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_maxrss


def _peak_by_status_kb() -> int | None:
    try:
        descriptor = os.open(_STATUS, os.O_RDONLY)
        try:
            found = _PEAK.search(os.read(descriptor, _STATUS_BYTES))
        finally:
            os.close(descriptor)
    except OSError:
        return None
    return int(found[1]) if found else None


def _gpu_peak_bytes() -> int | None:
    """Of PyTorch alone, and only where the job has begun to use it: a job that has a GPU has its process to itself."""
    torch = sys.modules.get("torch")
    try:
        cuda = torch.cuda if torch is not None else None
        if cuda is None or not cuda.is_initialized():
            return None
        return sum(int(cuda.max_memory_reserved(number)) for number in range(cuda.device_count()))
    except Exception:  # noqa: BLE001 - a device after a failed call raises anything, and a measurement fails no job
        return None
