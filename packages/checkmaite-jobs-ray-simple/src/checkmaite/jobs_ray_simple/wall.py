"""For the sibling backend ``"ray"``: all about Ray that the two backends share. Not for users.

Connecting to a Ray and sharing the connection, actors that take nothing from their creator, what a job needs of a
cluster, what travels to a worker, and what Ray's exceptions mean. This door follows the needs of that one sibling and
moves in lockstep with it.
"""

from checkmaite.jobs_ray_simple._apart import enter_namespace, leave_driver, stand_in
from checkmaite.jobs_ray_simple._code import code_here
from checkmaite.jobs_ray_simple._connection import Connection, cancel, connect, is_connected
from checkmaite.jobs_ray_simple._deaths import Death, Deaths, dead_for_a_while
from checkmaite.jobs_ray_simple._demand import RemoteWork, cluster_resources, shortage
from checkmaite.jobs_ray_simple._meaning import LOST_WORKER, explained, finished_from, is_known, lost_worker
from checkmaite.jobs_ray_simple._options import ConnectionOptions, isolation_level
from checkmaite.jobs_ray_simple._payloads import carried, is_large, payloads
from checkmaite.jobs_ray_simple._program import missing_program
from checkmaite.jobs_ray_simple._remains import REMAINS_S, remains_of
from checkmaite.jobs_ray_simple._worker_processes import Leave, make_version_check

__all__ = [
    "LOST_WORKER",
    "REMAINS_S",
    "Connection",
    "ConnectionOptions",
    "Death",
    "Deaths",
    "Leave",
    "RemoteWork",
    "cancel",
    "carried",
    "cluster_resources",
    "code_here",
    "connect",
    "dead_for_a_while",
    "enter_namespace",
    "explained",
    "finished_from",
    "is_connected",
    "is_known",
    "is_large",
    "isolation_level",
    "leave_driver",
    "lost_worker",
    "make_version_check",
    "missing_program",
    "payloads",
    "remains_of",
    "shortage",
    "stand_in",
]
