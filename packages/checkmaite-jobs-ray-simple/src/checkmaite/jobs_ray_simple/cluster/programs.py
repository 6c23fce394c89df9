"""Tests whether the program for workers starts and has Ray: where it does not, Ray waits for ever.

Its raylet starts ``bash -c "exec PROGRAM ..."``, sees a process end that never spoke, and starts it again after a
minute. Nothing but the raylet's own error file says why, and as many such starts as the node has CPUs keep all other
workers from starting. So no task could look for the program: a process that runs already has to. The program is a
``py_executable``, or the node's own Python, which variables such as ``PYTHONHOME`` can keep from starting.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

REMEDIES = {
    "py_executable": "Pass the path of a Python that every node has and that has Ray, or leave it out.",
    "env_vars": "Leave out what Python or the system reads before it runs any code, or mend it.",
}
_REPLACED_BY = ("conda", "container", "image_uri", "pip", "uv")
"""Fields of a runtime environment that decide where a program is looked for: only their environment knows."""
_READ_BEFORE_CODE = ("PYTHON", "LD_", "DYLD_")
"""How names of variables begin that Python or the system's loader reads before any code of a worker runs."""
_LOOK_S = 10.0
_NO_PROGRAM, _NO_RAY, _NO_START = 3, 4, 5
_LOOK = f"""
type -P -- "$1" || exit {_NO_PROGRAM}
case "${{1##*/}}" in python|python[0-9]*)
    "$@" -c 'import importlib.util as util; raise SystemExit({_NO_RAY} * (util.find_spec("ray") is None))'
    case "$?" in 0) ;; {_NO_RAY}) exit {_NO_RAY} ;; *) exit {_NO_START} ;; esac
esac
"""


def may_be_unstartable(runtime_env: Mapping[str, Any]) -> bool:
    """Whether a runtime environment names what workers are started with, or a variable on which that depends."""
    return bool(runtime_env.get("py_executable") or _variables(runtime_env))


def unstartable(runtime_env: Mapping[str, Any], folder: Path | None, where: str) -> tuple[str, str] | None:
    """Why workers of this runtime environment could not be started on this machine, as far as can be seen.

    It is told as the field that has to be mended, and a clause.

    Args:
        runtime_env: Ray's, or as a user wrote it.
        folder: Where workers begin; None when that is not here to look into.
        where: What the clause calls this machine.
    """
    chosen, names = runtime_env.get("py_executable"), _variables(runtime_env)
    if not may_be_unstartable(runtime_env) or any(runtime_env.get(name) for name in _REPLACED_BY):
        return None
    if chosen and folder is None and "./" in chosen:
        return None
    found = _look(chosen or shlex.quote(sys.executable), runtime_env.get("env_vars") or {}, folder)
    if found == 0:
        return None
    set_by = f" with env_vars {', '.join(names)}" if names else ""
    if chosen:
        causes = {
            _NO_PROGRAM: f"the program of py_executable={chosen!r} is not on {where}",
            _NO_RAY: f"py_executable={chosen!r} is a Python without Ray on {where}",
            _NO_START: f"py_executable={chosen!r} is a Python that does not start on {where}",
        }
        return "py_executable", causes[found] + set_by
    causes = {
        _NO_PROGRAM: f"there is no bash on {where}",
        _NO_RAY: f"Python finds no Ray on {where}",
        _NO_START: f"Python does not start on {where}",
    }
    return "env_vars", causes[found] + set_by


def start_obstacle(runtime_env: Mapping[str, Any] | None) -> str:
    """Why no worker can start on this node of the cluster, as a sentence; empty when nothing is known against it."""
    found = unstartable(runtime_env, None, socket.gethostname()) if runtime_env else None
    if found is None:
        return ""
    field, cause = found
    return (
        f"No worker can start for it: {cause}. Every node needs a Python that starts, and Ray in it. Cancel the "
        f"job, mend {field}, and submit it again."
    )


def _variables(runtime_env: Mapping[str, Any]) -> list[str]:
    given = runtime_env.get("env_vars") or {}
    return sorted(name for name in given if name == "PATH" or name.startswith(_READ_BEFORE_CODE))


def _look(command: str, given: Mapping[str, str], folder: Path | None) -> int:
    """What is wrong with a command under these variables, as an exit status of `_LOOK`; 0 when nothing is known."""
    environment = {**os.environ, **{name: os.path.expandvars(value) for name, value in given.items()}}
    bash = shutil.which("bash", path=environment.get("PATH"))
    if bash is None:  # Ray finds no bash there either; on a machine without any it starts workers in another way
        return _NO_PROGRAM if shutil.which("bash") is not None else 0
    try:
        done = subprocess.run(  # noqa: S603 - what Ray would start; a Python is asked for no more than Ray
            [bash, "-c", f"set -- {command}\n{_LOOK}"],  # as Ray's bash reads it
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_LOOK_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 0
    return done.returncode if done.returncode in (_NO_PROGRAM, _NO_RAY, _NO_START) else 0
