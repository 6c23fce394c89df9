"""Notes failures that may have damaged a process, although Python goes on in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_DEVICE_ERRORS = frozenset({"torch.AcceleratorError", "torch.OutOfMemoryError"})
_DEVICE_TEXT = re.compile(
    r"CUDA (?:driver )?error|CUDA out of memory|cu(?:BLAS|DNN|FFT|SOLVER|SPARSE)\w* error|CUBLAS_STATUS|CUDNN_STATUS"
    r"|HIP (?:error|out of memory)|NCCL error|DefaultCPUAllocator: can't allocate memory|device-side assert",
    re.IGNORECASE,
)
_DEEPEST = 20


class _Suspicion:
    """Why this process should take no other job; empty while nothing speaks against it."""

    reason = ""


def suspect(error: BaseException) -> None:
    """Note an error that ended a job, if it or one that caused it may have damaged the process."""
    try:
        if any(map(_is_harmful, _with_causes(error))):
            _Suspicion.reason = f"the job failed with {type(error).__name__}, after which it may be damaged"
    except BaseException:  # noqa: BLE001 - a metaclass of the user's raised: such an error is told like any other
        _Suspicion.reason = "the job failed with an error that cannot be read"


def take_suspicion() -> str:
    """The reason noted since the last call, which is forgotten; empty when there is none."""
    reason, _Suspicion.reason = _Suspicion.reason, ""
    return reason


def _is_harmful(error: BaseException) -> bool:
    kind = type(error)
    if issubclass(kind, MemoryError):
        return True
    if any(f"{each.__module__}.{each.__qualname__}" in _DEVICE_ERRORS for each in kind.__mro__):
        return True
    # Libraries raise RuntimeError for most failures of a device, and only their text says so.
    return issubclass(kind, RuntimeError) and any(
        isinstance(each, str) and _DEVICE_TEXT.search(each) for each in _own(error, "args")
    )


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """The error, its causes and contexts, and the members of exception groups."""
    left, seen = [error], set[int]()
    while left and len(seen) < _DEEPEST:
        each = left.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        left += [cause for cause in (_own(each, "__cause__"), _own(each, "__context__")) if cause is not None]
        if issubclass(type(each), BaseExceptionGroup):
            left += _own(each, "exceptions", BaseExceptionGroup)


def _own(error: BaseException, name: str, kind: type[BaseException] = BaseException) -> Any:
    """What Python keeps of an exception: a property of the user's of the same name may raise, or exit."""
    return vars(kind)[name].__get__(error)
