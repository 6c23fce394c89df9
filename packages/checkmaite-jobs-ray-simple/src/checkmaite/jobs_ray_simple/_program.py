"""Whether the program that workers are to be started with is there: Ray waits for ever for one that is not.

Its raylet starts ``bash -c "exec PROGRAM ..."``, sees a process end that never spoke, and starts it again after a
minute. Nothing but the raylet's own error file says why, and as many such starts as the node has CPUs keep all other
workers from starting. So no task could look for the program: a process that runs already has to.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_REPLACED_BY = ("conda", "container", "image_uri", "pip", "uv")
"""Fields of a runtime environment that decide where a program is looked for: only their environment knows."""
_LOOK_S = 10.0


def lacks_program(runtime_env: Mapping[str, Any], folder: Path | None) -> bool:
    """Whether workers of this runtime environment could not be started on this machine; False also when nobody knows.

    Args:
        runtime_env: Ray's, or as a user wrote it.
        folder: Where workers begin; None when that is not here to look into.
    """
    command = runtime_env.get("py_executable")
    if not command or any(runtime_env.get(name) for name in _REPLACED_BY) or (folder is None and "./" in command):
        return False
    given = runtime_env.get("env_vars") or {}
    environment = {**os.environ, **{name: os.path.expandvars(value) for name, value in given.items()}}
    bash = shutil.which("bash", path=environment.get("PATH"))
    if bash is None:  # Ray finds no bash there either; on a machine without any it starts workers in another way
        return shutil.which("bash") is not None
    text = f'set -- {command}\ntype -P -- "$1"'  # as Ray's bash reads it
    try:
        done = subprocess.run(  # noqa: S603 - it does what Ray would do, and runs nothing more
            [bash, "-c", text],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LOOK_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode != 0


def missing_program(runtime_env: Mapping[str, Any] | None) -> str:
    """Why no worker can start on this node of the cluster, as a sentence; empty when nothing is known against it."""
    if not runtime_env or not lacks_program(runtime_env, None):
        return ""
    command, host = runtime_env["py_executable"], socket.gethostname()
    return (
        f"No worker can start for it: the program of runtime_env's py_executable={command!r} is not on {host}. Install "
        "it on every node; or cancel the job, mend py_executable, and submit it again."
    )
