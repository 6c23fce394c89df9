"""How workers are prepared: the runtime environment of this process's connection, as a task can be given it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ray


def environment_here() -> Mapping[str, Any] | None:
    """The runtime environment of this connection, its folders uploaded; None when there is none."""
    return dict(ray.get_runtime_context().runtime_env) or None
