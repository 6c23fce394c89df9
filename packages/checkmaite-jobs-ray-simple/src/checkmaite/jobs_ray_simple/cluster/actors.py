"""Actors that take nothing from the process that makes them.

Ray puts the folders of that process first on an actor's `sys.path`, and unpickling an actor's class imports its module,
hence all packages above it: where the CheckMAITE package is installed, `checkmaite` imports torch, which costs the
actor 850 MB and ten seconds. So Ray is given a stand-in that travels by value, because whatever it were imported from
would come too late. It cleans its process, and only then imports the real class.

What is sent from this module is plain: it needs nothing of this project to be unpickled.
"""

from __future__ import annotations

import gc
import importlib
import importlib.machinery
import importlib.util
import inspect
import logging
import os
import pkgutil
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

import ray.cloudpickle

_cloudpickle: Any = ray.cloudpickle  # carries no types
_cloudpickle.register_pickle_by_value(sys.modules[__name__])
_GARBAGE = 20_000, 20, 20
"""When an actor looks for garbage; see `gc.set_threshold`. Records of jobs are in no cycles, and looking through
thousands of them after each 700 new objects took a fifth of what a registry's Python does."""


@cache
def stand_in(actor_class: type) -> type:
    """A class of the same name and with the same asynchronous methods, for Ray to make an actor of.

    Args:
        actor_class: Importable where the actor is placed. Its public coroutine methods can be called.
    """
    module, name = actor_class.__module__, actor_class.__name__
    names = [each for each, _ in inspect.getmembers(actor_class, inspect.iscoroutinefunction) if each[0] != "_"]
    methods = {each: _forwarded(each) for each in names}
    return type(name, (), {"__init__": _made_from(module, name), **methods, "__module__": __name__})


def _made_from(module: str, name: str) -> Callable[..., None]:
    def __init__(self: Any, *arguments: Any) -> None:  # noqa: N807 - it becomes one
        leave_creator()
        enter_namespace("checkmaite")
        gc.set_threshold(*_GARBAGE)
        self.actor = getattr(importlib.import_module(module), name)(*arguments)

    return __init__


def _forwarded(name: str) -> Callable[..., Any]:
    async def forwarded(self: Any, *arguments: Any) -> Any:
        return await getattr(self.actor, name)(*arguments)

    return forwarded


def leave_creator() -> None:
    """Drop what Ray took from this worker's driver, its working directory too."""
    leave_driver()
    ray_worker: Any = importlib.import_module("ray._private.worker")
    os.chdir(ray_worker.global_worker.node.get_session_dir_path())


def leave_driver() -> None:
    """Drop what Ray took from this worker's driver: its folders on `sys.path`, and its logging."""
    ray_worker: Any = importlib.import_module("ray._private.worker")
    config = ray_worker.global_worker.core_worker.get_job_config()
    searched = [os.path.dirname(path) if os.path.isfile(path) else path for path in config.code_search_path]  # noqa: PTH113, PTH120 - as Ray does
    for folder in (*config.py_driver_sys_path, *searched):
        with suppress(ValueError):
            sys.path.remove(folder)
    if getattr(ray_worker.global_worker, "job_logging_config", None) is not None:
        _drop_logging()


def _drop_logging() -> None:
    """Undo what `ray.init(logging_config=...)` has done to loggers: its handlers are known by their filter."""
    ray_logger = logging.getLogger("ray")
    for logger in (logging.root, ray_logger):
        for handler in list(logger.handlers):
            if any(type(each).__name__ == "CoreContextFilter" for each in handler.filters):
                logger.removeHandler(handler)
    logging.root.setLevel(logging.WARNING)
    ray_logger.setLevel(logging.INFO)
    ray_logger.propagate = True


def enter_namespace(package: str) -> None:
    """Make `package` a namespace of all its folders on `sys.path`, so that no ``__init__`` of it runs.

    In a process that has imported it already nothing changes.
    """
    if package in sys.modules:
        return
    spec = importlib.machinery.ModuleSpec(package, None, is_package=True)
    spec.submodule_search_locations = []
    for finder in map(pkgutil.get_importer, sys.path):
        found = finder.find_spec(package) if finder is not None else None
        if found is not None:
            spec.submodule_search_locations += found.submodule_search_locations or []
    sys.modules[package] = importlib.util.module_from_spec(spec)
