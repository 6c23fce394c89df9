"""The executor, imported when it is asked for: it brings `concurrent.futures`, and workers do without."""

from __future__ import annotations

import sys
from typing import Any

_EXECUTOR = frozenset({"JobExecutor", "JobFuture"})


def __getattr__(name: str) -> Any:
    """The users' names that are not there yet."""
    if name not in _EXECUTOR:
        raise AttributeError(f"module 'checkmaite.jobs' has no attribute {name!r}")
    from checkmaite.jobs._submitters import executor

    return getattr(executor, name)


def __dir__() -> list[str]:
    """All users' names, for completion: the late ones too."""
    return sorted({*vars(sys.modules["checkmaite.jobs"]), *_EXECUTOR})
