"""Settings of a process that Python itself keeps."""

from __future__ import annotations

import builtins
import faulthandler
import gc
import locale
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import suppress
from io import TextIOWrapper
from operator import attrgetter, itemgetter
from typing import Any

from checkmaite.jobs._workers.hygiene.setting import Setting

_STREAMS = ("stdin", "stdout", "stderr")
_PARTS = ("closed", "encoding", "errors", "line_buffering", "write_through")
_parts_of = attrgetter(*_PARTS)
_SYS_HOOKS = ("excepthook", "unraisablehook", "displayhook", "breakpointhook")
_SYS_FLAGS = ("tracebacklimit", "dont_write_bytecode", "pycache_prefix")
_BUILTINS = tuple(name for name in vars(builtins) if name != "_")
_those_built_in = itemgetter(*_BUILTINS)
_ABSENT = object()


def settings() -> Iterator[Setting]:
    """All of them."""
    yield Setting("tracing", _tracing, _set_tracing)
    yield Setting("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit)
    yield Setting("limit of digits", sys.get_int_max_str_digits, sys.set_int_max_str_digits)
    yield Setting("thread switch interval", sys.getswitchinterval, sys.setswitchinterval)
    yield Setting("thread stack size", threading.stack_size, threading.stack_size)
    yield Setting("standard streams", _streams, _set_streams)
    yield Setting("sys.path", lambda: list(sys.path), _set_path)
    yield Setting("sys.argv", lambda: list(sys.argv), lambda before: sys.argv.__setitem__(slice(None), before))
    yield Setting("hooks", _hooks, _set_hooks)
    yield Setting("flags of Python", _flags, _set_flags, only_by_jobs=True)
    yield Setting("built-in names", _built_in_names, _set_built_in_names, only_by_jobs=True)
    yield Setting("tracing of memory", _memory_tracing, _leave_memory_tracing)
    yield Setting(
        "faulthandler",
        faulthandler.is_enabled,
        lambda before: faulthandler.enable() if before else faulthandler.disable(),
    )
    yield Setting("garbage collection", _collection, _set_collection)
    yield Setting("warnings filters", lambda: (list(warnings.filters), warnings.showwarning), _set_warnings)
    yield Setting("logging", _logging, _set_logging)
    yield Setting(
        "locale",
        lambda: locale.setlocale(locale.LC_ALL),
        lambda before: locale.setlocale(locale.LC_ALL, before),
        only_by_jobs=True,
    )


def _set_path(before: list[str]) -> None:
    sys.path[:] = before


def _tracing() -> tuple[Any, ...]:
    return sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile()


def _set_tracing(before: tuple[Any, ...]) -> None:
    trace, profile, thread_trace, thread_profile = before
    sys.settrace(trace)
    sys.setprofile(profile)
    threading.settrace(thread_trace)
    threading.setprofile(thread_profile)


def _streams() -> list[tuple[Any, ...]]:
    """Each with what can be changed of it: a stream that was closed cannot be opened again."""
    return [_with_parts(each) for each in (sys.stdin, sys.stdout, sys.stderr)]


def _with_parts(stream: Any) -> tuple[Any, ...]:
    try:
        if type(stream) is not TextIOWrapper and type(inside := vars(stream).get("stream")) is TextIOWrapper:
            return stream, *_parts_of(inside)  # as Ray has them, whose streams look up each part by a function
        return stream, *_parts_of(stream)
    except (AttributeError, TypeError):  # it is none of Python's own
        return stream, *(getattr(stream, part, None) for part in _PARTS)


def _set_streams(before: list[tuple[Any, ...]]) -> None:
    for name, (stream, _, *parts) in zip(_STREAMS, before, strict=True):
        with suppress(Exception):  # what the job put there is its own affair; what it holds back is the job's output
            getattr(sys, name).flush()
        setattr(sys, name, stream)
        if [getattr(stream, part, None) for part in _PARTS[1:]] != parts:
            stream.reconfigure(**dict(zip(_PARTS[1:], parts, strict=True)))


def _hooks() -> list[Any]:
    return [sys.excepthook, sys.unraisablehook, sys.displayhook, sys.breakpointhook, threading.excepthook]


def _set_hooks(before: list[Any]) -> None:
    *own, threading.excepthook = before
    for name, hook in zip(_SYS_HOOKS, own, strict=True):
        setattr(sys, name, hook)


def _flags() -> list[Any]:
    kept = vars(sys)
    return [*[kept.get(name, _ABSENT) for name in _SYS_FLAGS], sys.get_asyncgen_hooks()]


def _set_flags(before: list[Any]) -> None:
    *own, asyncgen_hooks = before
    sys.set_asyncgen_hooks(*asyncgen_hooks)
    for name, value in zip(_SYS_FLAGS, own, strict=True):
        if value is not _ABSENT:
            setattr(sys, name, value)
        elif hasattr(sys, name):
            delattr(sys, name)


def _built_in_names() -> tuple[Any, ...]:
    found: tuple[Any, ...] = _those_built_in(vars(builtins))
    return found


def _set_built_in_names(before: tuple[Any, ...]) -> None:
    for name, value in zip(_BUILTINS, before, strict=True):
        setattr(builtins, name, value)


def _memory_tracing() -> int:
    """The frames that `tracemalloc` keeps of each block of memory; 0 when it is off."""
    tracemalloc = sys.modules.get("tracemalloc")
    return tracemalloc.get_traceback_limit() if tracemalloc is not None and tracemalloc.is_tracing() else 0


def _leave_memory_tracing(_before: int) -> None:
    """Nothing: the process has to end.

    CPython before 3.12.9 crashes when tracing stops while another thread, of a library for instance, frees memory.
    https://github.com/python/cpython/issues/128679
    """


def _collection() -> tuple[Any, ...]:
    return gc.isenabled(), gc.get_threshold(), gc.get_debug(), list(gc.callbacks), gc.get_freeze_count() > 0


def _set_collection(before: tuple[Any, ...]) -> None:
    enabled, threshold, debug, gc.callbacks[:], has_frozen = before
    (gc.enable if enabled else gc.disable)()
    gc.set_threshold(*threshold)
    gc.set_debug(debug)
    if not has_frozen:
        gc.unfreeze()


def _set_warnings(before: tuple[list[Any], Any]) -> None:
    filters, show = before
    if warnings.showwarning is not show:
        logging.captureWarnings(capture=False)
        warnings.showwarning = show
    warnings.resetwarnings()  # which also makes modules forget what they have warned of
    warnings.filters[:] = filters  # type: ignore[index]  # a list, which its type does not say


def _logging() -> tuple[Any, ...]:
    root = logging.root
    return (
        root.level,
        root.disabled,
        list(root.handlers),
        list(root.filters),
        root.manager.disable,
        logging.getLoggerClass(),
        logging.getLogRecordFactory(),
    )


def _set_logging(before: tuple[Any, ...]) -> None:
    root = logging.root
    level, root.disabled, root.handlers[:], root.filters[:], disabled, logger_class, factory = before
    root.setLevel(level)
    logging.disable(disabled)
    logging.setLoggerClass(logger_class)
    logging.setLogRecordFactory(factory)
