"""Which Ray to use, as options: the same for every backend that runs jobs on Ray."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen, validators
from checkmaite.jobs import ConfigurationError, Problem
from checkmaite.jobs.spi import KeyPlace, check_key, option, sealed
from checkmaite.jobs_ray_simple.cluster.ray_state import is_elsewhere
from checkmaite.jobs_ray_simple.cluster.runtime_env import environment_problems

ISOLATION_DOC = (
    'what jobs share a worker process: "reuse" lets one process take one job after the other, and restores it between '
    'them; "process" gives each job a process that no job had before it or gets after it, which takes a second or more.'
)


def _address(_: object, attribute: Any, value: str | None) -> None:
    if value is None or value in {"local", "auto"}:
        return
    if "@" in value:
        raise ValueError("this is not an address: no user and no password belong in it")
    host, separator, port = value.removeprefix("ray://").rpartition(":")
    if not (host and separator and port.isdigit()) or "://" in host:
        raise ValueError(f"{value!r} is not an address")


def isolation_level(_: object, attribute: Any, value: str | None) -> None:
    """The validator of ``isolation``.

    Raises:
        ValueError: It is neither.
    """
    if value not in {None, "reuse", "process"}:
        raise ValueError(f"{value!r} is neither 'reuse' nor 'process'")


@frozen
class ConnectionOptions:
    """Where Ray is, and how its workers are prepared."""

    address: str | None = option(
        'the cluster: "local" starts a Ray of this process\'s own, "auto" finds one on this machine, "host:port" '
        'attaches to one, "ray://host:10001" goes through its client server. Left out: the Ray that this process is '
        "connected to already, else a local one.",
        default=None,
        validator=_address,
    )
    runtime_env: Mapping[str, Any] | None = option(
        'how workers are prepared, as Ray takes it: {"working_dir": ".", "env_vars": {"NAME": "value"}}.',
        default=None,
        repr=False,  # env_vars may hold secrets
    )
    num_cpus: int | None = option(
        "CPUs of a local Ray; those of the machine when left out. Only for a Ray that is started here.",
        default=None,
        validator=validators.optional(validators.ge(1)),
    )
    num_gpus: int | None = option(
        "GPUs of a local Ray; those it finds when left out. Only for a Ray that is started here.",
        default=None,
        validator=validators.optional(validators.ge(0)),
    )
    object_store_memory: int | None = option(
        "bytes of shared memory of a local Ray, at least 75 MiB. Only for a Ray that is started here.",
        default=None,
        validator=validators.optional(validators.ge(75 * 2**20)),
    )
    connect_timeout_s: float = option(
        "seconds to reach a running cluster; more than 0.", default=30.0, validator=validators.gt(0)
    )
    force_reinit: bool = option(
        "True ends the Ray that this process is connected to, when its options differ, and connects anew.",
        default=False,
    )
    isolation: str = option(ISOLATION_DOC, default="reuse", validator=isolation_level)
    payload_key: KeyPlace | None = option(  # noqa: RUF009 - it makes a field
        "where submitters and workers find the key that payloads are encrypted with, the same place for all of them: "
        '{"env": NAME} or {"file": ABSOLUTE PATH}. None: payloads are not encrypted.',
        default=None,
    )

    def __attrs_post_init__(self) -> None:
        if faults := environment_problems(self.runtime_env or {}, here=not self.is_remote):
            raise ConfigurationError("No worker could be prepared like this.", faults)
        sizes = [name for name in ("num_cpus", "num_gpus", "object_store_memory") if getattr(self, name) is not None]
        env_vars = (self.runtime_env or {}).get("env_vars") or {}
        if self.payload_key is not None and self.payload_key.env in env_vars:
            cause = f"{self.payload_key.env} is the key of the payloads, and Ray writes env_vars into its logs."
            raise ConfigurationError(
                "The key of the payloads would be told.",
                [Problem("runtime_env.env_vars", cause, "Set it where `ray start` runs, or keep the key in a file.")],
            )
        if self.address not in {None, "local"} and sizes:
            cause = (
                f'it sizes a Ray that is started here, with address="local"; the one at {self.address!r} has its size '
                "already."
            )
            raise ConfigurationError(
                "These options contradict each other.", [Problem(name, cause, "Leave it out.") for name in sizes]
            )

    def check_payload_key(self) -> None:
        """See that this process can encrypt payloads, if it is to.

        Raises:
            ConfigurationError: It cannot.
        """
        if self.payload_key is not None:
            try:
                check_key(self.payload_key)
            except ValueError as error:
                remedy = "Put it there, here and on the workers; or leave payload_key out, then nothing is encrypted."
                raise ConfigurationError(
                    "No payload could be encrypted.", [Problem("payload_key", f"{error}.", remedy)]
                ) from None

    def sealed(self, payload: bytes, job_id: str) -> bytes:
        """A payload as it travels: encrypted, if there is a key.

        Raises:
            PayloadKeyError: The key is where it was no more.
        """
        return payload if self.payload_key is None else sealed(payload, job_id, self.payload_key)

    @property
    def is_remote(self) -> bool:
        """Whether jobs may run on other machines."""
        return is_elsewhere() if self.address is None else self.address != "local"
