"""What a job waits for on this cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from checkmaite.jobs import Resources
from checkmaite.jobs_ray_simple.wall import cluster_resources, missing_program, shortage


def shortage_of(wanted: Resources) -> str:
    """Why a job that Ray has not started yet waits, as a sentence."""
    nodes, free = cluster_resources()
    return shortage(wanted, nodes=nodes, free=free)


async def missing_program_of(runtime_env: Mapping[str, Any] | None) -> str:
    """Why no worker can start with this runtime environment, as a sentence; empty when nothing is known against it."""
    return await asyncio.to_thread(missing_program, runtime_env)
