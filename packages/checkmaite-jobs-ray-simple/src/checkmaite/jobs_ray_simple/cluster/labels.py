"""Which nodes have the labels that a job asks for, as Ray decides it, and why none has them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from checkmaite.jobs import Resources
from checkmaite.jobs.spi import nearest_name

Labels = Mapping[str, str]
_OF_RAY = "ray.io/node-id"
"""Every node has this one, and each another value."""
_MOST_SHOWN = 8


def choices_of(wanted: Resources) -> Sequence[Labels]:
    """The labels that will do, the first choice first; empty ones mean any node."""
    return [wanted.labels, *wanted.fallback]


def meets(node: Labels, selector: Labels) -> bool:
    """Whether a node with these labels will do."""
    return all(_allows(said, node.get(key)) for key, said in selector.items())


def no_such_node(choices: Sequence[Labels], nodes: Sequence[Labels]) -> str:
    """Why none of these nodes will do, as sentences."""
    asked = " or ".join(" and ".join(f"{key}={said}" for key, said in each.items()) for each in choices)
    there: defaultdict[str, set[str]] = defaultdict(set)
    for node in nodes:
        for key, value in node.items():
            if key != _OF_RAY:
                there[key].add(value)
    if not there:
        return f"It asks for {asked}, and no node has labels but Ray's own: `ray start --labels` gives a node some."
    near = "".join(f" Did you mean {each}?" for each in _nearest(choices, there))
    known = "; ".join(f"{key}: {_few(sorted(values))}" for key, values in sorted(there.items())[:_MOST_SHOWN])
    return f"It asks for {asked}, and no node has these labels.{near} There are: {known}."


def _allows(said: str, value: str | None) -> bool:
    wanted = said.removeprefix("!")
    values = wanted[3:-1].split(",") if wanted.startswith("in(") else [wanted]
    return (value in [each.strip() for each in values]) != said.startswith("!")


def _nearest(choices: Iterable[Labels], there: Mapping[str, set[str]]) -> Iterable[str]:
    for key, said in ((key, said) for each in choices for key, said in each.items()):
        if key not in there:
            if (near := nearest_name(key, there)) is not None:
                yield f"the key {near!r}"
            continue
        # Values are names of models and places: those that differ in more than this are others.
        yield from (f"{key}={value}" for value in sorted(there[key]) if value != said and _plain(value) == _plain(said))


def _plain(value: str) -> str:
    return re.sub("[-_.]", "", value).casefold()


def _few(values: Sequence[str]) -> str:
    more = f" and {len(values) - _MOST_SHOWN} more" if len(values) > _MOST_SHOWN else ""
    return ", ".join(values[:_MOST_SHOWN]) + more
