"""The functions that workers run for the Ray backends, and how an order travels to them.

Bytes go in and come out, because Ray pickles any other object in a way that costs several times as much.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from checkmaite.jobs_ray_simple.cluster.worker_processes import Leave, make_version_check


def packed_order(order: tuple[Any, ...], sender: object, retries: int) -> bytes:
    """An order as the function takes it.

    Args:
        order: `WorkOrder.to_wire`'s value.
        sender: What the job's news is sent with, to say whose it is; builtins.
        retries: How often Ray may start it again when its worker died; -1 for without limit.
    """
    return pickle.dumps((order, sender, retries))


def make_job_function(
    receiver: Any, prepare: Callable[[], None] | None, leave: Leave | None
) -> Callable[[bytes, bytes], bytes]:
    """The worker's function for one kind of process, with what it needs inside: Ray sends a function once to each.

    It is nested so that it travels by value: workers have no copy of this package. What it needs is in core, which it
    imports itself, once that is known to be of the submitter's version.

    Args:
        receiver: Handle of the actor whose ``post(sender, news)`` takes news of jobs.
        prepare: What a worker does before its first job; it travels by value.
        leave: See `WorkerProcess`.
    """
    begin = _make_beginning(prepare)

    def checkmaite_job(packed: bytes, payload: bytes) -> bytes:
        worker: Any = ray  # its parts that carry no types
        order, sender, retries = pickle.loads(packed)  # noqa: S301 - builtins, from the owner of this task
        if 0 <= retries < worker._private.worker.global_worker.core_worker.get_current_task_attempt_number():
            return b""  # Ray starts again without end what it has killed since memory ran out
        node_folder = begin(order[0])
        from checkmaite.jobs.spi import NodeFolder, RemotePost, WorkerProcess, execute

        post, process = RemotePost(receiver), WorkerProcess(leave, NodeFolder(*node_folder))
        return pickle.dumps(execute(order, payload, lambda _, news: post(sender, news), process))

    return checkmaite_job


def start_worker() -> Any:
    """Have Ray start a worker process, which the first job of this owner finds then; the reference of its task.

    It reserves nothing, so that it keeps no job waiting, and asks no autoscaler for a node.
    """
    untyped: Any = ray
    return untyped.remote(num_cpus=0, max_retries=0)(_make_nothing()).remote()


def _make_nothing() -> Callable[[], None]:
    def checkmaite_worker() -> None:  # it travels by value
        return None

    return checkmaite_worker


def make_runner_function(
    receiver: Any, prepare: Callable[[], None] | None, leave: Leave | None
) -> Callable[[str, bytes], bytes]:
    """Likewise the function of a task that runs packs of short jobs; see core's `run_packs`.

    Args:
        receiver: Handle of the actor with the methods that core's `RemoteLine` calls.
        prepare: See `make_job_function`.
        leave: See there.
    """
    begin, current_task = _make_beginning(prepare), _make_current_task()

    def checkmaite_short_jobs(runner: str, written_terms: bytes) -> bytes:
        worker: Any = ray  # its parts that carry no types
        if worker._private.worker.global_worker.core_worker.get_current_task_attempt_number():
            return b""  # what the first start had is its own
        node_folder = begin(written_terms)
        from checkmaite.jobs.spi import NodeFolder, RemoteLine, WorkerProcess, run_packs

        task, process = current_task(), WorkerProcess(leave, NodeFolder(*node_folder))
        return run_packs(runner, RemoteLine(receiver), process, task_is_over=lambda: current_task() != task)

    return checkmaite_short_jobs


def make_pack_function(
    mailbox: Any, prepare: Callable[[], None] | None, leave: Leave | None
) -> Callable[[str, bytes, bytes], bytes]:
    """Likewise the function of a task that runs one pack of short jobs, which comes with it.

    Args:
        mailbox: Handle of the actor with the methods that core's `GivenPack` calls.
        prepare: See `make_job_function`.
        leave: See there.
    """
    begin, current_task = _make_beginning(prepare), _make_current_task()

    def checkmaite_short_jobs(runner: str, written_terms: bytes, pack: bytes) -> bytes:
        worker: Any = ray  # its parts that carry no types
        if worker._private.worker.global_worker.core_worker.get_current_task_attempt_number():
            return b""  # what the first start had is its own
        node_folder = begin(written_terms)
        from checkmaite.jobs.spi import GivenPack, NodeFolder, WorkerProcess, run_packs

        task, process = current_task(), WorkerProcess(leave, NodeFolder(*node_folder))
        return run_packs(runner, GivenPack(pack, mailbox), process, task_is_over=lambda: current_task() != task)

    return checkmaite_short_jobs


def _make_current_task() -> Callable[[], str | None]:
    def current_task() -> str | None:  # it travels by value
        task: str | None = ray.get_runtime_context().get_task_id()
        return task

    return current_task


def _make_beginning(prepare: Callable[[], None] | None) -> Callable[[bytes], tuple[str, str]]:
    """A function that makes a worker ready before its first job, given the terms; what `NodeFolder` is made of."""
    check_versions, node_folder = make_version_check(), None

    def begin(written_terms: bytes) -> tuple[str, str]:
        nonlocal node_folder
        if node_folder is None:
            worker: Any = ray  # its parts that carry no types
            if prepare is not None:
                prepare()
            check_versions(written_terms)
            # Beside Ray's sessions, where whoever started the node has put what it writes; node by node, since several
            # may be on one disk.
            session = worker._private.worker.global_worker.node.get_session_dir_path()
            node_folder = str(Path(session).parent), worker.get_runtime_context().get_node_id()
        return node_folder

    return begin
