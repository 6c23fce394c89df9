"""What the registry asks of Ray for its jobs: controllers, what a store holds, what they wait for, code that was sent.

Ray deletes an uploaded folder once the client that uploaded it has gone. A job that starts later, on a node that has no
copy, would find nothing. A pin keeps the folder for a time; the registry renews it while a live job needs it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import ray
import ray.exceptions as rx
from checkmaite.jobs import JobsError, Resources, StorePermissionError
from checkmaite.jobs.spi import Completed, Metric, Remains
from checkmaite.jobs_ray.cluster import (
    find,
    get_or_create,
    is_elsewhere,
    keep_payload,
    left_output,
    node_of,
    place_of,
    restart,
    this_actor,
)
from checkmaite.jobs_ray.config import RegistrySettings
from checkmaite.jobs_ray.controller.actor import JobController
from checkmaite.jobs_ray.hooks.actor import JobHooks
from checkmaite.jobs_ray.memory import return_memory
from checkmaite.jobs_ray.names import hooks_name
from checkmaite.jobs_ray.wire import Context, JobSpec
from checkmaite.jobs_ray_simple.cluster import (
    cluster_resources,
    fits_no_node,
    is_large,
    leave_driver,
    leaving_nodes,
    shortage,
    start_obstacle,
)
from ray.util.metrics import Counter as RayCounter
from ray.util.metrics import Gauge as RayGauge

_CPUS = 0.01
"""Keeps the question off nodes that run no jobs, without taking much of one that does."""
_log = logging.getLogger("checkmaite.jobs")
_PIN_S = 3_600
_RENEW_AFTER_S = 1_200.0
_UPLOADED = "gcs://"


class Cluster:
    """All that the registry's shell asks of Ray: the simulation has another one, and the shell itself.

    Args:
        namespace: The Ray namespace of the registry and its controllers.
        settings: What they keep to.
    """

    def __init__(self, namespace: str, settings: RegistrySettings) -> None:
        self._namespace = namespace
        self._settings = settings
        self._packages = Packages()
        self._published = Published()

    # -- controllers --------------------------------------------------------------------------------------------------

    def controller(self, name: str) -> Any:
        """Handle of the controller with this name, which is made if there is none."""
        settings = self._settings
        return get_or_create(
            JobController,
            name,
            self._namespace,
            settings.wire(),
            num_cpus=settings.controller_num_cpus,
            memory=settings.controller_memory,
            resources=settings.controller_resources,
        )

    def hooks(self, registry: str) -> Any:
        """Handle of the process of a registry's hooks, which is made if there is none."""
        settings = {"hooks": self._settings.hooks}
        name = hooks_name(registry)
        return get_or_create(JobHooks, name, self._namespace, settings, num_cpus=0, memory=None, resources=None)

    def publish(self, metrics: Sequence[Metric]) -> None:
        """Give metrics to Ray, which exports them with its own."""
        try:
            self._published.publish(metrics)
        except Exception:  # noqa: BLE001 - an interface without promises: jobs go on, and the client can ask for metrics
            _log.debug("Ray does not take metrics", exc_info=True)

    def has_controller(self, name: str) -> bool:
        """Whether there is a controller with this name."""
        return find(name, self._namespace) is not None

    async def cpus(self) -> float:
        """Those of the nodes that stay."""
        nodes = (await asyncio.to_thread(cluster_resources)).nodes
        return sum(node.amounts.get("CPU", 0.0) for node in nodes)

    async def drained(self) -> Collection[str]:
        """Ids of the nodes that Ray drains now."""
        return await asyncio.to_thread(leaving_nodes)

    async def leaving(self, controllers: Mapping[str, Any], nodes: Collection[str]) -> Collection[str]:
        """Those on these nodes, which Ray drains, where another node could take them. By name: their handles."""
        settings = self._settings
        wanted = Resources(
            num_cpus=settings.controller_num_cpus,
            memory=settings.controller_memory,
            custom=place_of(settings.controller_num_cpus, settings.controller_resources),
        )
        if not await _others_have(wanted, nodes):
            return []
        return [name for name, actor in controllers.items() if actor is not None and node_of(actor) in nodes]

    async def moves_registry(self, nodes: Collection[str]) -> bool:
        """Whether this registry is on one of these nodes, which Ray drains, and another could take it.

        Then it begins anew there.
        """
        here = ray.get_runtime_context()
        reserved: dict[str, Any] = dict(here.get_assigned_resources())  # type: ignore[no-untyped-call]
        wanted = Resources(num_cpus=reserved.pop("CPU", 0), memory=reserved.pop("memory", None), custom=reserved)
        moves = here.get_node_id() in nodes and await _others_have(wanted, nodes)
        if moves:
            restart(this_actor())
        return moves

    def restart(self, controller: Any) -> None:
        """See `checkmaite.jobs_ray.cluster.restart`."""
        restart(controller)

    # -- payloads -----------------------------------------------------------------------------------------------------

    def is_large(self, payload: Any) -> bool:
        """Whether a payload is too large for a message and for a row of the journal."""
        return is_large(payload)

    def keep_payload(self, payload: Any) -> Any:
        """See `checkmaite.jobs_ray.cluster.keep_payload`."""
        return keep_payload(payload)

    def is_elsewhere(self, payload: Any) -> bool:
        """See `checkmaite.jobs_ray.cluster.is_elsewhere`."""
        return is_elsewhere(payload)

    async def return_memory(self) -> None:
        """See `checkmaite.jobs_ray.memory.return_memory`."""
        await asyncio.to_thread(return_memory)

    # -- jobs ---------------------------------------------------------------------------------------------------------

    async def look_up(self, context: Context, specs: Sequence[JobSpec]) -> dict[str, Completed]:
        """See `look_up`."""
        return await look_up(context, specs)

    async def left_output(self, job_id: str, node: str | None, runtime_env: Mapping[str, Any] | None) -> Remains | None:
        """See `checkmaite.jobs_ray.cluster.left_output`."""
        return await left_output(job_id, node, runtime_env)

    def keep_packages(self, runtime_envs: Iterable[Mapping[str, Any] | None]) -> None:
        """See `Packages.keep`."""
        self._packages.keep(runtime_envs)

    def shortage_of(self, wanted: Resources) -> str:
        """Why a job that Ray has not started yet waits, as a sentence."""
        return shortage(wanted, cluster_resources())

    def fits_no_node(self, wanted: Resources) -> bool:
        """Whether no node has all that a job asks for."""
        return fits_no_node(wanted, cluster_resources())

    async def start_obstacle_of(self, runtime_env: Mapping[str, Any] | None) -> str:
        """Why no worker can start with this runtime environment, as a sentence; empty when nothing is known of one."""
        return await asyncio.to_thread(start_obstacle, runtime_env)


async def _others_have(wanted: Resources, nodes: Collection[str]) -> bool:
    """Whether any of these nodes is left, and another one has what is wanted."""
    return bool(nodes) and not fits_no_node(wanted, await asyncio.to_thread(cluster_resources))


# -- what a store holds ------------------------------------------------------------------------------------------------


def _work() -> Callable[[bytes, Any], dict[str, Completed]]:
    """The worker's function, nested so that it travels by value: workers have no copy of this package."""

    def checkmaite_lookup(written_terms: bytes, jobs: Any) -> dict[str, Completed]:
        leave_driver()
        from checkmaite.jobs.spi import stored_runs

        return stored_runs(written_terms, jobs)

    return checkmaite_lookup


class UnanswerableError(Exception):
    """The store cannot be asked, and asking again changes nothing: what it needs is missing or damaged."""


async def look_up(context: Context, specs: Sequence[JobSpec]) -> dict[str, Completed]:
    """Of these jobs, those whose run the store of their context holds, and their outcomes; see `stored_runs`.

    Raises:
        UnanswerableError: Waiting does not help.
        Exception: Whatever else Ray or the store raises; then nothing is known.
    """
    options: dict[str, Any] = {"num_cpus": _CPUS, "name": "look for stored runs"}
    if context.runtime_env:
        options["runtime_env"] = dict(context.runtime_env)
    task: Any = ray.remote(_work())
    jobs = [(spec.capability_id, spec.work_order(b"")[1:]) for spec in specs]
    try:
        found: dict[str, Completed] = await task.options(**options).remote(context.terms.written, jobs)
    except Exception as error:
        if _is_for_good(error):
            raise UnanswerableError(str(getattr(error, "cause", error))) from error
        raise
    return found


def _is_for_good(error: Exception) -> bool:
    """Whether an attempt of the job will meet the same. Permissions may be granted, and clients bring new tokens."""
    cause = getattr(error, "cause", error)
    if isinstance(cause, JobsError):
        return not cause.retryable and not isinstance(cause, StorePermissionError)
    return isinstance(cause, (rx.RuntimeEnvSetupError, ImportError))


# -- code that clients have sent ---------------------------------------------------------------------------------------


class Published:
    """What Ray was given of each metric: of a counter it takes what was added."""

    def __init__(self) -> None:
        self._ours: dict[str, Any] = {}
        self._before: dict[tuple[str, tuple[str, ...]], float] = {}

    def publish(self, metrics: Sequence[Metric]) -> None:
        """Bring all of them up to date."""
        for metric in metrics:
            name = metric.name.removeprefix("ray_").removesuffix("_total")  # Ray adds both
            make: Any = RayCounter if metric.kind == "counter" else RayGauge
            ours = self._ours.get(name) or make(name, metric.meaning, metric.labels)
            self._ours[name] = ours
            for values, number in metric.samples.items():
                tags = dict(zip(metric.labels, values, strict=True))
                before = self._before.get((name, values), 0.0)
                self._before[name, values] = number
                gained = number - before if number >= before else number  # the process that counts has begun anew
                if metric.kind == "gauge":
                    ours.set(number, tags)
                elif gained:
                    ours.inc(gained, tags)


class Packages:
    """Which uploaded folders are pinned, and since when."""

    def __init__(self) -> None:
        self._pinned_at: dict[str, float] = {}

    def keep(self, runtime_envs: Iterable[Mapping[str, Any] | None]) -> None:
        """Pin the folders that these runtime environments name, unless that was done lately."""
        now = time.monotonic()
        for uri in {uri for each in runtime_envs if each for uri in _uploads(each)}:
            if now - self._pinned_at.get(uri, -_RENEW_AFTER_S) >= _RENEW_AFTER_S:
                self._pinned_at[uri] = now
                _pin(uri)
        for uri in [uri for uri, at in self._pinned_at.items() if now - at > _PIN_S]:
            del self._pinned_at[uri]


def _uploads(runtime_env: Mapping[str, Any]) -> list[str]:
    named = [runtime_env.get("working_dir"), *(runtime_env.get("py_modules") or ())]
    return [each for each in named if isinstance(each, str) and each.startswith(_UPLOADED)]


def _pin(uri: str) -> None:
    from ray.experimental import internal_kv  # an interface without promises; the only module that uses it

    try:
        internal_kv._pin_runtime_env_uri(uri, expiration_s=_PIN_S)
    except Exception:  # noqa: BLE001 - without the pin jobs still run while their client lives, so it is only said
        _log.warning("%s may be gone when its client has gone: it cannot be kept", uri, exc_info=True)
