"""Pickles the arguments of a job into bytes that only its worker opens."""

from __future__ import annotations

from collections.abc import Sequence
from pickle import PickleBuffer
from typing import Any

import ray.cloudpickle
from checkmaite.jobs import JobSubmissionError, Problem
from checkmaite.jobs.spi import PreparedSubmission

_pickle: Any = ray.cloudpickle  # carries no types
dumps = _pickle.dumps
"""As `pickle.dumps`; but what the user's __main__ defines goes by value, and so do lambdas and local classes."""
_ARGUMENTS = ("capability", "models", "datasets", "metrics", "config")
_LARGE_BYTES = 32 * 1024


def is_large(payload: Any) -> bool:
    """Whether a payload is too large to be kept in memory, or in a journal, for a job that may wait for long."""
    return isinstance(payload, (bytes, memoryview)) and len(payload) > _LARGE_BYTES


def carried(payload: Any) -> Any:
    """A payload as Ray takes it: a large one as a buffer, which goes into shared memory without another copy."""
    return PickleBuffer(payload) if is_large(payload) else payload


def payloads(submissions: Sequence[PreparedSubmission]) -> list[bytes]:
    """Each submission's pickled arguments; what the user's __main__ defines goes by value.

    Raises:
        JobSubmissionError: Some cannot be pickled; every such argument is named.
    """
    found: list[bytes] = []
    problems: list[Problem] = []
    for prepared in submissions:
        try:
            found.append(dumps(prepared.arguments))
        except Exception as error:  # noqa: BLE001 - pickling runs the user's __reduce__, which may raise anything
            problems += [each.below(prepared.path) for each in _unpicklable(prepared, error)]
    if problems:
        raise JobSubmissionError("Nothing was submitted.", phase="serialize", problems=problems)
    return found


def _unpicklable(prepared: PreparedSubmission, whole: Exception) -> list[Problem]:
    faults: list[Problem] = []
    for name, value in zip(_ARGUMENTS, prepared.arguments, strict=True):
        try:
            dumps(value)
        except Exception as error:  # noqa: BLE001 - as above
            faults.append(_fault(name, error))
    return faults or [_fault("submission", whole)]


def _fault(name: str, error: Any) -> Problem:
    first = (str(error).strip().splitlines() or [""])[0]
    return Problem(
        name,
        f"cannot be sent to a worker: {type(error).__name__}: {first}.",
        "Open files, connections, locks and generators inside run() instead of keeping them in the object.",
    )
