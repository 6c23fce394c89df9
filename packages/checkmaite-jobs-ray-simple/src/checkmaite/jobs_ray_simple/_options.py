"""Which Ray to use, as options: the same for every backend that runs jobs on Ray."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from typing import Any

from attrs import evolve, frozen, validators
from checkmaite.jobs import ConfigurationError, Problem
from checkmaite.jobs.spi import option, unknown_name
from checkmaite.jobs_ray_simple._here import is_elsewhere
from ray.runtime_env import RuntimeEnv

_PLUGINS = "RAY_RUNTIME_ENV_PLUGINS"


def _address(_: object, attribute: Any, value: str | None) -> None:
    if value is None or value in {"local", "auto"}:
        return
    if "@" in value:
        raise ValueError("this is not an address: no user and no password belong in it")
    host, separator, port = value.removeprefix("ray://").rpartition(":")
    if not (host and separator and port.isdigit()) or "://" in host:
        raise ValueError(f"{value!r} is not an address")


def _unknown_fields(runtime_env: Mapping[str, Any]) -> list[Problem]:
    """What Ray would pass over in silence: a misspelt working_dir would leave workers without the user's code."""
    if os.environ.get(_PLUGINS):
        return []
    known = {*RuntimeEnv.known_fields, *inspect.signature(RuntimeEnv).parameters} - {"_validate", "kwargs"}
    said = {name for name in known if not name.startswith("_")}
    found = [
        unknown_name(f"runtime_env.{name}", str(name), said, what="field") for name in runtime_env if name not in known
    ]
    plugin = f"If it is a plugin's, set {_PLUGINS} here as on the cluster."
    return [evolve(each, remedy=f"{each.remedy} {plugin}") for each in found]


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

    def __attrs_post_init__(self) -> None:
        if unknown := _unknown_fields(self.runtime_env or {}):
            raise ConfigurationError("Ray knows no such fields.", unknown)
        sizes = [name for name in ("num_cpus", "num_gpus", "object_store_memory") if getattr(self, name) is not None]
        if self.address not in {None, "local"} and sizes:
            cause = (
                f'it sizes a Ray that is started here, with address="local"; the one at {self.address!r} has its size '
                "already."
            )
            raise ConfigurationError(
                "These options contradict each other.", [Problem(name, cause, "Leave it out.") for name in sizes]
            )

    @property
    def is_remote(self) -> bool:
        """Whether jobs may run on other machines."""
        return is_elsewhere() if self.address is None else self.address != "local"
