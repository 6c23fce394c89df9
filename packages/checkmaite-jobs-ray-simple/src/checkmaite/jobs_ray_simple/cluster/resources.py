"""Tells Ray which resources a job needs, and a user which of them the cluster lacks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ray
import ray.experimental.internal_kv
from checkmaite.jobs import Resources
from checkmaite.jobs_ray_simple.cluster.labels import choices_of, meets, no_such_node
from checkmaite.jobs_ray_simple.cluster.nodes import ClusterResources, Node, cluster_resources
from checkmaite.jobs_ray_simple.cluster.worker_processes import (
    ENDLESS,
    Leave,
    make_leave,
    needs_own_process,
    own_environment,
)

_untyped: Any = ray  # the parts of Ray's API that carry no types
_key_value_store: Any = ray.experimental.internal_kv
_CODE = "CHECKMAITE_JOBS_CODE"
_NAMESPACE = "checkmaite_jobs"
_UNTIL = "it will wait until such a node joins."


def claim_unmarked_workers(code: str) -> str:
    """The code whose jobs take the workers that no variable keeps apart: `code`, unless another was first.

    All owners of a Ray job share its idle workers: the backends of a driver one after the other, a controller before
    and after its restart, two controllers. Ray's own key-value store makes them agree; it lives as long as the workers.
    """
    key = f"unmarked workers of job {_untyped.get_runtime_context().get_job_id()}"
    _key_value_store._internal_kv_put(key, code, False, namespace=_NAMESPACE)
    first: bytes = _key_value_store._internal_kv_get(key, namespace=_NAMESPACE)
    return first.decode()


class RemoteWork:
    """The function that workers run, as Ray takes it. Safe to share between threads.

    A worker process is for jobs of one code, because it keeps what it has imported. Ray keeps processes apart whose
    runtime environments differ, so a variable in the environment says which code it is. Jobs of the first code of a Ray
    job need none: they take the workers that Ray has started beforehand.

    Ray checks and copies a task's options each time it is given any, which takes a tenth of a submission, and more when
    there is a runtime environment: so it is given them only when they differ from the last job's.

    Args:
        make: Makes the function, from what core's `WorkerProcess` has to know: how its process leaves, or None where
            it ends with its first job. That travels by value, so nothing is imported for it.
        claim: Says which code is the first, given one that may become it.
    """

    def __init__(
        self,
        make: Callable[[Leave | None], Callable[..., bytes]],
        *,
        claim: Callable[[str], str] = claim_unmarked_workers,
    ) -> None:
        # How often a process may be used belongs to a function, not to a task's options.
        self._reused = _untyped.remote(max_calls=ENDLESS)(make(make_leave()))
        self._used_once = _untyped.remote(max_calls=1)(make(None))
        self._last: tuple[object, Any] = None, None
        self._claim = claim
        self._first_code: str | None = None

    def start(
        self,
        *args: object,
        job_name: str,
        resources: Resources,
        isolation: str,
        code: str,
        runtime_env: Mapping[str, Any] | None = None,
        **others: Any,
    ) -> Any:
        """Hand a job to Ray; the reference of its task.

        Args:
            args: What the function takes.
            job_name: The task's name.
            resources: What Ray reserves for it.
            isolation: "reuse" or "process".
            code: Digest of the code that it runs.
            runtime_env: How its worker is prepared; None for as this process is.
            others: Further options of the task, by Ray's names.
        """
        function = self._reused
        if needs_own_process(resources, isolation):
            function = self._used_once
            runtime_env = own_environment(resources, isolation, runtime_env)
        options = {**_task_options(job_name, resources), **others}
        if self._first_code is None and not runtime_env:
            self._first_code = self._claim(code)
        if runtime_env or code != self._first_code:
            variables = (runtime_env or {}).get("env_vars") or {}
            options["runtime_env"] = {**(runtime_env or {}), "env_vars": {**variables, _CODE: code}}
        last, ready = self._last
        if (function, options) != last:
            ready = function.options(**options)
            self._last = (function, options), ready
        return ready.remote(*args)


def _task_options(name: str, resources: Resources) -> dict[str, Any]:
    """The options of a job's task; Ray never repeats a task that raised an exception."""
    options: dict[str, Any] = {
        "name": name,
        "num_cpus": resources.num_cpus,
        "num_gpus": resources.num_gpus,
        "retry_exceptions": False,
    }
    if resources.memory:
        options["memory"] = resources.memory
    if resources.custom:
        options["resources"] = dict(resources.custom)
    if resources.labels:
        options |= _label_options(resources)
    return options


def shortage(wanted: Resources, there: ClusterResources) -> str:
    """Why a job that Ray has not started yet waits, as a sentence.

    Args:
        wanted: What the job asks for. One node must have all of it.
        there: What the cluster has.
    """
    said = _shortage(wanted, there)
    if said and there.leaving:
        nodes, what = ("a node", "has") if there.leaving == 1 else (f"{there.leaving} nodes", "have")
        return f"{said} What {nodes} {what} that Ray drains is left out."
    return said or "Ray has it and has not said that it started."


def _shortage(wanted: Resources, there: ClusterResources) -> str:
    nodes, whose = _allowed(wanted, there), "the nodes with such labels have" if wanted.labels else "the cluster has"
    if there.nodes and not nodes:
        return f"{no_such_node(choices_of(wanted), [node.labels for node in there.nodes])} {_UNTIL.capitalize()}"
    asked = _asked(wanted)
    for name, amount in asked.items():
        if amount > (total := sum(node.amounts.get(name, 0) for node in nodes)):
            return f"It asks for {_said(name, amount)}, {whose} {total:g}: {_UNTIL}"
        if amount > (largest := max(node.amounts.get(name, 0) for node in nodes)):
            return (
                f"It asks for {_said(name, amount)}, and no single node has so much, the largest {largest:g}: {_UNTIL}"
            )
    if nodes and fits_no_node(wanted, there):
        together = " and ".join(_said(name, amount) for name, amount in asked.items())
        return f"It asks for {together}, and no single node has all of that: {_UNTIL}"
    for name, amount in asked.items():
        if amount > there.free.get(name, 0):
            return f"It waits for {_said(name, amount)}, of which {there.free.get(name, 0):g} are free now."
    return "It waits for room on a node with its labels." if wanted.labels else ""


def fits_no_node(wanted: Resources, there: ClusterResources) -> bool:
    """Whether no node has all that a job asks for, however long it waits."""
    return not any(_has_all(node, wanted) for node in _allowed(wanted, there))


def _allowed(wanted: Resources, there: ClusterResources) -> Sequence[Node]:
    """The nodes whose labels will do."""
    if not wanted.labels:
        return there.nodes
    return [node for node in there.nodes if any(meets(node.labels, each) for each in choices_of(wanted))]


def _has_all(node: Node, wanted: Resources) -> bool:
    return all(amount <= node.amounts.get(name, 0) for name, amount in _asked(wanted).items())


def _label_options(wanted: Resources) -> dict[str, Any]:
    """The options of Ray's that say where a job may run."""
    choices = choices_of(wanted)
    if wanted.wait_for_first:
        # Ray goes on to the next as soon as the first is busy. So it is told of one: the first that there is now.
        nodes = [node for node in cluster_resources().nodes if _has_all(node, wanted)]
        found = (each for each in choices if any(meets(node.labels, each) for node in nodes))
        return {"label_selector": dict(next(found, wanted.labels))}
    options: dict[str, Any] = {"label_selector": dict(wanted.labels)}
    if wanted.fallback:
        options["fallback_strategy"] = [{"label_selector": dict(each)} for each in wanted.fallback]
    return options


def _asked(wanted: Resources) -> dict[str, float]:
    named = {"CPU": wanted.num_cpus, "GPU": wanted.num_gpus, "memory": wanted.memory or 0, **wanted.custom}
    return {name: amount for name, amount in named.items() if amount > 0}


def _said(name: str, amount: float) -> str:
    one, many = {"CPU": ("CPU", "CPUs"), "GPU": ("GPU", "GPUs"), "memory": ("byte of memory", "bytes of memory")}.get(
        name, (f"of {name!r}",) * 2
    )
    return f"{amount:g} {one if amount == 1 else many}"
