"""Jobs that soil their worker process, and say what they found soiled. Sent by value: a worker needs core alone."""

from __future__ import annotations

import asyncio
import builtins
import decimal
import faulthandler
import gc
import json
import locale
import logging
import multiprocessing
import os
import random
import resource
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import tracemalloc
import warnings
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)


def _variable() -> ContextVar[str]:
    variable: ContextVar[str] = vars(builtins).setdefault("soiling_variable", ContextVar("soiling", default="clean"))
    return variable


class Wrapper:
    """What people put in the place of `sys.stdout`."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _event_loop() -> str:
    if sys.version_info >= (3, 14):
        return "none"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            asyncio.get_event_loop_policy().get_event_loop().close()
        except RuntimeError:
            return "none"
        asyncio.set_event_loop_policy(None)
    return "one is made when asked for"


def _named(handler: Any) -> str:
    """Each job has handlers of its own, of the same names."""
    return str(getattr(handler, "__qualname__", handler))


def _umask() -> int:
    os.umask(mask := os.umask(0))
    return mask


def world() -> dict[str, Any]:
    """What a job finds, in values that can be compared."""
    root = logging.getLogger()
    numpy = sys.modules.get("numpy")
    return {
        "working directory": str(Path.cwd()),
        "environment": dict(os.environ),
        "what keeps it": type(os.environ).__name__,
        "time zone": time.tzname,
        "umask": _umask(),
        "limits": [
            resource.getrlimit(each) for each in (resource.RLIMIT_NOFILE, resource.RLIMIT_CPU, resource.RLIMIT_AS)
        ],
        "signal handlers": {number: _named(signal.getsignal(number)) for number in set(signal.Signals)},
        "blocked signals": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        "timers": [signal.getitimer(timer)[1] for timer in _TIMERS],
        "alarms": [signal.getitimer(timer)[0] > 0 for timer in _TIMERS],
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "affinity": sorted(os.sched_getaffinity(0)),
        "streams": [_depth(each) for each in (sys.stdin, sys.stdout, sys.stderr)],
        "sys.path": list(sys.path),
        "sys.argv": list(sys.argv),
        "recursion limit": sys.getrecursionlimit(),
        "switch interval": sys.getswitchinterval(),
        "tracing": [
            _named(each) for each in (sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile())
        ],
        "tracing of memory": tracemalloc.is_tracing(),
        "built-in names": [str(each) for each in (print, sorted, open)],
        "flags of Python": (getattr(sys, "tracebacklimit", None), sys.dont_write_bytecode),
        "faulthandler": faulthandler.is_enabled(),
        "hooks": [str(each) for each in (sys.excepthook, sys.unraisablehook, threading.excepthook)],
        "garbage collection": (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count() > 0),
        "warnings": (list(map(str, warnings.filters)), str(warnings.showwarning)),
        "logging": (root.level, list(map(str, root.handlers)), root.manager.disable, logging.getLoggerClass().__name__),
        "locale": locale.setlocale(locale.LC_ALL),
        "socket timeout": socket.getdefaulttimeout(),
        "temporary folder": tempfile.tempdir,
        "decimals": (decimal.getcontext().prec, decimal.getcontext().rounding, decimal.DefaultContext.prec),
        "start method": multiprocessing.get_start_method(allow_none=True),
        "NumPy": (numpy.geterr(), numpy.get_printoptions()) if numpy else None,
        "event loop": _event_loop(),
        "context variable": _variable().get(),
        "threads": sorted(each.name for each in threading.enumerate() if each.name.startswith("left by a job")),
    }


def _depth(stream: Any) -> int:
    """How many wrappers are on top of a stream; -1 when it is closed."""
    if getattr(stream, "closed", False):
        return -1
    return 1 + _depth(stream._stream) if isinstance(stream, Wrapper) else 0


# -- what jobs do -----------------------------------------------------------------------------------------------------


def removes_its_directory() -> None:
    folder = tempfile.mkdtemp()
    os.chdir(folder)
    shutil.rmtree(folder)


def fills_the_environment() -> None:
    os.environ.update({"SOILED": "1", "OMP_NUM_THREADS": "77", "TZ": "Asia/Tokyo", "CUDA_VISIBLE_DEVICES": "0"})
    os.environ.pop("HOME", None)
    time.tzset()


def replaces_the_environment() -> None:
    os.environ = {"SOILED": "1", "TZ": "Asia/Tokyo"}  # noqa: B003 - what it does wrong


def leaves_a_time_zone() -> None:
    zone = os.environ.get("TZ")
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()
    os.environ.pop("TZ")
    if zone is not None:
        os.environ["TZ"] = zone


def lowers_limits() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (400, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    sys.setrecursionlimit(400)


def takes_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGALRM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGALRM})


def sets_alarms() -> None:
    signal.alarm(1)
    signal.setitimer(signal.ITIMER_PROF, 1.0)
    faulthandler.dump_traceback_later(1.0, exit=True)


def raises_from_a_timer() -> None:
    """Its handler raises for as long as the timer goes on, also in whatever comes after the job."""

    def on_alarm(*_: Any) -> None:
        if sys._getframe(1).f_code.co_name in {"restore", "_silence", "_put_back"}:
            raise TimeoutError("the job's own")

    signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)


def wraps_streams() -> None:
    sys.stdout, sys.stderr, sys.stdin = Wrapper(sys.stdout), Wrapper(sys.stderr), Wrapper(sys.stdin)
    print("printed through a wrapper")  # noqa: T201


def changes_python() -> None:
    sys.path.insert(0, "/soiled")
    sys.argv.append("--soiled")
    sys.setswitchinterval(0.5)
    threading.settrace(lambda *_: None)
    sys.excepthook = sys.unraisablehook = threading.excepthook = print  # type: ignore[assignment]
    gc.disable()
    gc.set_threshold(1, 1, 1)


def traces() -> None:
    tracer = _trace
    threading.settrace(tracer)
    threading.setprofile(tracer)
    sys.settrace(tracer)
    sys.setprofile(tracer)


def _trace(*_: Any) -> Any:
    return _trace


def changes_built_in_names() -> None:
    vars(builtins).update(print=repr, open=repr)
    del builtins.sorted


def looks_into_python() -> None:
    sys.tracebacklimit = 0
    sys.dont_write_bytecode = not sys.dont_write_bytecode
    gc.freeze()
    (faulthandler.disable if faulthandler.is_enabled() else faulthandler.enable)()


def changes_warnings_and_logging() -> None:
    logging.captureWarnings(capture=True)
    warnings.simplefilter("error")
    logging.getLogger().addHandler(logging.NullHandler())
    logging.getLogger().setLevel(1)
    logging.disable(logging.CRITICAL)
    logging.setLoggerClass(type("Soiled", (logging.Logger,), {}))


def changes_libraries() -> None:
    socket.setdefaulttimeout(0.001)
    locale.setlocale(locale.LC_ALL, "C.UTF-8" if locale.setlocale(locale.LC_ALL) != "C.UTF-8" else "C")
    decimal.getcontext().prec = decimal.DefaultContext.prec = 2
    decimal.getcontext().rounding = decimal.ROUND_UP
    tempfile.tempdir = "/soiled"
    multiprocessing.set_start_method("spawn", force=True)
    _variable().set("soiled")
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.seterr(all="raise")
        numpy.set_printoptions(precision=1)


def runs_a_loop() -> None:
    asyncio.run(asyncio.sleep(0))


def pins_itself() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def seeds() -> None:
    random.seed(0)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed(0)


def closes_stdout() -> None:
    sys.stdout.close()


def leaves_a_thread() -> None:
    stop = threading.Event()
    threading.Thread(target=stop.wait, args=(60.0,), name="left by a job").start()


def traces_memory() -> None:
    tracemalloc.start()


def runs_out_of_memory() -> None:
    raise MemoryError("no more of it")


def fails() -> None:
    umask_of_all()
    raise ValueError("told to fail")


def umask_of_all() -> None:
    os.umask(0o777)


def exits() -> None:
    os.environ["SOILED"] = "by one that exits"
    sys.exit(3)


CLEANED: Mapping[str, Callable[[], None]] = {
    each.__name__: each
    for each in (
        removes_its_directory,
        fills_the_environment,
        replaces_the_environment,
        leaves_a_time_zone,
        lowers_limits,
        takes_signals,
        sets_alarms,
        raises_from_a_timer,
        wraps_streams,
        changes_python,
        traces,
        changes_built_in_names,
        looks_into_python,
        changes_warnings_and_logging,
        changes_libraries,
        runs_a_loop,
        pins_itself,
        seeds,
        fails,
        umask_of_all,
        exits,
    )
}
"""What is put right again."""

GONE: Mapping[str, Callable[[], None]] = {
    each.__name__: each for each in (closes_stdout, leaves_a_thread, traces_memory, runs_out_of_memory)
}
"""After these the process is not to be used again."""

FAIL = frozenset({"fails", "exits", "runs_out_of_memory"})


def sentinel(act: str, folder: str, name: str) -> None:
    """Compare the world with that of the first job on this process, note what differs, then soil it."""
    found = world()
    first = vars(builtins).setdefault("soiling_first", {"world": found, "jobs": []})
    dirty = {key: (first["world"][key], value) for key, value in found.items() if value != first["world"][key]}
    gone = [each for each in first["jobs"] if each in GONE]
    said = f"{os.getpid()}\n{len(first['jobs'])}\n{random.random()}\n{dirty or ''}{gone or ''}"
    first["jobs"].append(act)
    (Path(folder) / name).write_text(said)
    {**CLEANED, **GONE}[act]()


def order(number: int, dice: random.Random) -> list[str]:
    """What so many jobs do, in what order: everything at least once, what costs a process not often."""
    acts = [*CLEANED, *GONE, *dice.choices([*CLEANED], k=number - len(CLEANED) - len(GONE))]
    dice.shuffle(acts)
    return acts


def check(acts: list[str], folder: Path) -> None:
    """That no sentinel found anything."""
    dirty, before, randoms = [], [], set()
    for number, act in enumerate(acts):
        _, jobs, first_random, *found = (folder / str(number)).read_text().split("\n")
        before.append(int(jobs))
        randoms.add(first_random)
        if "".join(found):
            dirty.append(f"{number} ({act}): {found}")
    assert not dirty, "\n".join(dirty[:3])
    assert len(randoms) == len(acts), "two jobs began with the same random number"
    assert sum(jobs > 0 for jobs in before) > len(acts) / 2, "most jobs had a fresh process, so nothing was tested"


# -- processes --------------------------------------------------------------------------------------------------------


def tell(path: str) -> None:
    """Write down which process this is, how many jobs have told before, and what it sees."""
    jobs = vars(builtins)["soiling_told"] = vars(builtins).get("soiling_told", 0) + 1
    shown = {name: value for name, value in os.environ.items() if "VISIBLE" in name or name in _OTHERS}
    said = {"pid": os.getpid(), "jobs_before": jobs - 1, "accelerators": shown, "environment": dict(os.environ)}
    Path(path).write_text(json.dumps(said))


_OTHERS = {"ZE_AFFINITY_MASK", "NEURON_RT_VISIBLE_CORES", "RBLN_DEVICES", "FURIOSA_DEVICES"}


def read(path: Path) -> dict[str, Any]:
    """What a job told."""
    said: dict[str, Any] = json.loads(path.read_text())
    return said


def is_alive(pid: int) -> bool:
    """Whether a process of this machine has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
