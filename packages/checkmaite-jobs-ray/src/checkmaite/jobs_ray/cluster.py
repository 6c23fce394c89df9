"""What more than one room needs of Ray: named actors, payloads in its object store, a dead worker's output."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from functools import partial
from pickle import PickleBuffer
from typing import Any

import ray
import ray.exceptions as rx
from checkmaite.jobs.spi import Remains
from checkmaite.jobs_ray.wire import AttemptId
from checkmaite.jobs_ray_simple.cluster import REMAINS_S, carried, is_large, remains_of, stand_in

_log = logging.getLogger("checkmaite.jobs")
_LOOK_S = 20.0
_LOOKS = 4
"""The parts of the time that is waited for an answer."""
_MAX_CONCURRENCY = 10_000
"""Calls that may be parked in one actor at once; what is refused is decided by the actors, not by Ray's queue."""

Unreachable = (rx.ActorDiedError, rx.ActorUnavailableError)
"""What a call raises whose actor died or restarts; it may have been carried out or not."""
_AT_ONCE = 64
"""Payloads that are fetched at the same time: each is in the process's own memory for a moment."""
_HEAD: Mapping[str, float] = {"node:__internal_head__": 0.0001}
"""Ray's own resource of the head, of which it has 1: the least amount that can be asked for."""
_HELD_S = 60.0
_LONGEST_S = 600.0


def find(name: str, namespace: str) -> Any:
    """Handle of the actor with this name; None when there is none, or none that may live again."""
    try:
        return ray.get_actor(name, namespace=namespace)
    except ValueError:
        return None


def actor_names(namespace: str) -> list[str]:
    """The names of all actors in a namespace."""
    named: Any = ray.util.list_named_actors(all_namespaces=True)
    return [each["name"] for each in named if each["namespace"] == namespace]


def place_of(num_cpus: float, resources: Mapping[str, float] | None) -> Mapping[str, float]:
    """The custom resources that an actor of the control plane asks for: the head's own, unless it is to be elsewhere.

    Anywhere else it may meet a node that lacks this package, and keeps one in use that the autoscaler could end. The
    resource holds across restarts, which a preference of Ray's for a node does not for actors without CPUs.

    Args:
        num_cpus: What it reserves. A head often has no CPUs, so who asks for some asks for another place.
        resources: The custom resources that it was asked to have.
    """
    return resources or ({} if num_cpus else _HEAD)


def get_or_create(
    actor_class: type,
    name: str,
    namespace: str,
    settings: Mapping[str, Any],
    *,
    num_cpus: float,
    memory: int | None,
    resources: Mapping[str, float] | None,
) -> Any:
    """Handle of the actor with this name, which is made if there is none.

    It outlives whoever makes it, and Ray starts it again when its process dies.

    Args:
        actor_class: Its class, importable where it is placed.
        name: Unique in the namespace.
        namespace: Ray namespace.
        settings: The one argument of its constructor.
        num_cpus: What it reserves.
        memory: Bytes that it reserves.
        resources: See `place_of`.
    """
    return (
        ray.remote(stand_in(actor_class))
        .options(
            name=name,
            namespace=namespace,
            lifetime="detached",
            get_if_exists=True,
            max_restarts=-1,
            max_task_retries=0,
            max_concurrency=_MAX_CONCURRENCY,
            num_cpus=num_cpus,
            memory=memory,
            resources=dict(place_of(num_cpus, resources)),
        )
        .remote(settings)
    )


def node_of(actor: Any) -> str:
    """Id of the node that an actor is on; empty when that is not known."""
    from ray._private.state import state  # as in `withdraw_unplaced`

    try:
        found = state.actor_table(actor._actor_id.hex())
    except Exception:  # noqa: BLE001 - the interface may be gone in another Ray
        _log.debug("where an actor is, is not known", exc_info=True)
        return ""
    return str(found["Address"]["NodeID"]) if found else ""


def withdraw_unplaced(name: str, namespace: str) -> bool:
    """End an actor that no node has room for, so that it can be made anew with other wishes; whether there was one."""

    def is_unplaced(wanted: str) -> bool:
        from ray._private.state import state  # an interface without promises, the only one that tells

        return any(
            each["Name"] == wanted and each["NumRestarts"] == 0
            for each in state.actor_table(None, None, "PENDING_CREATION").values()
        )

    try:
        # On the cluster: through ray:// this process cannot ask.
        waits = ray.get(ray.remote(is_unplaced).options(num_cpus=0).remote(name), timeout=_LOOK_S)
        actor = find(name, namespace) if waits else None
        if actor is None:
            return False
        ray.kill(actor, no_restart=True)
    except (rx.RayError, ConnectionError):
        _log.debug("whether %s waits for a node is not known", name, exc_info=True)
        return False
    return True


async def answer(reference: Any, timeout_s: float) -> Any:
    """What a call gives, within a time in which this process runs.

    One that was stopped, or got no CPU, has heard nobody meanwhile: such a pause counts as one look.

    Raises:
        TimeoutError: It gave nothing in time.
    """
    call = asyncio.ensure_future(reference)
    try:
        for _ in range(_LOOKS):
            await asyncio.wait([call], timeout=timeout_s / _LOOKS)
            if call.done():
                return call.result()
    finally:
        call.cancel()
    raise TimeoutError


def this_actor() -> Any:
    """Handle of the actor that calls this."""
    return ray.get_runtime_context().current_actor


def end_this_actor(after_s: float) -> None:
    """End the actor that calls this, for good, when those who wait for its answers have had the time to get them."""
    actor = this_actor()
    asyncio.get_running_loop().call_later(after_s, lambda: ray.kill(actor, no_restart=True))


def restart(actor: Any) -> None:
    """End an actor's process, and with it the tasks that it owns; Ray starts it again, empty."""
    ray.kill(actor, no_restart=False)


# -- payloads ----------------------------------------------------------------------------------------------------------


def arrived(payload: Any) -> Any:
    """What `carried` gave, as it comes with a call: a view of the shared memory, or bytes."""
    return payload if isinstance(payload, bytes) else memoryview(payload).cast("B")


def is_elsewhere(payload: Any) -> bool:
    """Whether this is a reference to a payload, which is lost with the process that owns it."""
    return isinstance(payload, ray.ObjectRef)


def keep_payload(payload: Any) -> Any:
    """The payload itself when it is small, else a reference to it in Ray's object store, owned by this process."""
    return ray.put(carried(payload)) if is_large(payload) else payload


class Arrivals:
    """Payloads on their way from the processes that own them to this one, on one event loop.

    One that takes longer than its caller waits comes on, and is there when the same attempt is brought again.
    """

    def __init__(self) -> None:
        self._coming: dict[AttemptId, asyncio.Task[Any]] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def own(self, payloads: Mapping[AttemptId, Any], patience_s: float) -> dict[AttemptId, Any]:
        """The payloads, owned by this process; those that cannot be had, or not in time, are missing.

        Args:
            payloads: The payload, or the reference to it, of each attempt.
            patience_s: How long to wait for all of them.
        """
        found = {attempt_id: payload for attempt_id, payload in payloads.items() if not is_elsewhere(payload)}
        coming = {
            attempt_id: self._task(attempt_id, payloads[attempt_id]) for attempt_id in payloads.keys() - found.keys()
        }
        if coming:
            await asyncio.wait(coming.values(), timeout=patience_s)
        causes = set()
        for attempt_id, task in coming.items():
            if not task.done():
                causes.add(f"not within {patience_s:g} s")
                task.add_done_callback(partial(self._hold, attempt_id))
                continue
            self._drop(attempt_id, task)
            if _has_come(task):
                found[attempt_id] = task.result()
            else:
                causes.add("its lease is over" if task.cancelled() else type(task.exception()).__name__)
        if causes:
            missing, why = len(payloads) - len(found), ", ".join(sorted(causes))
            _log.warning("%d of %d jobs are not taken, since their payloads do not come: %s", missing, len(coming), why)
        return found

    def abandon(self) -> None:
        """Fetch none of them any more."""
        for task in self._coming.values():
            task.cancel()
        self._coming.clear()

    def _task(self, attempt_id: AttemptId, reference: Any) -> asyncio.Task[Any]:
        task = self._coming.get(attempt_id)
        if task is None or (task.done() and not _has_come(task)):
            self._coming[attempt_id] = task = asyncio.get_running_loop().create_task(self._fetch(reference))
        return task

    async def _fetch(self, reference: Any) -> Any:
        async with self._turns, asyncio.timeout(_LONGEST_S):
            return ray.put(PickleBuffer(await reference))

    def _hold(self, attempt_id: AttemptId, task: asyncio.Task[Any]) -> None:
        """It came when nobody waited: it is here for a while."""
        if _has_come(task):
            asyncio.get_running_loop().call_later(_HELD_S, self._drop, attempt_id, task)
        else:
            self._drop(attempt_id, task)

    def _drop(self, attempt_id: AttemptId, task: asyncio.Task[Any]) -> None:
        if self._coming.get(attempt_id) is task:
            del self._coming[attempt_id]


def _has_come(task: asyncio.Task[Any]) -> bool:
    """Whether a task that is done gave what it was to give."""
    return not task.cancelled() and task.exception() is None


# -- what a dead worker has left ---------------------------------------------------------------------------------------


async def left_output(job_id: str, host: str | None, runtime_env: Mapping[str, Any] | None) -> Remains | None:
    """What a job's dead worker has left on its node; None when that is nothing. See `remains_of`."""
    left: Remains | None
    try:
        async with asyncio.timeout(REMAINS_S):
            found = remains_of(job_id, host, runtime_env, leaves_driver=True)
            asked = [asyncio.wrap_future(each.future()) for each in found]
            for answer in asyncio.as_completed(asked):
                left = await answer
                if left is not None:
                    return left
    except Exception:  # noqa: BLE001 - whatever Ray raises about the node, what the worker has told is there
        _log.info("what job %s printed last could not be looked for", job_id, exc_info=True)
    return None
