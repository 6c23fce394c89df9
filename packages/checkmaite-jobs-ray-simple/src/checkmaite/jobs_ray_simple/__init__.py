"""The ``"ray-simple"`` job backend: each job is one Ray task, with no registry between."""

from checkmaite.jobs_ray_simple.backend import RaySimpleBackend
from checkmaite.jobs_ray_simple.config import RaySimpleOptions, RaySimpleRunOptions

__all__ = ["RaySimpleBackend", "RaySimpleOptions", "RaySimpleRunOptions"]
