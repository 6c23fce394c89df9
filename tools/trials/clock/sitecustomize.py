"""Lets the calendar of a Python process be set from outside, as an administrator or NTP sets a machine's clock.

A process that has this folder in PYTHONPATH imports it when it starts. The file that TRIALS_CLOCK names holds one
double: so many seconds the process's calendar is ahead. `time.time`, `time.time_ns` and `datetime.now` follow it.
Compiled code, such as Ray's, and the dates of files keep the true time: only a machine's own clock could change that.
So does gRPC, which gives its compiled part deadlines that it has made with `time.time`.
"""

import os
import sys

if _file := os.environ.get("TRIALS_CLOCK"):
    import ctypes
    import gc
    import mmap
    import struct
    import time
    from datetime import datetime

    with open(_file, "rb") as _opened:  # noqa: PTH123 - every process that starts pays for what is imported here
        _shared = mmap.mmap(_opened.fileno(), 8, prot=mmap.PROT_READ)
    _read, _true, _true_ns = struct.Struct("d").unpack_from, time.time, time.time_ns

    def _time() -> float:
        caller = sys._getframe().f_back  # None where compiled code calls
        is_grpc = caller is not None and caller.f_globals.get("__name__", "").startswith("grpc.")
        return _true() if is_grpc else _true() + _read(_shared)[0]

    def _time_ns() -> int:
        return _true_ns() + int(_read(_shared)[0] * 1e9)

    def _now(cls, tz=None):
        return cls.fromtimestamp(_time(), tz)

    time.time, time.time_ns = _time, _time_ns
    gc.get_referents(datetime.__dict__)[0]["now"] = classmethod(_now)  # no other class: it must be the one of pickles
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime))
