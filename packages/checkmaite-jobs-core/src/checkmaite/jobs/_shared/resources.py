"""What one run needs of a machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import field, frozen
from checkmaite.jobs._shared.deprecation import deprecated
from checkmaite.jobs._shared.labels import placement
from checkmaite.jobs._shared.problems import Problem, nearest_name, unknown_name
from checkmaite.jobs._shared.values import as_float, as_whole, is_finite, shown, with_article

_AMOUNTS = ("num_cpus", "num_gpus", "memory")
_PLACEMENT = ("labels", "fallback", "wait_for_first")
_KEYS = (*_AMOUNTS, "custom", "share_gpus", "short", *_PLACEMENT)
_LEAST = 0.0001
"""Ray counts in ten-thousandths: less would be nothing, and the job would run at once wherever it likes."""
_MOST = 10**14
"""Ray's counters overflow at nine times as much, and then take any number for nothing."""
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
        num_cpus: Logical CPUs; fractions allowed, in steps of 0.0001.
        num_gpus: GPUs; fractions allowed below 1.
        memory: Bytes of memory to reserve; None reserves none.
        custom: Amounts of the cluster's own resources, by name.
        share_gpus: Whether a job that reserves no GPU sees those of its machine all the same. It then shares them with
            the jobs that reserved them.
        short: Whether the job takes well under a second, as far as its submitter knows. A backend may have one worker
            process run several such jobs one after the other. One that takes long all the same is no fault.
        labels: What the node's labels have to be, by key: a value, ``!value`` for any other or none, ``in(a,b)`` or
            ``!in(a,b)``.
        fallback: Labels of other nodes that will do where the job finds no room on the first, in this order.
        wait_for_first: Whether nodes with `labels` are waited for while there are any, however busy they are.
    """

    num_cpus: float = 1
    num_gpus: float = 0
    memory: int | None = None
    custom: Mapping[str, float] = field(factory=dict, hash=False)
    share_gpus: bool = False
    short: bool = False
    labels: Mapping[str, str] = field(factory=dict, hash=False)
    fallback: Sequence[Mapping[str, str]] = field(default=(), hash=False)
    wait_for_first: bool = False


_LEAST_ASKED = Resources()
"""Of submissions that ask for nothing; what many jobs have in common travels once."""


def resources_over(
    before: Resources | Mapping[str, Any] | None, given: Resources | Mapping[str, Any] | None
) -> Resources | Mapping[str, Any] | None:
    """The resources of a job that is run again: what a mapping does not name stays as it was."""
    if given is None:
        return before
    if before is None or not isinstance(given, Mapping):
        return given
    known = {name: getattr(before, name) for name in _KEYS} if isinstance(before, Resources) else before
    return {**known, **given}


def resolve_resources(
    requested: object, *, config: object = None, capability: object = None
) -> tuple[Resources, list[Problem]]:
    """The resources of one submission, and what is wrong with them.

    Each amount is taken from the first of: `requested` (a mapping or a `Resources`), ``config.num_cpus`` and
    ``config.num_gpus`` (attributes or keys), ``capability.default_num_cpus`` and ``default_num_gpus``, 1 CPU and 0
    GPUs. Problems have paths that start with ``resources``.
    """
    if isinstance(requested, Resources):
        given: Mapping[str, Any] = {name: getattr(requested, name) for name in _KEYS}
    elif requested is None:
        given = {}
    elif isinstance(requested, Mapping):
        given = requested
    else:
        wrong = f"expected a mapping or a Resources, got {type(requested).__name__}."
        return Resources(), [Problem("resources", wrong, 'Pass, for example, resources={"num_cpus": 2}.')]

    loose = {key: value for key, value in given.items() if key not in _KEYS} if given else {}
    meant = {key: value for key, value in loose.items() if isinstance(key, str) and _is_of_the_cluster(key)}
    problems = [_unknown_key(str(key)) for key in loose if key not in meant]
    amounts: dict[str, Any] = {}
    for key in _AMOUNTS:
        try:
            path, value = _first_given(key, given, config, capability)
        except Exception as error:  # noqa: BLE001 - a property of the user's may raise anything
            cause = f"cannot be read: {type(error).__name__}: {error}."
            remedy = (
                f"Mend the property of the config or the capability that gives it, or pass resources={{{key!r}: ...}}."
            )
            problems.append(Problem(f"resources.{key}", cause, remedy))
            continue
        if value is None:
            continue
        problem = amount_problem(path, value, whole=key == "memory", shared_below_1=key == "num_gpus")
        if problem:
            problems.append(problem)
        else:
            amounts[key] = _plain(value)
    if not (given or problems):
        return (Resources(**amounts) if amounts else _LEAST_ASKED), []
    custom, faults = _custom(given, meant)
    problems += faults
    problems += [each.below("resources.custom") for each in custom_problems(custom)]
    shares = False if given.get("share_gpus") is None else given["share_gpus"]
    short = False if given.get("short") is None else given["short"]
    place, faults = placement(given)
    problems += [*_bad_sharing(shares, amounts.get("num_gpus", 0)), *_bad_shortness(short), *faults]
    if problems:
        return Resources(), problems
    plain = {name: _plain(value) for name, value in custom.items()}
    return Resources(**amounts, custom=plain, share_gpus=shares, short=short, **place), []


def _custom(given: Mapping[str, Any], loose: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Problem]]:
    """Amounts of the cluster's own resources, those that stand beside the known ones included."""
    custom = given.get("custom") or {}
    if not isinstance(custom, Mapping):
        cause = f"expected a mapping of names to amounts, got {type(custom).__name__}."
        return {}, [Problem("resources.custom", cause, 'Pass, for example, resources={"custom": {"fpga": 1}}.')]
    if loose:
        meant = ", ".join(f"{key!r}: {shown(amount)}" for key, amount in loose.items())
        deprecated(
            f'resources of the cluster\'s own have a place of their own: write resources={{"custom": {{{meant}}}}}.'
        )
    return {**loose, **custom}, []


def _bad_sharing(value: object, num_gpus: float) -> list[Problem]:
    if not isinstance(value, bool):
        cause = f"expected True or False, got {value!r}."
    elif value and num_gpus > 0:
        cause = f"the job reserves {num_gpus:g} GPUs and sees those."
    else:
        return []
    return [
        Problem("resources.share_gpus", cause, 'Pass resources={"num_gpus": 0, "share_gpus": True}, or leave it out.')
    ]


def _bad_shortness(value: object) -> list[Problem]:
    if isinstance(value, bool):
        return []
    cause = f"expected True or False, got {value!r}."
    return [Problem("resources.short", cause, 'Pass resources={"short": True}, or leave it out.')]


def _is_of_the_cluster(key: str) -> bool:
    """Whether a name beside the known ones means a resource of the cluster's own, and none of them misspelt."""
    return key not in _NOT_CUSTOM and nearest_name(key.lower(), _KEYS) is None


def _unknown_key(key: str) -> Problem:
    problem = unknown_name(f"resources.{key}", key, _KEYS, what="resource")
    hint = f' The cluster\'s own resources go below custom: resources={{"custom": {{{key!r}: 1}}}}.'
    return Problem(problem.path, problem.cause, problem.remedy + hint)


def custom_problems(custom: Mapping[Any, Any]) -> list[Problem]:
    """What is wrong with amounts of a cluster's own resources, each with the resource's name as its path."""
    problems = [problem for name, value in custom.items() if (problem := _bad_custom(name, value))]
    problems += [
        Problem(name, "is no resource of the cluster's own.", remedy)
        for name, remedy in _NOT_CUSTOM.items()
        if name in custom
    ]
    return problems


def _first_given(key: str, given: Mapping[str, Any], config: object, capability: object) -> tuple[str, Any]:
    if given.get(key) is not None:
        return f"resources.{key}", given[key]
    if key == "memory":
        return f"resources.{key}", None
    value = config.get(key) if type(config) is dict or isinstance(config, Mapping) else _attribute(config, key)
    if value is not None:
        return f"config.{key}", value
    name = f"default_{key}"
    return f"capability.{name}", _attribute(capability, name)


def _attribute(owner: object, name: str) -> Any:
    """What an object of the user's says; of a class given instead of an object nothing, which is said elsewhere."""
    return None if isinstance(owner, type) else getattr(owner, name, None)


def _bad_custom(name: object, value: object) -> Problem | None:
    if not isinstance(name, str):
        cause = f"the name {name!r} is {with_article(type(name).__name__)}, not text."
        return Problem("", cause, 'Pass names as text: resources={"custom": {"fpga": 1}}.')
    if not name.strip() or not name.isprintable():
        cause = f"{name!r} is not a printable name."
        return Problem("", cause, 'Name the resource: resources={"custom": {"fpga": 1}}.')
    return amount_problem(name, value)


def amount_problem(path: str, value: object, *, whole: bool = False, shared_below_1: bool = False) -> Problem | None:
    """What is wrong with an amount of a resource, if anything.

    Args:
        path: Where it was given.
        value: What was given.
        whole: Whether it is a number of bytes.
        shared_below_1: Whether several can share one of it, but nobody gets one and a share of another.
    """
    number: float | None = as_whole(value)
    if number is None and not whole:
        number = as_float(value)
    if number is None:
        wanted = "a whole number of bytes" if whole else "a number"
        return Problem(path, f"expected {wanted}, got {shown(value)}.", "Pass a number that is 0 or more.")
    if not is_finite(number) or number < 0:
        return Problem(path, f"{shown(value)} is not an amount.", "Pass a finite number that is 0 or more.")
    if 0 < number < _LEAST:
        cause = f"{shown(value)} is less than can be reserved."
        return Problem(path, cause, f"Pass 0, or {_LEAST} and more.")
    if number > _MOST:
        return Problem(path, f"{shown(value)} is more than any cluster has.", f"Pass at most {_MOST:g}.")
    if shared_below_1 and number > 1 and number != int(number):
        cause = f"{shown(value)} is neither a share of one GPU nor a whole number of them."
        return Problem(path, cause, "Pass a number up to 1, or a whole number.")
    return None


def _plain(value: Any) -> Any:
    """A number of any kind as one of Python's own: it travels to processes that may not have NumPy."""
    whole = as_whole(value)
    return as_float(value) if whole is None else whole
