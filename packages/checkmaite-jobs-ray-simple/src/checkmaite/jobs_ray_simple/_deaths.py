"""Which worker process died under a task, and how.

Ray's own exception says neither, and there is none when Ray starts the task again. The table of workers that Ray keeps
says both, but not which task a worker had. A death is matched to a task by the process that the job had named, else by
time. This is the only module that reads that table, an interface that Ray gives no promise for; where it is missing, as
through ``ray://``, less is said.
"""

from __future__ import annotations

import logging
import re
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import ray

_untyped: Any = ray  # the parts of its API that carry no types
_log = logging.getLogger("checkmaite.jobs")
_RECENT_S = 5.0
_REMEMBERED = 1_000
_GONE = ("Worker unexpectedly exits with a connection error", "RPC error")
_LEASED = "The leased worker has unrecoverable failure. Worker is requested to be destroyed when it is returned. "
_OUT_OF_MEMORY = 4  # WorkerExitType.NODE_OUT_OF_MEMORY
_MEMORY_USER = re.compile(r"^(\d+)\t([0-9.]+)\tray::", re.MULTILINE)
_TOLERANCE = 0.02 * 2**30  # that list is rounded to hundredths


class Death(NamedTuple):
    """A worker process that ended without being told to.

    Attributes:
        node: Host name, or an address when that is not known.
        pid: On that node.
        cause: What Ray says of it; empty when it saw no more than that the process was gone.
        node_died: Whether its node went with it.
        memory: Bytes that it had when it was killed since its node was running out of memory; None when it was not.
        had_most: Whether no other worker on the node had more of it then.
    """

    node: str
    pid: int
    cause: str
    node_died: bool = False
    memory: int | None = None
    had_most: bool = True


class Deaths:
    """Deaths of workers, each told once."""

    def __init__(self) -> None:
        self._told: OrderedDict[bytes, None] = OrderedDict()

    def of_task(self, pid: int | None, node: str | None = None) -> Death | None:
        """The death that has just ended a task.

        Args:
            pid: The process that the task had named; None when it died before it could.
            node: The host name that it had named; process ids are unique on one node only.
        """
        try:
            rows = [row for row in _dead_workers() if bytes(row.worker_address.worker_id) not in self._told]
        except Exception:  # noqa: BLE001 - the interface may be gone in another Ray: then the failure is told without it
            _log.debug("Ray's table of workers cannot be read", exc_info=True)
            return None
        since = (time.time() - _RECENT_S) * 1_000
        found = [row for row in rows if (row.pid == pid if pid is not None else row.end_time_ms >= since)]
        if not found:
            return None
        names = _living_nodes()
        there = [row for row in found if node is None or names.get(row.worker_address.node_id.hex(), node) == node]
        row = max(there or found, key=lambda each: each.end_time_ms)
        self._told[bytes(row.worker_address.worker_id)] = None
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        return _death(row, names)


def _death(row: Any, living: Mapping[str, str]) -> Death:
    address = row.worker_address
    host = living.get(address.node_id.hex())
    memory = had_most = None
    if row.exit_type == _OUT_OF_MEMORY:
        memory = int(row.memory_used_bytes_at_death)
        others = (float(gib) * 2**30 for pid, gib in _MEMORY_USER.findall(row.exit_detail) if int(pid) != row.pid)
        had_most = memory + _TOLERANCE >= max(others, default=0)
    return Death(
        host or address.ip_address,
        row.pid,
        _first_sentences(row.exit_detail),
        node_died=bool(living) and host is None,
        memory=memory,
        had_most=had_most is not False,
    )


def _dead_workers() -> list[Any]:
    from ray._private.state import state
    from ray.core.generated import gcs_pb2

    kind = vars(gcs_pb2)["WorkerTableData"]  # made at run time, which type checkers do not see
    rows = [kind.FromString(row) for row in state._connect_and_get_accessor().get_worker_table()]
    return [row for row in rows if not row.is_alive]


def _living_nodes() -> dict[str, str]:
    """Host names by node id."""
    try:
        return {node["NodeID"]: node["NodeManagerHostname"] for node in _untyped.nodes() if node["Alive"]}
    except Exception:  # noqa: BLE001 - the control plane may be away for a moment: then the address has to do
        _log.debug("Ray's table of nodes cannot be read", exc_info=True)
        return {}


def _first_sentences(detail: str) -> str:
    """What happened, without Ray's list of what may have caused it and of all that it measured."""
    first = detail.removeprefix(_LEASED).partition(" Some common causes include")[0]
    first = first.partition("\n")[0].strip().rstrip(".")
    return "" if first.startswith(_GONE) else first
