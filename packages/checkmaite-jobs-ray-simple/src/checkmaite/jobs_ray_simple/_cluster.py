"""The one wall to Ray: connecting to it, what it has, and what its exceptions mean."""

from __future__ import annotations

import logging
import os
import platform
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import ray
import ray.exceptions as rx
from attrs import field, frozen
from checkmaite.jobs import ConfigurationError, IncompatibleVersionError, Resources
from checkmaite.jobs.spi import Cancelled, Deadline, Failed, Finished, Outcome
from checkmaite.jobs_ray_simple._config import RaySimpleOptions
from ray._private import ray_constants

_log = logging.getLogger("checkmaite.jobs")
_LOOPBACK = "127.0.0.1"
_CLIENT = "ray://"
_untyped: Any = ray  # the parts of Ray's API that carry no types
_RETRY_AFTER_S = 0.5


@frozen
class _Wish:
    """What decides whether two configurations mean the same Ray. None means: whatever is there."""

    address: str | None
    runtime_env: Mapping[str, Any] | None = field(repr=False)
    num_cpus: int | None
    num_gpus: int | None
    object_store_memory: int | None

    @classmethod
    def of(cls, options: RaySimpleOptions) -> _Wish:
        return cls(
            options.address, options.runtime_env, options.num_cpus, options.num_gpus, options.object_store_memory
        )


class _Made:
    """The connection that this package made in this process, if it did."""

    lock = threading.RLock()
    wish: _Wish | None = None


def connect(options: RaySimpleOptions, *, live_jobs: int) -> str:
    """Use the Ray that this process is connected to, or connect to one.

    Args:
        options: What the user asked for.
        live_jobs: Jobs of this process that a new connection would end.

    Returns:
        The connection's identity: another one means that the earlier one is gone.

    Raises:
        ConfigurationError: There is no cluster, or the one that is there differs from the options.
        IncompatibleVersionError: The cluster's Ray or Python is another than this process's.
    """
    wish = _Wish.of(options)
    with _Made.lock:
        if ray.is_initialized():
            differences = _differences(wish)
            if not differences:
                return _identity()
            _refuse_or_end(differences, force=options.force_reinit, live_jobs=live_jobs)
        _Made.wish = None
        _start(wish, Deadline.after(options.connect_timeout_s), options.connect_timeout_s)
        _Made.wish = wish
        return _identity()


def disconnect() -> None:
    """End the connection when this package made it; one that the user made stays."""
    with _Made.lock:
        if _Made.wish is not None:
            _Made.wish = None
            ray.shutdown()


def is_connected() -> bool:
    """Whether this process is connected to a Ray."""
    return bool(ray.is_initialized())


def cancel(ref: Any, *, force: bool) -> None:
    """Ask Ray to end a task, and what it started; one that is over stays as it is."""
    try:
        ray.cancel(ref, force=force, recursive=True)
    except (rx.RayError, RuntimeError, ConnectionError) as error:
        # Without a connection there is no task to end; its loss is noticed by whoever listens for its end.
        _log.warning("a task could not be cancelled: %s", error)


def _identity() -> str:
    context = ray.get_runtime_context()
    return f"{context.gcs_address} {context.get_job_id()}"


def _refuse_or_end(differences: list[str], *, force: bool, live_jobs: int) -> None:
    found = "This process is connected to a Ray already, and " + "; ".join(differences) + "."
    if not force:
        raise ConfigurationError(
            f"{found} Leave out what differs to use it as it is, or pass force_reinit=True to end it and connect anew."
        )
    if live_jobs:
        raise ConfigurationError(
            f"{found} force_reinit=True would end it, and with it {live_jobs} jobs that are not final. "
            "Wait for them with wait_all(), or cancel them, first."
        )
    _Made.wish = None
    ray.shutdown()


def _differences(wish: _Wish) -> list[str]:
    """What was asked for explicitly and is not what this process is connected to, as clauses."""
    made = _Made.wish
    found = []
    if wish.address is not None and wish.address != (made.address if made else None) and not _is_at(wish.address):
        found.append(f"it is {_where()}, not at address={wish.address!r}")
    if wish.runtime_env is not None:
        there = made.runtime_env if made else ray.get_runtime_context().runtime_env
        if dict(there or {}) != dict(wish.runtime_env):
            found.append("its runtime_env is another")
    for name, wanted, option in (("CPU", wish.num_cpus, "num_cpus"), ("GPU", wish.num_gpus, "num_gpus")):
        if wanted is not None and (has := _untyped.cluster_resources().get(name, 0)) != wanted:
            found.append(f"it has {has:g} {name}s, not {option}={wanted}")
    if wish.object_store_memory is not None and wish.object_store_memory != (made.object_store_memory if made else 0):
        found.append("its object_store_memory is another")
    return found


def _is_at(address: str) -> bool:
    if _through_client():
        return address.startswith(_CLIENT) and address.removeprefix(_CLIENT) == _client_target()
    if address == "local":
        return _is_own()
    if address == "auto":
        return not _is_own()
    return not address.startswith(_CLIENT) and _same_endpoint(address, ray.get_runtime_context().gcs_address)


def _where() -> str:
    if _through_client():
        return f"at {_CLIENT}{_client_target()}"
    return "a local one" if _is_own() else f"at {ray.get_runtime_context().gcs_address}"


def _through_client() -> bool:
    return bool(_untyped.util.client.ray.is_connected())


def _client_target() -> str:
    # Ray says nowhere in public where its client is connected to.
    return str(getattr(_untyped.util.client.ray.get_context().client_worker, "_conn_str", ""))


def _is_own() -> bool:
    """Whether this process started the Ray that it is connected to."""
    node = getattr(_untyped._private.worker, "_global_node", None)  # likewise not public
    return bool(node is not None and node.head)


def _same_endpoint(one: str, other: str) -> bool:
    (host, _, port), (other_host, _, other_port) = one.rpartition(":"), other.rpartition(":")
    try:
        return port == other_port and socket.gethostbyname(host) == socket.gethostbyname(other_host)
    except OSError:
        return one == other


def _start(wish: _Wish, deadline: Deadline, timeout_s: float) -> None:
    address = wish.address or "local"
    # Only what was asked for is passed on: Ray merges the rest with the environment's settings.
    env: dict[str, Any] = {} if wish.runtime_env is None else {"runtime_env": dict(wish.runtime_env)}
    if address not in {"local", "auto"}:
        _knock(address, timeout_s)
    while True:
        try:
            if address == "local":
                _start_local(wish, env)
            else:
                ray.init(address, log_to_driver=False, **env)
            return
        except ConnectionError as error:
            # A client server that has just lost another client may refuse the next one once.
            if not address.startswith(_CLIENT) or deadline.remaining_s() == 0:
                raise ConfigurationError(_no_cluster(address, str(error))) from error
            _log.info("connecting to %s again: %s", address, error)
            time.sleep(_RETRY_AFTER_S)
        except (RuntimeError, ValueError, TypeError, OSError, rx.RayError) as error:
            if "ersion mismatch" in str(error):
                raise _incompatible(address, error) from error
            raise ConfigurationError(
                f"Ray at address={address!r} could not be used: {type(error).__name__}: {error}"
            ) from error


def _start_local(wish: _Wish, env: Mapping[str, Any]) -> None:
    with _on_loopback():
        ray.init(
            address="local",
            num_cpus=wish.num_cpus,
            num_gpus=wish.num_gpus,
            object_store_memory=wish.object_store_memory,
            include_dashboard=False,
            log_to_driver=False,
            _node_ip_address=_LOOPBACK,
            **env,
        )


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Keep Ray from replacing 127.0.0.1 by the network interface's address.

    The variable is for the processes that Ray starts, the constant for this one, which read it at import.
    """
    name, constant = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR, "ENABLE_RAY_CLUSTER"
    variable, value = os.environ.get(name), getattr(ray_constants, constant)
    os.environ[name] = "0"
    setattr(ray_constants, constant, False)
    try:
        yield
    finally:
        setattr(ray_constants, constant, value)
        if variable is None:
            del os.environ[name]
        else:
            os.environ[name] = variable


def _knock(address: str, timeout_s: float) -> None:
    """Fail soon where nothing listens; Ray itself would try for minutes."""
    host, _, port = address.removeprefix(_CLIENT).rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=timeout_s).close()
    except OSError as error:
        raise ConfigurationError(_no_cluster(address, str(error))) from error


def _no_cluster(address: str, cause: str) -> str:
    remedy = (
        "Start one with `ray start --head`, or pass its address."
        if address == "auto"
        else "Check host and port, and that the cluster runs (`ray status` on its head node); "
        + ("its client server listens on port 10001 by default." if address.startswith(_CLIENT) else "")
        + ' address="local" needs no cluster.'
    )
    return f"No Ray cluster answers at address={address!r}: {cause.strip().rstrip('.')}. {remedy}"


def _incompatible(address: str, error: Exception) -> IncompatibleVersionError:
    version = f"Ray {ray.__version__}, Python {platform.python_version()}"
    return IncompatibleVersionError(
        f"The cluster at {address} and this process run different versions: {error} "
        "Bring both to the same Ray and the same Python minor version.",
        here=version,
        there=str(error),
    )


# -- what a job needs and what there is -----------------------------------------------------------------------------


def shortage(wanted: Resources) -> str:
    """Why a job that Ray has not started yet waits, as a sentence; empty when nothing is known to be short."""
    asked = {"CPU": wanted.num_cpus, "GPU": wanted.num_gpus, "memory": wanted.memory or 0, **wanted.custom}
    total, free = _untyped.cluster_resources(), _untyped.available_resources()
    for name, amount in asked.items():
        what = {"CPU": "CPUs", "GPU": "GPUs", "memory": "bytes of memory"}.get(name, f"of {name!r}")
        if amount > total.get(name, 0):
            return (
                f"It asks for {amount:g} {what}, the cluster has {total.get(name, 0):g}: "
                "it will wait until such a node joins."
            )
        if amount > free.get(name, 0):
            return f"It waits for {amount:g} {what}, of which {free.get(name, 0):g} are free now."
    return "Ray has it and has not said that it started."


# -- what Ray's exceptions mean -------------------------------------------------------------------------------------

_LOST = "The machinery around the job died; submit it again."
_MEANINGS: tuple[tuple[type[BaseException], str, bool, str], ...] = (
    (
        rx.OutOfMemoryError,
        "killed: its node was running out of memory",
        False,
        'Reserve more with resources={"memory": bytes}, or give each job more CPUs so that fewer run at once.',
    ),
    (
        rx.WorkerCrashedError,
        "its worker process died",
        False,
        "It exited or was killed (os._exit, a signal, a crash in native code): see its log in Ray's session folder.",
    ),
    (rx.NodeDiedError, "its node died", True, _LOST),
    (rx.LocalRayletDiedError, "its node's raylet died", True, _LOST),
    (rx.OwnerDiedError, "the process that owned it died", True, _LOST),
    (rx.ObjectLostError, "its result was lost with the node that held it", True, _LOST),
    (
        rx.RuntimeEnvSetupError,
        "its runtime_env could not be set up",
        False,
        "Mend the runtime_env given to configure_job_backend().",
    ),
    (rx.TaskUnschedulableError, "no node can run it", False, "Ask for resources that the cluster has."),
    (rx.RaySystemError, "Ray failed", True, _LOST),
    (ConnectionError, "the connection to the cluster broke", True, _LOST),
)
_LAUNCH_PHASES = (rx.RuntimeEnvSetupError, rx.TaskUnschedulableError)


def finished_from(error: BaseException) -> Finished:
    """How a task ended that gave an exception instead of a value."""
    return Finished(outcome=_outcome_from(error))


def _outcome_from(error: BaseException) -> Outcome:
    if isinstance(error, rx.TaskCancelledError):
        return Cancelled()
    name = type(error).__name__
    if isinstance(error, rx.RayTaskError):  # core itself never lets an exception out, so it did not get to run
        cause = error.cause if isinstance(error.cause, BaseException) else error
        missing = "checkmaite" in str(error) and isinstance(cause, (ImportError, RuntimeError))
        return Failed(
            error_type=type(cause).__name__,
            error_message=(str(cause).strip().splitlines() or [name])[-1],
            traceback_text=str(error.traceback_str),
            phase="start",
            pid=error.pid,
            node=error.ip,
            remedy="Workers need checkmaite-jobs-core and the store's package: install them in the worker's "
            "environment, of the same version as here."
            if missing
            else "",
        )
    for kind, cause_text, lost, remedy in _MEANINGS:
        if isinstance(error, kind):
            return Failed(
                error_type=name,
                error_message=str(error).strip(),
                phase="launch" if isinstance(error, _LAUNCH_PHASES) else "run",
                exit_cause=cause_text,
                lost=lost,
                remedy=remedy,
            )
    return Failed(error_type=name, error_message=str(error).strip(), exit_cause="Ray failed", lost=True, remedy=_LOST)
