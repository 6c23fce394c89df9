"""Whether the program that workers are to be started with is there and has Ray: Ray waits for ever otherwise.

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
_NO_PROGRAM, _NO_RAY = 3, 4
_LOOK = f"""
type -P -- "$1" || exit {_NO_PROGRAM}
case "${{1##*/}}" in python|python[0-9]*)
    "$@" -c 'import importlib.util as util; raise SystemExit(util.find_spec("ray") is None)' || exit {_NO_RAY}
esac
"""


def lacking_program(runtime_env: Mapping[str, Any], folder: Path | None, where: str) -> str:
    """Why workers of this runtime environment could not be started on this machine, as a clause.

    Empty when nothing is known against it.

    Args:
        runtime_env: Ray's, or as a user wrote it.
        folder: Where workers begin; None when that is not here to look into.
        where: What the clause calls this machine.
    """
    command = runtime_env.get("py_executable")
    if not command or any(runtime_env.get(name) for name in _REPLACED_BY) or (folder is None and "./" in command):
        return ""
    given = runtime_env.get("env_vars") or {}
    environment = {**os.environ, **{name: os.path.expandvars(value) for name, value in given.items()}}
    bash = shutil.which("bash", path=environment.get("PATH"))
    if bash is None:  # Ray finds no bash there either; on a machine without any it starts workers in another way
        found = _NO_PROGRAM if shutil.which("bash") is not None else 0
    else:
        text = f"set -- {command}\n{_LOOK}"  # as Ray's bash reads it
        try:
            found = subprocess.run(  # noqa: S603 - what Ray would start; a Python is asked for no more than Ray
                [bash, "-c", text],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_LOOK_S,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            found = 0
    causes = {
        _NO_PROGRAM: f"the program of py_executable={command!r} is not on {where}",
        _NO_RAY: f"py_executable={command!r} is a Python without Ray on {where}",
    }
    return causes.get(found, "")


def missing_program(runtime_env: Mapping[str, Any] | None) -> str:
    """Why no worker can start on this node of the cluster, as a sentence; empty when nothing is known against it."""
    cause = lacking_program(runtime_env, None, socket.gethostname()) if runtime_env else ""
    if not cause:
        return ""
    return (
        f"No worker can start for it: {cause}. Every node needs it, and Ray in it. Cancel the job, mend py_executable, "
        "and submit it again."
    )
