"""Which worker process died under a task, and how.

Ray's own exception says neither, and there is none when Ray starts the task again, for which it first waits until there
is room. The table of workers that Ray keeps says both, but not which task a worker had. A death is matched to a task by
the process that the job had named, else by time. This is the only module that reads that table, an interface that Ray
gives no promise for; where it is missing, as through ``ray://``, less is said.
"""

from __future__ import annotations

import logging
import re
import time
from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import ray
from checkmaite.jobs.spi import Started
from checkmaite.jobs_ray_simple.cluster.nodes import leaving_nodes

_untyped: Any = ray  # the parts of its API that carry no types
_log = logging.getLogger("checkmaite.jobs")
_RECENT_S = 5.0
_SETTLED_S = 3.0
_REMEMBERED = 1_000
_GONE = ("Worker unexpectedly exits with a connection error", "RPC error")
_LEASED = "The leased worker has unrecoverable failure. Worker is requested to be destroyed when it is returned. "
_INTENDED = (1, 3)  # WorkerExitType.INTENDED_SYSTEM_EXIT and INTENDED_USER_EXIT: that of workers whose driver has left
_OUT_OF_MEMORY = 4  # WorkerExitType.NODE_OUT_OF_MEMORY
_MEMORY_USER = re.compile(r"^(\d+)\t([0-9.]+)\tray::", re.MULTILINE)
_TOLERANCE = 0.02 * 2**30  # that list is rounded to hundredths


class Death(NamedTuple):
    """The unexpected death of a worker process.

    Attributes:
        node: Host name, or an address when that is not known.
        pid: On that node.
        cause: What Ray says of it; empty when it saw no more than that the process was gone.
        node_died: Whether its node went with it.
        memory: Bytes that it had when it was killed since its node was running out of memory; None when it was not.
        had_most: Whether no other worker on the node had more of it then.
        node_left: Whether Ray drained its node, so that its end was to come.
    """

    node: str
    pid: int
    cause: str
    node_died: bool = False
    memory: int | None = None
    had_most: bool = True
    node_left: bool = False

    @property
    def is_to_blame(self) -> bool:
        """Whether the job may have caused it."""
        return self.had_most and not self.node_left

    @property
    def is_explained(self) -> bool:
        """Whether it is known what ended the process."""
        return bool(self.node_died or self.node_left or self.memory or self.cause)


class _Worker(NamedTuple):
    """A row of the table, and its node: the host name, or an address when that is not known, and whether it lives."""

    row: Any
    host: str
    node_lives: bool

    @property
    def node(self) -> str:
        node: str = self.row.worker_address.node_id.hex()
        return node

    @property
    def is_dead(self) -> bool:
        return not (self.row.is_alive and self.node_lives)


def dead_for_a_while(begun: Collection[Started]) -> set[Started]:
    """Those whose workers are dead, and have been for long enough for the result of their task to have come.

    Nothing when the table cannot be read.
    """
    last: dict[tuple[str, int], _Worker] = {}
    for each in sorted(_workers(), key=lambda each: each.row.start_time_ms):
        last[each.host, each.row.pid] = each  # process ids come again
    until = time.time() - _SETTLED_S
    found = ((each, last.get((each.node, each.pid))) for each in begun)
    return {each for each, worker in found if worker is not None and _died_between(worker, each.at.timestamp(), until)}


def _died_between(worker: _Worker, since: float, until: float) -> bool:
    return not worker.node_lives or (worker.is_dead and since < worker.row.end_time_ms / 1_000 < until)


class Deaths:
    """Deaths of workers, each told once."""

    def __init__(self) -> None:
        self._told: OrderedDict[bytes, None] = OrderedDict()
        self._leaving: OrderedDict[str, None] = OrderedDict()

    def note_leaving(self) -> None:
        """Note which nodes leave now: of one that has died Ray does not say that it was drained."""
        for node in leaving_nodes():
            _remember(self._leaving, node)

    def of_task(self, pid: int | None, node: str | None = None) -> Death | None:
        """The death that has just ended a task.

        Args:
            pid: The process that the task had named; None when it died before it could.
            node: The host name that it had named; process ids are unique on one node only.
        """
        since = (time.time() - _RECENT_S) * 1_000
        found = [
            each
            for each in _workers()
            if each.is_dead
            and bytes(each.row.worker_address.worker_id) not in self._told
            and (each.row.pid == pid if pid is not None else _is_sudden(each.row) and each.row.end_time_ms >= since)
        ]
        if not found:
            return None
        there = [each for each in found if each.host == node]
        worker = max(there or found, key=lambda each: each.row.end_time_ms)
        _remember(self._told, bytes(worker.row.worker_address.worker_id))
        self.note_leaving()
        return _death(worker)._replace(node_left=worker.node in self._leaving)


def _remember(those: OrderedDict[Any, None], one: object) -> None:
    those[one] = None
    while len(those) > _REMEMBERED:
        those.popitem(last=False)


def _is_sudden(row: Any) -> bool:
    return row.exit_type not in _INTENDED


def _death(worker: _Worker) -> Death:
    row = worker.row
    told = Death(worker.host, row.pid, _first_sentences(row.exit_detail), node_died=not worker.node_lives)
    if row.exit_type != _OUT_OF_MEMORY:
        return told
    memory = int(row.memory_used_bytes_at_death)
    others = (float(gib) * 2**30 for pid, gib in _MEMORY_USER.findall(row.exit_detail) if int(pid) != row.pid)
    return told._replace(memory=memory, had_most=memory + _TOLERANCE >= max(others, default=0))


def _workers() -> list[_Worker]:
    """All workers that Ray remembers; none when its table cannot be read."""
    try:
        rows = _rows()
    except Exception:  # noqa: BLE001 - the interface may be gone in another Ray: then the failure is told without it
        _log.debug("Ray's table of workers cannot be read", exc_info=True)
        return []
    nodes = _nodes()
    found = ((row, nodes.get(row.worker_address.node_id.hex())) for row in rows)
    return [
        _Worker(row, node["NodeManagerHostname"], node["Alive"])
        if node is not None
        else _Worker(row, row.worker_address.ip_address, node_lives=True)
        for row, node in found
    ]


def _rows() -> list[Any]:
    from ray._private.state import state
    from ray.core.generated import gcs_pb2

    kind = vars(gcs_pb2)["WorkerTableData"]  # made at run time, which type checkers do not see
    return [kind.FromString(row) for row in state._connect_and_get_accessor().get_worker_table()]


def _nodes() -> Mapping[str, Mapping[str, Any]]:
    """Ray's nodes by id, dead ones too."""
    try:
        return {node["NodeID"]: node for node in _untyped.nodes()}
    except Exception:  # noqa: BLE001 - the control plane may be away for a moment: then the address has to do
        _log.debug("Ray's table of nodes cannot be read", exc_info=True)
        return {}


def _first_sentences(detail: str) -> str:
    """What happened, without Ray's list of what may have caused it and of all that it measured."""
    first = detail.removeprefix(_LEASED).partition(" Some common causes include")[0]
    first = first.partition("\n")[0].strip().rstrip(".")
    return "" if first.startswith(_GONE) else first
