"""What a job waits for on this cluster."""

from __future__ import annotations

from checkmaite.jobs import Resources
from checkmaite.jobs_ray_simple.wall import cluster_resources, shortage


def shortage_of(wanted: Resources) -> str:
    """Why a job that Ray has not started yet waits, as a sentence."""
    nodes, free = cluster_resources()
    return shortage(wanted, nodes=nodes, free=free)
