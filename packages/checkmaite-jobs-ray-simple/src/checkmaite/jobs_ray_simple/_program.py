"""Whether the program that workers are to be started with is there: Ray waits for ever for one that is not.

Its raylet starts ``bash -c "exec PROGRAM ..."``, sees a process end that never spoke, and starts it again. Nothing but
the raylet's own error file says why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import ray

_untyped: Any = ray  # the parts of Ray's API that carry no types
_CPUS = 0.0001
"""Keeps the question off nodes that run no jobs, without taking anything of one that does."""
_REPLACED_BY = ("conda", "container", "image_uri", "pip", "uv")
"""Fields of a runtime environment that decide where a program is looked for: only their environment knows."""

Found = Callable[..., tuple[bool, str]]


def finder() -> Found:
    """Looks for a program as Ray's bash would; nested, so that it travels by value: workers may lack this package."""

    def find_program(
        command: str, folder: str | None = None, variables: Mapping[str, str] | None = None
    ) -> tuple[bool, str]:
        """Whether the program is there, and on which host it was looked for."""
        import os
        import shutil
        import socket
        import subprocess

        host, environment = socket.gethostname(), {**os.environ, **(variables or {})}
        bash = shutil.which("bash", path=environment.get("PATH"))
        if bash is None:  # Ray finds no bash there either; without any it starts workers in another way
            return shutil.which("bash") is None, host
        text = f'set -- {command}\ntype -P -- "$1"'
        asked: dict[str, Any] = {"cwd": folder, "env": environment, "capture_output": True, "timeout": 10}
        try:
            done = subprocess.run([bash, "-c", text], stdin=subprocess.DEVNULL, check=False, **asked)  # noqa: S603 - what Ray would run
        except subprocess.TimeoutExpired:  # then it is not known
            return True, host
        return done.returncode == 0, host

    return find_program


def program_of(runtime_env: Mapping[str, Any] | None) -> str | None:
    """The command that workers are started with, where a shell outside of any other environment can look for it."""
    env = runtime_env or {}
    return None if any(env.get(name) for name in _REPLACED_BY) else env.get("py_executable") or None


def look_on_cluster(runtime_env: Mapping[str, Any]) -> Any:
    """A reference to what `finder` finds on a node of the cluster, in the folder and with the variables of workers."""
    # An empty command is Ray's own Python; leaving it out would mean the one of this connection.
    env = {**runtime_env, "py_executable": ""}
    options = {"num_cpus": _CPUS, "max_retries": 0, "name": "look for py_executable", "runtime_env": env}
    return _untyped.remote(finder()).options(**options).remote(program_of(runtime_env))


def said_of(runtime_env: Mapping[str, Any], answer: tuple[bool, str]) -> str:
    """What the answer means for a job that waits, as a sentence; empty when the program is there."""
    found, host = answer
    if found:
        return ""
    return (
        f"No worker can start for it: the program of runtime_env's py_executable={program_of(runtime_env)!r} is not on "
        f"{host}. Install it there, or mend py_executable, and submit the job again."
    )
