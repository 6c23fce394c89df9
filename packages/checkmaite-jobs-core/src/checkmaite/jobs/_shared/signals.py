"""Handlers of signals, read and set as the interpreter keeps them.

The functions of `signal` make an enumeration of each number and each handler, at twenty times the cost, and every job
sets some.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any] | int | None
"""Also `DEFAULT` or `IGNORE`; None where the handler was not set from Python."""

_signal: Any = import_module("_signal")
DEFAULT: int = _signal.SIG_DFL
IGNORE: int = _signal.SIG_IGN
get_handler: Callable[[int], Handler] = _signal.getsignal
set_handler: Callable[[int, Any], Handler] = _signal.signal
set_mask: Callable[[int, Iterable[int]], set[int]] | None = getattr(_signal, "pthread_sigmask", None)
"""Not on Windows."""
