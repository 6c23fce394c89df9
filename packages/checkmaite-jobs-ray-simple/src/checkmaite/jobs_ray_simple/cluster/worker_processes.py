"""Chooses which worker process a job gets and lets processes leave, as far as a Ray task can ask for that."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

from checkmaite.jobs import Resources
from checkmaite.jobs.spi import accelerators_of, hidden_accelerators

Leave = Callable[[], None]
ENDLESS = 2**31 - 1
"""Calls after which a reused worker process leaves: Ray counts them, and so it can be made to leave earlier."""

_MARK = "CHECKMAITE_JOBS_PROCESS"


def needs_own_process(resources: Resources, isolation: str) -> bool:
    """Whether a job must have a worker process that no job had before, and that leaves with it."""
    return isolation == "process" or bool(accelerators_of(resources))


def own_environment(resources: Resources, isolation: str, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The runtime environment of a job with a process of its own.

    Ray gives a task only processes that were started with its environment. A variable of ours keeps these processes
    apart from those that are reused, where accelerators were hidden. With ``isolation="process"`` its value occurs
    once, so that no task that the job starts, and no other job, can ever get the process.
    """
    mark = f"alone-{secrets.token_hex(8)}" if isolation == "process" else "accelerators"
    variables = {**((given or {}).get("env_vars") or {}), **hidden_accelerators(accelerators_of(resources))}
    return {**(given or {}), "env_vars": {**variables, _MARK: mark}}


def make_version_check() -> Callable[[bytes], None]:
    """A function that a worker calls with the terms of its first order, before it asks anything else of its core.

    A core of another version may lack what the submitter's function imports, and cannot read its order. What this one
    imports has always been there. It is nested so that it travels by value.
    """

    def check(written_terms: bytes) -> None:
        import json

        from checkmaite.jobs.spi import Versions, check_versions

        said = json.loads(bytes(written_terms).partition(b"\n")[0])
        check_versions(Versions(**said), this_side="worker", other_side="submitter")

    return check


def make_leave() -> Leave:
    """A function that makes the worker process that calls it leave once its task's result is on its way.

    Ray lets a process leave so when a function has been called ``max_calls`` times, which has to be said before. The
    count is therefore set forward, through attributes that Ray gives no promise for; where they are missing, the
    process stays. The function is nested so that it travels by value: workers have no copy of this package.
    """

    def leave() -> None:
        import logging

        try:
            from ray._private.worker import global_worker

            calls: Any = global_worker.function_actor_manager
            limits = {key: each.max_calls for key, each in calls._function_execution_info.items() if each.max_calls}
            calls._num_task_executions.update({key: limit - 1 for key, limit in limits.items()})
        except (AttributeError, ImportError):
            logging.getLogger("checkmaite.jobs").exception("this Ray does not let a worker process leave")

    return leave
