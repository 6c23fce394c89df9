"""Making the registry from a process that has no runtime environment.

An actor inherits the runtime environment of the connection that makes it, and so does everything that it starts in its
turn. A registry is shared: one client's working_dir and env_vars must not reach the jobs of others. Ray has no option
against it, so a short-lived process of its own connects without any and makes the actor. That process does not run the
``__init__`` of an installed CheckMAITE either, which takes seconds.
"""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import ray
from checkmaite.jobs import ConfigurationError
from checkmaite.jobs_ray_simple.wall import enter_namespace
from ray._private.ray_constants import RAY_RUNTIME_ENV_HOOK
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR

_WHOLE = """
import runpy, sys
runpy.run_path(sys.argv[1])["enter_namespace"]("checkmaite")
from checkmaite.jobs_ray._ray._creation import create_as_told
create_as_told(sys.stdin.read())
"""
_FROM_OUTSIDE = (RAY_JOB_CONFIG_JSON_ENV_VAR, RAY_RUNTIME_ENV_HOOK)
"""Variables through which a process that was started with `ray job submit`, say, has a runtime environment unasked."""


def create_cleanly(address: str, actor: Mapping[str, Any], *, timeout_s: float) -> None:
    """Make a named actor without any runtime environment.

    Args:
        address: Where to connect to.
        actor: The arguments of `get_or_create`, as builtins; ``actor_class`` as ``module:name``.
        timeout_s: Seconds that it may take.

    Raises:
        ConfigurationError: It could not be made.
    """
    told = json.dumps({"address": address, "actor": dict(actor)})
    try:
        done = subprocess.run(  # noqa: S603 - this very interpreter, with a text of our own
            [sys.executable, "-P", "-c", _WHOLE, inspect.getfile(enter_namespace)],
            env={name: value for name, value in os.environ.items() if name not in _FROM_OUTSIDE},
            input=told,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigurationError(f"The registry could not be made at {address} within {timeout_s:g} s.") from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise ConfigurationError(f"The registry could not be made at {address}: {last}")


def create_as_told(text: str) -> None:
    """What the process does."""
    from importlib import import_module

    from checkmaite.jobs_ray._ray._actors import get_or_create

    told = json.loads(text)
    actor = told["actor"]
    module, _, name = actor.pop("actor_class").partition(":")
    ray.init(told["address"], log_to_driver=False)
    get_or_create(getattr(import_module(module), name), **actor)
    ray.shutdown()
