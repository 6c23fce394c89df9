"""What one run needs of a machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen
from checkmaite.jobs._problems import Problem, unknown_name
from checkmaite.jobs._values import is_finite, shown, with_article

_AMOUNTS = ("num_cpus", "num_gpus", "memory")
_NOT_CUSTOM = {
    "CPU": "Pass num_cpus beside custom.",
    "GPU": "Pass num_gpus beside custom.",
    "memory": "Pass memory, in bytes, beside custom.",
    "object_store_memory": "Leave it out: jobs do not reserve it.",
}


@frozen(kw_only=True)
class Resources:
    """Resources that are reserved while the run executes.

    Attributes:
        num_cpus: Logical CPUs; fractions allowed.
        num_gpus: GPUs; fractions allowed below 1.
        memory: Bytes of memory to reserve; None reserves none.
        custom: Amounts of the cluster's own resources, by name.
    """

    num_cpus: float = 1
    num_gpus: float = 0
    memory: int | None = None
    custom: Mapping[str, float] = field(factory=dict, hash=False)


def resolve_resources(
    requested: object, *, config: object = None, capability: object = None
) -> tuple[Resources, list[Problem]]:
    """The resources of one submission, and what is wrong with them.

    Each amount is taken from the first of: `requested` (a mapping or a `Resources`), ``config.num_cpus`` and
    ``config.num_gpus`` (attributes or keys), ``capability.default_num_cpus`` and ``default_num_gpus``, 1 CPU and 0
    GPUs. Problems have paths that start with ``resources``.
    """
    if isinstance(requested, Resources):
        given: Mapping[str, Any] = {
            "num_cpus": requested.num_cpus,
            "num_gpus": requested.num_gpus,
            "memory": requested.memory,
            "custom": requested.custom,
        }
    elif requested is None:
        given = {}
    elif isinstance(requested, Mapping):
        given = requested
    else:
        wrong = f"expected a mapping or a Resources, got {type(requested).__name__}."
        return Resources(), [Problem("resources", wrong, 'Pass, for example, resources={"num_cpus": 2}.')]

    problems = [_unknown_key(str(key)) for key in given if key not in _AMOUNTS and key != "custom"]
    amounts: dict[str, Any] = {}
    for key in _AMOUNTS:
        path, value = _first_given(key, given, config, capability)
        if value is None:
            continue
        problem = _bad_amount(path, value, whole=key == "memory")
        if problem:
            problems.append(problem)
        else:
            amounts[key] = value
    custom = given.get("custom") or {}
    if not isinstance(custom, Mapping):
        problems.append(
            Problem(
                "resources.custom",
                f"expected a mapping of names to amounts, got {type(custom).__name__}.",
                'Pass, for example, resources={"custom": {"fpga": 1}}.',
            )
        )
        custom = {}
    problems += [problem for name, value in custom.items() if (problem := _bad_custom(name, value))]
    problems += _not_custom(custom)
    if problems:
        return Resources(), problems
    return Resources(**amounts, custom=dict(custom)), []


def _unknown_key(key: str) -> Problem:
    problem = unknown_name(f"resources.{key}", key, [*_AMOUNTS, "custom"], what="resource")
    hint = f' The cluster\'s own resources go below custom: resources={{"custom": {{{key!r}: 1}}}}.'
    return Problem(problem.path, problem.cause, problem.remedy + hint)


def _not_custom(custom: Mapping[str, Any]) -> list[Problem]:
    return [
        Problem(f"resources.custom.{name}", "is no resource of the cluster's own.", remedy)
        for name, remedy in _NOT_CUSTOM.items()
        if name in custom
    ]


def _first_given(key: str, given: Mapping[str, Any], config: object, capability: object) -> tuple[str, Any]:
    if given.get(key) is not None:
        return f"resources.{key}", given[key]
    if key == "memory":
        return f"resources.{key}", None
    value = config.get(key) if isinstance(config, Mapping) else getattr(config, key, None)
    if value is not None:
        return f"config.{key}", value
    return f"capability.default_{key}", getattr(capability, f"default_{key}", None)


def _bad_custom(name: object, value: object) -> Problem | None:
    if not isinstance(name, str):
        cause = f"the name {name!r} is {with_article(type(name).__name__)}, not text."
        return Problem("resources.custom", cause, 'Pass names as text: resources={"custom": {"fpga": 1}}.')
    if not name.strip() or not name.isprintable():
        cause = f"{name!r} is not a printable name."
        return Problem("resources.custom", cause, 'Name the resource: resources={"custom": {"fpga": 1}}.')
    return _bad_amount(f"resources.custom.{name}", value, whole=False)


def _bad_amount(path: str, value: object, *, whole: bool) -> Problem | None:
    kinds = (int,) if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, kinds):
        wanted = "a whole number of bytes" if whole else "a number"
        return Problem(path, f"expected {wanted}, got {value!r}.", "Pass a number that is 0 or more.")
    if not is_finite(value) or value < 0:
        return Problem(path, f"{shown(value)} is not an amount.", "Pass a finite number that is 0 or more.")
    return None
