"""Checks a capability as far as its submitter can, before anything is submitted."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from checkmaite.jobs._shared.identities import identity_cause
from checkmaite.jobs._shared.problems import Problem
from checkmaite.jobs._shared.values import is_encodable, shown, with_article

_ARGUMENTS = ("models", "datasets", "metrics", "config", "use_cache")
_SIGNATURE = "run(self, *, models=None, datasets=None, metrics=None, config=None, use_cache=False)"


def capability_problems(capability: Any) -> list[Problem]:
    """What is wrong with a capability: its kind, its id, and how its `run` is called."""
    if isinstance(capability, type):
        return [class_problem("capability", capability)]
    return [*_run_problems(capability), *_id_problems(capability)]


def class_problem(path: str, given: type) -> Problem:
    """The problem of a class that was given in place of an object of it."""
    name = given.__name__
    return Problem(path, f"is the class {name}, not an object of it.", f"Pass {name}(...).")


def _run_problems(capability: Any) -> list[Problem]:
    run, problem = _read(capability, "run")
    if problem:
        return [problem]
    if not callable(run):
        cause = f"{with_article(type(capability).__name__)} has no run() method."
        return [Problem("capability", cause, _instead_of(capability))]
    function = getattr(run, "__func__", run)
    try:
        faults = _faults(function, bound=function is not run)
    except TypeError:  # what has no hash is looked at each time
        faults = _faults.__wrapped__(function, bound=function is not run)
    return [Problem("capability.run", cause, remedy) for cause, remedy in faults]


def _instead_of(capability: object) -> str:
    if isinstance(capability, (Mapping, list, tuple)) or hasattr(capability, "capability"):
        return "Pass one capability; submit_capabilities([...]) takes mappings and Submission objects."
    if inspect.ismethod(capability):
        return "Pass the object that has the method."
    return "Pass an object whose run(models=, datasets=, ...) does the work."


@lru_cache(maxsize=64)  # one class's run() is looked at once, however many of its objects are submitted
def _faults(run: Callable[..., Any], *, bound: bool) -> list[tuple[str, str]]:
    """What keeps a worker from calling `run`, each as cause and remedy."""
    calls = [run] if inspect.isroutine(run) else [run, type(run).__call__]
    if any(inspect.iscoroutinefunction(call) or inspect.isasyncgenfunction(call) for call in calls):
        return [("is an async function, which nobody awaits.", "Write a plain def, with asyncio.run(...) inside.")]
    if any(inspect.isgeneratorfunction(call) for call in calls):
        return [("is a generator function: calling it gives no run.", "Return the run instead of yielding.")]
    try:
        signature = inspect.signature(run, follow_wrapped=False)
    except (TypeError, ValueError):  # C functions and the like have none
        return []
    try:
        signature.bind(*[None] * bound, **dict.fromkeys(_ARGUMENTS))
    except TypeError as error:
        named = [each.replace(annotation=each.empty, default=each.empty) for each in signature.parameters.values()]
        plain = signature.replace(parameters=named, return_annotation=signature.empty)
        asked = "=, ".join(_ARGUMENTS)
        cause = f"cannot be called as workers do, with {asked}=: {error}. It is run{plain}."
        return [(cause, f"Write {_SIGNATURE}, or take **kwargs.")]
    return []


def _id_problems(capability: Any) -> list[Problem]:
    given, problem = _read(capability, "id")
    if problem:
        return [problem]
    if given is None:
        cause = "is missing."
    elif callable(given):
        cause = "is a method, not a text."
    elif not isinstance(given, str) or not given.strip():
        cause = f"is {shown(given)}, not a non-empty text."
    elif not is_encodable(given):
        cause = f"{given!r} holds characters that cannot be written as UTF-8."
    elif fault := identity_cause(given):
        cause = fault.text
    else:
        return []
    return [Problem("capability.id", cause, 'Give the capability a stable id, such as id = "accuracy".')]


def _read(capability: Any, name: str) -> tuple[Any, Problem | None]:
    try:
        return getattr(capability, name, None), None
    except Exception as error:  # noqa: BLE001 - a property of the user's may raise anything
        cause = f"cannot be read: {type(error).__name__}: {error}."
        return None, Problem(f"capability.{name}", cause, "Mend the property.")
