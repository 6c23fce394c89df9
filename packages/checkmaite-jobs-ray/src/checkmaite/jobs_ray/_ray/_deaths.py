"""Which worker process died under a task, and how.

Ray's own exception says neither. The table of workers that Ray keeps does, but not which task a worker had. A death is
matched to a task by the process that the job had named, else by time. This is the only module that reads that table,
an interface that Ray gives no promise for; where it is missing, less is said.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from typing import Any, NamedTuple

import ray

_untyped: Any = ray  # the parts of its API that carry no types
_log = logging.getLogger("checkmaite.jobs")
_RECENT_S = 5.0
_REMEMBERED = 1_000


class Death(NamedTuple):
    """A worker process that ended without being told to."""

    node: str
    pid: int
    cause: str


class Deaths:
    """Deaths of workers, each told once."""

    def __init__(self) -> None:
        self._told: OrderedDict[bytes, None] = OrderedDict()

    def of_task(self, pid: int | None) -> Death | None:
        """The death that has just ended a task.

        Args:
            pid: The process that the task had named; None when it died before it could.
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
        row = max(found, key=lambda each: each.end_time_ms)
        self._told[bytes(row.worker_address.worker_id)] = None
        while len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        return Death(_host_of(row.worker_address), row.pid, _first_sentences(row.exit_detail))


def _dead_workers() -> list[Any]:
    from ray._private.state import state
    from ray.core.generated import gcs_pb2

    kind = vars(gcs_pb2)["WorkerTableData"]  # made at run time, which type checkers do not see
    rows = [kind.FromString(row) for row in state._connect_and_get_accessor().get_worker_table()]
    return [row for row in rows if not row.is_alive]


def _host_of(address: Any) -> str:
    node_id = address.node_id.hex()
    try:
        names = {node["NodeID"]: node["NodeManagerHostname"] for node in _untyped.nodes()}
    except Exception:  # noqa: BLE001 - the control plane may be away for a moment: then the address has to do
        _log.debug("Ray's table of nodes cannot be read", exc_info=True)
        names = {}
    return str(names.get(node_id, address.ip_address))


def _first_sentences(detail: str) -> str:
    """What happened, without Ray's list of what may have caused it."""
    return detail.partition(" Some common causes include")[0].strip().rstrip(".")
