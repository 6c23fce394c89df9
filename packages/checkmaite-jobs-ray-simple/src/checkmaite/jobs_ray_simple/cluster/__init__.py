"""How Ray is reached, started, asked and told: the layer that ``"ray-simple"`` and ``"ray"`` stand on. Not for users.

Connecting to a Ray and sharing the connection, actors that take nothing from their creator, what a job needs of a
cluster, what travels to a worker, and what Ray's exceptions mean. ``"ray"`` takes what this door gives and nothing else
of this package; the door follows its needs and moves in lockstep with it.
"""

from checkmaite.jobs_ray_simple.cluster.actors import enter_namespace, leave_driver, stand_in
from checkmaite.jobs_ray_simple.cluster.code import code_here
from checkmaite.jobs_ray_simple.cluster.connection import Connection, cancel, connect, is_connected
from checkmaite.jobs_ray_simple.cluster.deaths import Death, Deaths, dead_for_a_while
from checkmaite.jobs_ray_simple.cluster.job_function import (
    make_job_function,
    make_runner_function,
    packed_order,
    start_worker,
)
from checkmaite.jobs_ray_simple.cluster.maintenance import DEFAULT_MAINTENANCE_JOBS, StoreMaintenance
from checkmaite.jobs_ray_simple.cluster.nodes import cluster_resources, leaving_nodes, occupancy
from checkmaite.jobs_ray_simple.cluster.options import ConnectionOptions, isolation_level
from checkmaite.jobs_ray_simple.cluster.pickling import carried, dumps, is_large, payloads
from checkmaite.jobs_ray_simple.cluster.programs import start_obstacle
from checkmaite.jobs_ray_simple.cluster.ray_errors import LOST_WORKER, explained, finished_from, is_known, lost_worker
from checkmaite.jobs_ray_simple.cluster.remains import REMAINS_S, pack_left_by, remains_of
from checkmaite.jobs_ray_simple.cluster.resources import RemoteWork, fits_no_node, shortage

__all__ = [
    "DEFAULT_MAINTENANCE_JOBS",
    "LOST_WORKER",
    "REMAINS_S",
    "Connection",
    "ConnectionOptions",
    "Death",
    "Deaths",
    "RemoteWork",
    "StoreMaintenance",
    "cancel",
    "carried",
    "cluster_resources",
    "code_here",
    "connect",
    "dead_for_a_while",
    "dumps",
    "enter_namespace",
    "explained",
    "finished_from",
    "fits_no_node",
    "is_connected",
    "is_known",
    "is_large",
    "isolation_level",
    "leave_driver",
    "leaving_nodes",
    "lost_worker",
    "make_job_function",
    "make_runner_function",
    "occupancy",
    "pack_left_by",
    "packed_order",
    "payloads",
    "remains_of",
    "shortage",
    "stand_in",
    "start_obstacle",
    "start_worker",
]
