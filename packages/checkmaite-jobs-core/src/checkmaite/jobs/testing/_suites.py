"""The suites, imported when they are asked for: they bring pytest, and workers that run the samples do without."""

from __future__ import annotations

from importlib import import_module
from typing import Any

_SUITES = {"AnalyticsStoreContract": "_store", "JobBackendContract": "_backend"}


def __getattr__(name: str) -> Any:
    """The door's names that are not there yet."""
    if name not in _SUITES:
        raise AttributeError(f"module 'checkmaite.jobs.testing' has no attribute {name!r}")
    return getattr(import_module(f"checkmaite.jobs.testing.{_SUITES[name]}.contract"), name)
