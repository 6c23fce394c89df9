"""This process's connection to Ray: made from the user's options, shared by all who use it, ended with the last.

A process has one connection. The backends of one kind or of two may be on it at the same time, also those that were
replaced and whose jobs still run, so each holds a `Connection` and releases it.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import ray
import ray.exceptions as rx
from attrs import field, frozen
from checkmaite.jobs import ConfigurationError
from checkmaite.jobs.spi import Deadline
from checkmaite.jobs_ray_simple.cluster.addresses import CLIENT, no_cluster
from checkmaite.jobs_ray_simple.cluster.client_server import (
    could_not_start,
    is_told_by_server,
    no_wait_after_a_refusal,
    refuse_unstartable,
)
from checkmaite.jobs_ray_simple.cluster.local_ray import start_local_ray
from checkmaite.jobs_ray_simple.cluster.options import ConnectionOptions
from checkmaite.jobs_ray_simple.cluster.ray_state import client_worker, connected, is_own, through_client
from checkmaite.jobs_ray_simple.cluster.runtime_env import upload_problem
from checkmaite.jobs_ray_simple.cluster.versions import incompatible, is_mismatch

_log = logging.getLogger("checkmaite.jobs")
_untyped: Any = ray  # the parts of Ray's API that carry no types
_RETRY_AFTER_S = 0.5


@frozen
class _Wish:
    """The options that decide whether two configurations mean the same Ray; None accepts any."""

    address: str | None
    runtime_env: Mapping[str, Any] | None = field(repr=False)
    num_cpus: int | None
    num_gpus: int | None
    object_store_memory: int | None

    @classmethod
    def of(cls, options: ConnectionOptions) -> _Wish:
        return cls(
            options.address, options.runtime_env, options.num_cpus, options.num_gpus, options.object_store_memory
        )


class _Now:
    """The connection of this process, which the backends of both kinds share.

    Attributes:
        wish: What it was made from, when this package made it.
        users: Who uses it and has not released it.
    """

    lock = threading.RLock()
    wish: _Wish | None = None
    users: ClassVar[list[Connection]] = []


@frozen(eq=False)
class Connection:
    """One use of this process's connection to Ray, to be released when it is no longer needed.

    Attributes:
        identity: Which connection it is. When `connect` gives another identity, this one is gone, and with it every
            reference and every task of this process.
    """

    identity: str
    _live_jobs: Callable[[], int] = field(repr=False)
    _fall_silent: Callable[[], object] = field(repr=False)

    def is_alive(self) -> bool:
        """Whether this process is still on this connection; False also when the user ended it."""
        return _identity() == self.identity

    @property
    def address(self) -> str:
        """Where another process of this machine can connect to the same Ray, in the way that this one did."""
        return f"{CLIENT}{_client_target()}" if through_client() else str(ray.get_runtime_context().gcs_address)

    @property
    def ends_with_process(self) -> bool:
        """Whether this process started the Ray, so that it and all that it runs end with this process."""
        return is_own()

    @property
    def ends_with_its_users(self) -> bool:
        """Whether this package started the Ray, so that it and all that it runs end when the last use is released."""
        return is_own() and _Now.wish is not None

    def release(self) -> None:
        """Give up this use; end Ray when this package started it and nobody else uses it. Once is enough."""
        with _Now.lock:
            if self not in _Now.users:
                return
            _Now.users.remove(self)
            if not _Now.users and _Now.wish is not None:
                _Now.wish = None
                if self.is_alive():
                    ray.shutdown()


def connect(
    options: ConnectionOptions, *, live_jobs: Callable[[], int], fall_silent: Callable[[], object] = lambda: None
) -> Connection:
    """Use the Ray that this process is connected to, or connect to one.

    Args:
        options: What the user asked for.
        live_jobs: How many jobs of this user the end of the connection would end. It is asked, for every user, when
            somebody wants another connection, with a lock held: it must be quick and must not call `connect`.
        fall_silent: Called before the connection is ended for another one, or with this process. When it returns, no
            thread of this user asks Ray for anything any more: Ray would end the process at once, with exit code 1.

    Raises:
        ConfigurationError: There is no cluster, or the one that is there differs from the options.
        BackendUnavailableError: A Ray of this process's own did not start in time.
        IncompatibleVersionError: The cluster's Ray or Python is another than this process's.
    """
    wish = _Wish.of(options)
    with _Now.lock:
        _forget_what_is_gone()
        if is_connected() and (differences := _differences(wish)):
            _refuse_unless_free(differences, force=options.force_reinit)
            if wish.address not in (None, "local"):
                # What is there ends only for something that answers.
                _probe(wish.address, options.connect_timeout_s)
            _end()
        if not is_connected():
            _start(wish, Deadline.after(options.connect_timeout_s), options.connect_timeout_s)
            _Now.wish = wish
        used = Connection(_identity(), live_jobs, fall_silent)
        _Now.users.append(used)
        return used


def _probe(address: str, timeout_s: float) -> None:
    from checkmaite.jobs_ray_simple.cluster.probe import probe_address  # see there

    probe_address(address, timeout_s)


def _forget_what_is_gone() -> None:
    """Drop what belongs to a connection that was ended without us, for example by the user's ray.shutdown()."""
    here = _identity()
    left = [each for each in _Now.users if each.identity == here]
    if not left:
        _Now.wish = None
    _Now.users = left


def is_connected() -> bool:
    """Whether this process is connected to a Ray."""
    return bool(_identity())


def cancel(ref: Any, *, force: bool, with_children: bool = True) -> None:
    """Ask Ray to end a task, and the tasks that it started; one that is over stays as it is."""
    try:
        ray.cancel(ref, force=force, recursive=with_children)
    except (rx.RayError, RuntimeError, ConnectionError) as error:
        # Without a connection there is no task to end; its loss is noticed by whoever listens for its end.
        _log.warning("a task could not be cancelled: %s", error)


_names: WeakKeyDictionary[object, str] = WeakKeyDictionary()


def _identity() -> str:
    """Which connection this process has; empty without one."""
    here = connected()
    return "" if here is None else _names.setdefault(here, uuid.uuid4().hex)


def _refuse_unless_free(differences: list[str], *, force: bool) -> None:
    found = "This process is connected to a Ray already, and " + "; ".join(differences) + "."
    if not force:
        raise ConfigurationError(
            f"{found} Leave out what differs to use it as it is, or pass force_reinit=True to end it and connect anew."
        )
    if lost := sum(each._live_jobs() for each in _Now.users):
        raise ConfigurationError(
            f"{found} force_reinit=True would end it, and with it {lost} job{'s' * (lost > 1)} not final yet. "
            "Wait for them with wait_all(), or cancel them, first."
        )


def _end() -> None:
    _silence()
    _Now.wish = None
    _Now.users = []
    ray.shutdown()


def _silence() -> None:
    for user in list(_Now.users):
        user._fall_silent()


@atexit.register  # Ray registered its own end before, when it was imported, so this comes first
def _end_with_process() -> None:
    """End what this package started. Ray's own end would wait for workers' output, half a second, and there is none."""
    _silence()
    if _Now.wish is not None and is_own():
        ray.shutdown()


def _differences(wish: _Wish) -> list[str]:
    """The options that were asked for and differ from the present connection, as clauses of a sentence."""
    made = _Now.wish
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
    if through_client():
        return address.startswith(CLIENT) and address.removeprefix(CLIENT) == _client_target()
    if address == "local":
        return is_own()
    if address == "auto":
        return not is_own()
    return not address.startswith(CLIENT) and _same_endpoint(address, ray.get_runtime_context().gcs_address)


def _where() -> str:
    if through_client():
        return f"at {CLIENT}{_client_target()}"
    return "a local one" if is_own() else f"at {ray.get_runtime_context().gcs_address}"


def _client_target() -> str:
    return str(client_worker()._conn_str)  # Ray says nowhere in public where its client is connected to


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
    if address != "local":
        _probe(address, timeout_s)
    for attempt in itertools.count(1):
        try:
            with _nothing_left_of_a_failure():
                _initialise(address, wish, env)
            return
        except ConfigurationError:
            raise
        except ConnectionError as error:
            # A client server that has just lost another client may refuse the next one once. And the process that it
            # starts for each client sometimes dies in gRPC's fork handlers, which takes Ray longer than the deadline.
            stumbled = "Starting Ray client server failed" in str(error)
            if (stumbled and attempt > 1) or is_told_by_server(error, prepared=bool(env)):
                raise could_not_start(address, error, prepared=bool(env)) from error
            if not stumbled and (not address.startswith(CLIENT) or deadline.remaining_s() == 0):
                raise no_cluster(address, str(error)) from error
            _log.info("connecting to %s again: %s", address, error)
            time.sleep(_RETRY_AFTER_S)
        except (RuntimeError, ValueError, TypeError, OSError, rx.RayError) as error:
            if is_mismatch(error):
                raise incompatible(address, error) from error
            if isinstance(error, rx.RuntimeEnvSetupError):
                raise ConfigurationError("Workers could not be prepared like this.", [upload_problem(error)]) from error
            raise ConfigurationError(
                f"Ray at address={address!r} could not be used: {type(error).__name__}: {error}"
            ) from error


def _initialise(address: str, wish: _Wish, env: Mapping[str, Any]) -> None:
    if address == "local":
        start_local_ray(
            {
                "num_cpus": wish.num_cpus,
                "num_gpus": wish.num_gpus,
                "object_store_memory": wish.object_store_memory,
                **env,
            }
        )
    elif address.startswith(CLIENT):
        refuse_unstartable(address, wish.runtime_env or {})
        with no_wait_after_a_refusal():
            ray.init(address, log_to_driver=False, **env)
    else:
        ray.init(address, log_to_driver=False, **env)


@contextmanager
def _nothing_left_of_a_failure() -> Iterator[None]:
    """Within the block, end what a failed `ray.init` has started: Ray leaves processes and half a connection behind."""
    try:
        yield
    except BaseException:
        if not is_connected():  # else somebody else has connected this process meanwhile
            ray.shutdown()
        raise
