"""What an exception means for a job, in plain text of bounded size.

The exception and its class are the user's: nothing about them can be relied on, so whatever their own code raises here
is part of what is told.
"""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from checkmaite.jobs._shared.errors import (
    MissingDependencyError,
    PayloadKeyError,
    RecordError,
    StagedObjectError,
    StaleResultError,
    StoreError,
)
from checkmaite.jobs._shared.kinds import FailureKind
from checkmaite.jobs._shared.outcome import MESSAGE_BYTES, TRACEBACK_BYTES, Failed
from checkmaite.jobs._shared.texts import class_name, message_text, shortened

LONG_TEXT_BYTES = 400_000
"""Of a text that does not fit into an error, so much is kept elsewhere."""

_T = TypeVar("_T")

this_node = cache(socket.gethostname)


def failure(error: BaseException, *, phase: str, kept: str = "", keep: Callable[[str], object] | None = None) -> Failed:
    """The outcome that an exception on this machine means.

    Args:
        error: Any exception.
        phase: What was going on.
        kept: Where the job's rows are, when they could not be stored, as part of what to do.
        keep: Is given a text too long for an error, such as the job's output; None when there is no place for it.
    """
    message = message_text(error)
    told = _answer(lambda: "".join(traceback.format_exception(error)), lambda: _bare_traceback(error))
    whole = ""
    if keep is not None and (len(message) > MESSAGE_BYTES or len(told) > TRACEBACK_BYTES):
        whole = "job.logs() has more of it"
        keep(shortened(told, LONG_TEXT_BYTES))
    return Failed(
        error_type=_answer(lambda: _qualified_name(type(error)), lambda: class_name(error)),
        error_message=shortened(message, MESSAGE_BYTES, whole=whole),
        traceback_text=shortened(told, TRACEBACK_BYTES, whole=whole),
        phase=phase,
        kind=_kind(type(error), phase),
        node=this_node(),
        pid=os.getpid(),
        remedy="\n".join(filter(None, (_answer(lambda: _remedy(error, phase), lambda: ""), kept))),
    )


_OF_PHASE = {
    "launch": FailureKind.CANNOT_START,
    "start": FailureKind.CANNOT_START,
    "load": FailureKind.CANNOT_LOAD,
}


def _kind(raised: type[BaseException], phase: str) -> FailureKind:
    """What an exception's class and the phase say; isinstance() would ask the exception itself for its class."""
    if issubclass(raised, StaleResultError):
        return FailureKind.RESULT_REQUIRED
    if phase == "load" and issubclass(raised, PayloadKeyError):
        return FailureKind.PAYLOAD_KEY
    if phase == "load" and issubclass(raised, StagedObjectError):
        return FailureKind.STAGED_OBJECT
    if phase == "write" and issubclass(raised, RecordError):
        return FailureKind.RECORDS_REFUSED
    if phase in {"store", "write"} and issubclass(raised, StoreError):
        return FailureKind.STORE_REFUSED
    return _OF_PHASE.get(phase, FailureKind.EXCEPTION)


def _answer(ask: Callable[[], _T], otherwise: Callable[[], _T]) -> _T:
    try:
        return ask()
    except BaseException:  # noqa: BLE001 - the user's code may raise anything here too, and exit
        return otherwise()


def _bare_traceback(error: BaseException) -> str:
    """Where it was raised, without its causes, notes and group."""
    where = "".join(traceback.format_tb(vars(BaseException)["__traceback__"].__get__(error)))
    return f"Traceback (most recent call last):\n{where}{class_name(error)}\n"


def _qualified_name(kind: type[BaseException]) -> str:
    module, name = kind.__module__, kind.__qualname__
    return f"{name}" if module == "builtins" else f"{module}.{name}"


def _remedy(error: BaseException, phase: str) -> str:
    """What to do about the failures whose cause can be told from here."""
    kind = type(error)  # isinstance() would ask the exception itself for its class
    if phase == "load" and issubclass(kind, ImportError) and not issubclass(kind, MissingDependencyError):
        name = getattr(error, "name", None)
        missing = repr(name) if name else "a module"
        return (
            f"The capability's code needs {missing}, which is not importable on the worker. Install it in the "
            'worker\'s environment, or send your code along with runtime_env={"working_dir": "."}.'
        )
    if phase == "load" and issubclass(kind, AttributeError):
        return "The worker's copy of the capability's code is another version than yours; bring both to the same."
    if phase == "store" and issubclass(kind, StoreError):
        return "The worker asked before it ran anything, so no work is lost. Mend the store, then submit again."
    if phase == "write" and issubclass(kind, StoreError) and not issubclass(kind, RecordError):
        uri = getattr(error, "uri", None)
        where = f" ({uri})" if uri else ""
        return f"The analytics store on the worker refused{where}; nothing of the run is visible in it."
    return ""
