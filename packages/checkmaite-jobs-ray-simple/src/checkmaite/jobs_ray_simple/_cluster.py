"""The wall around Ray: connecting, and what Ray's errors mean. No other module names a Ray exception."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

import ray
import ray.exceptions

from checkmaite.jobs import ConfigurationError, IncompatibleVersionError, Problem
from checkmaite.jobs.spi import Cancelled, Failed, Finished, Outcome, failure, versions_here
from checkmaite.jobs_ray_simple._config import RaySimpleOptions

_CODE_MISSING = (
    "Every worker needs checkmaite-jobs-core, the store's package and the capability's code: "
    "see the page on worker environments."
)


class _Connection:
    """What this package asked `ray.init` for; None when somebody else initialised Ray."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.asked: Mapping[str, Any] | None = None
        self.users = 0


_connection = _Connection()


def connect(options: RaySimpleOptions) -> None:
    """Make sure that Ray is initialised as the options say; each call is paired with `disconnect`.

    Raises:
        ConfigurationError: Ray is initialised differently, or the cluster cannot be reached.
        IncompatibleVersionError: The cluster runs another Ray or Python.
    """
    asked = _init_arguments(options)
    with _connection.lock:
        if ray.is_initialized() and not (_connection.asked == asked or _fits_foreign(options)):
            if not options.force_reinit:
                raise _differs(options)
            ray.shutdown()
            _connection.asked, _connection.users = None, 0
        if not ray.is_initialized():
            _init(options, asked)
            _connection.asked, _connection.users = asked, 0
        _connection.users += 1


def disconnect() -> None:
    """Shut Ray down once nobody of this package uses it any more, if this package initialised it."""
    with _connection.lock:
        _connection.users -= 1
        if _connection.users <= 0 and _connection.asked is not None:
            _connection.asked, _connection.users = None, 0
            ray.shutdown()


def _fits_foreign(options: RaySimpleOptions) -> bool:
    """Whether a Ray that the user initialised can be used as it is: nothing else was asked for."""
    wanted = (options.runtime_env, options.num_cpus, options.num_gpus, options.object_store_memory)
    return _connection.asked is None and options.address in ("local", "auto") and not any(wanted)


def _differs(options: RaySimpleOptions) -> ConfigurationError:
    problem = Problem(
        "address",
        f"this process has initialised Ray already, and not with {_asked_words(options)}.",
        "Leave those options out to use it as it is, or pass force_reinit=True to shut it down, its jobs included, "
        "and start anew.",
    )
    return ConfigurationError("Ray is initialised differently; nothing was changed.", [problem])


def _asked_words(options: RaySimpleOptions) -> str:
    names = [name for name in ("runtime_env", "num_cpus", "num_gpus", "object_store_memory") if getattr(options, name)]
    return " and ".join([f"address={options.address!r}", *(f"this {name}" for name in names)])


def _init_arguments(options: RaySimpleOptions) -> dict[str, Any]:
    arguments: dict[str, Any] = {"address": options.address, "log_to_driver": False, "logging_level": "warning"}
    if options.runtime_env is not None:
        arguments["runtime_env"] = dict(options.runtime_env)
    if options.address == "local":
        given = {
            "num_cpus": options.num_cpus,
            "num_gpus": options.num_gpus,
            "object_store_memory": options.object_store_memory,
        }
        arguments |= {name: value for name, value in given.items() if value is not None}
        # A local Ray is for this machine alone, so every one of its sockets stays on loopback.
        arguments |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    return arguments


def _init(options: RaySimpleOptions, arguments: dict[str, Any]) -> None:
    if options.address == "local":
        # Without it Ray replaces 127.0.0.1 by the address of the machine's network interface.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    if options.address.startswith("ray://"):
        arguments = {name: value for name, value in arguments.items() if name not in ("log_to_driver", "logging_level")}
        os.environ.setdefault("RAY_CLIENT_RECONNECT_GRACE_PERIOD", "30")
    found: list[BaseException] = []

    def start() -> None:
        try:
            ray.init(**arguments)
        except BaseException as error:  # noqa: BLE001 - carried to the caller's thread
            found.append(error)

    if options.address.startswith("ray://") or options.address == "local":
        start()
    else:
        start()
    if found:
        raise _unreachable(options, found[0])


def _unreachable(options: RaySimpleOptions, error: BaseException) -> Exception:
    text = str(error)
    if "ersion" in text and ("mismatch" in text or "different" in text):
        return IncompatibleVersionError(
            f"the cluster at {options.address} runs another Ray or Python than this client: {_first_line(text)} "
            "Bring both to the same Ray version and the same Python minor version.",
            here=f"Ray {ray.__version__}, Python {versions_here().python}",
            there=options.address,
        )
    if isinstance(error, (ValueError, TypeError)) and "runtime_env" in text:
        problem = Problem("runtime_env", _first_line(text), "See Ray's page on runtime environments.")
    else:
        problem = Problem(
            "address",
            f"no Ray cluster answers at {options.address!r}: {type(error).__name__}: {_first_line(text)}",
            "Check that the cluster runs, that the port is open (10001 for ray://, 6379 otherwise), and its token.",
        )
    return ConfigurationError("Ray cannot be reached; nothing was changed.", [problem])


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or ["(no message)"])[0]


def outcome_of(value: Any) -> Finished:
    """What a task's value, or the exception that Ray has in its place, means."""
    return value if isinstance(value, Finished) else Finished(outcome=_outcome_of_error(value))


def _outcome_of_error(error: Any) -> Outcome:
    match error:
        case ray.exceptions.TaskCancelledError():
            return Cancelled()
        case ray.exceptions.RuntimeEnvSetupError():
            return _failed(error, "start", "Mend runtime_env; the text above is from the node that tried to build it.")
        case ray.exceptions.OutOfMemoryError():
            cause = "killed because its node ran out of memory"
            return _failed(error, "run", "Ask for more memory: resources={'memory': bytes}.", exit_cause=cause)
        case ray.exceptions.WorkerCrashedError() | ray.exceptions.LocalRayletDiedError():
            return _failed(
                error,
                "run",
                "The process ended without a word (os._exit, a signal, a crash in native code); "
                "max_retries says how often a job is started again.",
                exit_cause="the worker process died",
            )
        case ray.exceptions.NodeDiedError() | ray.exceptions.OwnerDiedError() | ray.exceptions.ObjectLostError():
            return _failed(error, "lost", "Submit the job again.", exit_cause="its node was lost", lost=True)
        case ray.exceptions.RayTaskError():
            return _failed(error, "start", _CODE_MISSING)
        case ray.exceptions.RaySystemError():
            return _failed(error, "start", _CODE_MISSING)
        case BaseException():
            return _failed(error, "lost", "Ray did not say more.", lost=True)
        case _:
            unexpected = TypeError(f"the worker returned a {type(error).__name__} instead of its outcome")
            return failure(unexpected, phase="start")


def _failed(
    error: BaseException, phase: str, remedy: str, *, exit_cause: str | None = None, lost: bool = False
) -> Failed:
    return Failed(
        error_type=f"{type(error).__module__}.{type(error).__qualname__}",
        error_message=str(error),
        phase=phase,
        pid=getattr(error, "pid", None),
        node=getattr(error, "ip", None),
        exit_cause=exit_cause,
        lost=lost,
        remedy=remedy,
    )


def unmet_resources(wanted: Mapping[str, float]) -> str:
    """In words, what of these resources the cluster lacks altogether or has no room for now; empty when it has both."""
    total, free = ray.cluster_resources(), ray.available_resources()
    lacking = [f"{amount:g} {name}, of which the cluster has {total.get(name, 0):g} in all" for name, amount in wanted.items() if amount > total.get(name, 0)]
    if lacking:
        return f"It asks for {'; '.join(lacking)}: it waits until a node with that joins."
    busy = [f"{amount:g} {name} ({free.get(name, 0):g} of {total.get(name, 0):g} free)" for name, amount in wanted.items() if amount > free.get(name, 0)]
    return f"It waits for {', '.join(busy)}." if busy else "Ray is starting a worker for it."
