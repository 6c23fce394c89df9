"""Which nodes a job asks for by their labels, as a user writes it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from checkmaite.jobs._shared.problems import Problem
from checkmaite.jobs._shared.values import shown

_EXAMPLE = 'resources={"labels": {"ray.io/accelerator-type": "H200"}}'
_NAME = "[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_KEY = re.compile(rf"([A-Za-z0-9.-]{{1,253}}/)?{_NAME}")
_VALUE = re.compile(rf"!?({_NAME}|in\({_NAME}(, ?{_NAME})*\))")
_VALUES = 'Pass "VALUE", "!VALUE" for any other one, "in(A,B)" or "!in(A,B)".'


def placement(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """What ``resources`` says of labels: fields of `Resources`, and what is wrong with them."""
    labels, fallback, waits = (given.get(name) for name in ("labels", "fallback", "wait_for_first"))
    problems = _bad_labels("labels", {} if labels is None else labels)
    if fallback is not None and (isinstance(fallback, (str, bytes, Mapping)) or not isinstance(fallback, Sequence)):
        cause = f"expected a list of labels, got {shown(fallback)}."
        problems.append(Problem("fallback", cause, 'Pass a list: "fallback": [{"ray.io/accelerator-type": "A100"}].'))
        fallback = None
    for number, each in enumerate(fallback or ()):
        problems += _bad_labels(f"fallback[{number}]", each)
    if fallback and not labels:
        cause = "there are no labels that it could stand in for."
        problems.append(Problem("fallback", cause, f"Pass the first choice as labels: {_EXAMPLE}."))
    if waits is not None and not isinstance(waits, bool):
        cause = f"expected True or False, got {shown(waits)}."
        problems.append(Problem("wait_for_first", cause, 'Pass "wait_for_first": True, or leave it out.'))
    elif waits and not fallback:
        cause = "without a fallback a job waits for nodes with its labels anyway."
        problems.append(Problem("wait_for_first", cause, "Leave it out, or pass a fallback."))
    if problems:
        return {}, [each.below("resources") for each in problems]
    kept = {"labels": dict(labels or {}), "fallback": tuple(map(dict, fallback or ()))}
    return {**kept, "wait_for_first": bool(waits)}, []


def _bad_labels(path: str, given: object) -> list[Problem]:
    if not isinstance(given, Mapping):
        return [Problem(path, f"expected a mapping of labels, got {shown(given)}.", f"Pass, for example, {_EXAMPLE}.")]
    return [problem for key, value in given.items() if (problem := _bad_label(path, key, value))]


def _bad_label(path: str, key: object, value: object) -> Problem | None:
    if not isinstance(key, str) or not _KEY.fullmatch(key):
        cause = f"{shown(key)} is no key of a label."
        return Problem(path, cause, 'Keys are names, with a domain before them or none: "ray.io/market-type", "rack".')
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        cause = f"{shown(value)} is no value of a label, nor a choice of them."
        return Problem(f"{path}[{key!r}]", cause, _VALUES)
    return None
