"""The ``"ray-simple"`` job backend: each job is one Ray task, with no registry between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from checkmaite.jobs_ray_simple.backend import RaySimpleBackend
    from checkmaite.jobs_ray_simple.config import RaySimpleOptions, RaySimpleRunOptions

__all__ = ["RaySimpleBackend", "RaySimpleOptions", "RaySimpleRunOptions"]


def __getattr__(name: str) -> Any:
    """The names above, imported when they are asked for: whoever stands on `cluster` alone does without."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from checkmaite.jobs_ray_simple import backend, config

    return getattr(backend if name == "RaySimpleBackend" else config, name)
