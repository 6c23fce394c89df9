"""Checks the arguments of calls that neither configure nor submit: times, jobs, ids, callbacks.

A wrong argument is refused before anything is waited for or asked, whatever state the job is in.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterable, Mapping
from datetime import timedelta
from itertools import islice
from typing import Any

from checkmaite.jobs._shared.errors import ArgumentError
from checkmaite.jobs._shared.problems import Problem
from checkmaite.jobs._shared.values import as_float, shown

_MOST_GRACE_S = 1e9
"""Some thirty years: what clocks, timers and messages can carry of a grace without end."""
_NAMED = 5
"""Faulty elements of one argument that an error names."""


def usable_timeout_s(timeout: object) -> float | None:
    """The seconds of a timeout that a user gave; None waits for ever, negative ones are over at once.

    Raises:
        ArgumentError: It is neither a number nor None.
    """
    if timeout is None:
        return None
    return _seconds("timeout", timeout, "timeout=5, or leave it out to wait for ever")


def usable_grace_s(grace: object) -> float:
    """The seconds of a grace that a user gave: never negative, never infinite.

    Raises:
        ArgumentError: It is not a number.
    """
    return min(max(0.0, _seconds("grace", grace, "grace=5; math.inf never uses force")), _MOST_GRACE_S)


def _seconds(name: str, given: object, example: str) -> float:
    number = as_float(given)
    if number is None:
        hint = " A timedelta has total_seconds()." if isinstance(given, timedelta) else ""
        problem = Problem(name, f"expected a number of seconds, got {shown(given)}.", f"Pass {example}.{hint}")
    elif math.isnan(number):
        problem = Problem(name, "nan is not a number of seconds.", f"Pass {example}.")
    else:
        return number
    raise ArgumentError(f"This {name} cannot be kept.", [problem])


def jobs_given(function: str, given: object) -> list[Any]:
    """The jobs in what a user gave to a function that takes several.

    Args:
        function: Its name, for examples.
        given: Any iterable of jobs.

    Raises:
        ArgumentError: It is something else, or something in it is no job.
    """
    if is_job(given):
        problem = Problem("jobs", "expected several jobs, got one Job.", f"Write {function}([job]), or job.wait().")
    elif isinstance(given, Mapping):
        cause = f"expected jobs, got a mapping ({type(given).__name__}), whose keys would be waited for."
        problem = Problem("jobs", cause, f"Write {function}(jobs.values()) where the jobs are its values.")
    elif isinstance(given, (str, bytes)):
        problem = Problem("jobs", f"expected jobs, got {shown(given)}.", f"Write {function}([get_job(job_id)]).")
    elif not isinstance(given, Iterable):
        remedy = f"Write {function}(jobs) with a list of jobs, as submit_capabilities() and list_jobs() return it."
        problem = Problem("jobs", f"expected jobs, got {shown(given)}.", remedy)
    else:
        jobs = list(given)
        wrong = ((index, each) for index, each in enumerate(jobs) if not is_job(each))
        problems = [_no_job(f"jobs[{index}]", each) for index, each in islice(wrong, _NAMED)]
        if not problems:
            return jobs
        raise ArgumentError(f"{function}() waits for nothing: it takes jobs.", problems)
    raise ArgumentError(f"{function}() waits for nothing: it takes jobs.", [problem])


def is_job(given: object) -> bool:
    """Whether something can be waited for as a `Job`, whatever backend it is from."""
    return (
        not isinstance(given, type)
        and callable(getattr(given, "wait", None))
        and callable(getattr(given, "add_done_callback", None))
    )


def _no_job(path: str, given: object) -> Problem:
    remedy = "Pass jobs, as submit_capability(), get_job() and list_jobs() return them."
    if isinstance(given, type):
        return Problem(path, f"is the class {given.__name__}, not an object of it.", remedy)
    if isinstance(given, str):
        remedy = "Pass get_job(job_id) instead of an id."
    elif callable(getattr(given, "add_done_callback", None)):
        remedy = "Pass the job itself instead of its future; for futures there is concurrent.futures.wait()."
    return Problem(path, f"expected a Job, got {shown(given)}.", remedy)


def job_id_given(given: object) -> str:
    """The job id that a user gave.

    Raises:
        ArgumentError: It is no text, or empty.
    """
    if isinstance(given, str) and given:
        return given
    if is_job(given):
        problem = Problem("job_id", "expected the id of a job, got the Job.", "Use it as it is; its id is job.job_id.")
    else:
        cause = "is empty." if given == "" else f"expected the id of a job, got {shown(given)}."
        problem = Problem("job_id", cause, "Pass the text that job.job_id gives; list_jobs() shows the jobs.")
    raise ArgumentError("No job can be found by this.", [problem])


def check_callback(given: object) -> None:
    """Refuse what nobody could call with a finished job.

    Raises:
        ArgumentError: It is not callable, or it is a coroutine function, which a call alone does not run.
    """
    if not callable(given):
        remedy = "Pass a function of the job, without calling it: job.add_done_callback(print)."
        problem = Problem("callback", f"expected a function, got {shown(given)}.", remedy)
    elif inspect.iscoroutinefunction(given):
        cause = f"{getattr(given, '__name__', 'it')}() is an async function, which would never be awaited."
        problem = Problem("callback", cause, "Pass a plain function, or use `await job`.")
    else:
        return
    raise ArgumentError("Nobody was added to be told.", [problem])


def check_switch(name: str, given: object) -> None:
    """Refuse anything but True and False, such as a text or a number of seconds.

    Raises:
        ArgumentError: It is neither True nor False.
    """
    if not isinstance(given, bool):
        problem = Problem(name, f"expected True or False, got {shown(given)}.", f"Pass {name}=True or {name}=False.")
        raise ArgumentError("Nothing was done.", [problem])
