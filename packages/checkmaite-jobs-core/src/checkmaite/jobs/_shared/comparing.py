"""Writes fingerprints for travel and storage, reads them again, and compares those of two submissions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from checkmaite.jobs._shared.prints import Content, Fingerprints, ObjectPrint, differences, incomparable
from checkmaite.jobs._shared.reuse import RUN, Prints, Reuse, ReuseKind, ReusePolicy
from checkmaite.jobs._shared.stored import StoredRun

UNCOMPARED = ("all content: this analytics store keeps no fingerprints",)
"""What is unknown of a result in such a store."""

_json = json.JSONEncoder(sort_keys=True).encode
_CONFIG = '{"config": '
_NOT_RECORDED = "all content: no fingerprint was recorded"
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What reading fingerprints raises that nobody has written: then none were recorded."""


def prints_of(fingerprints: Fingerprints) -> Prints:
    """Fingerprints as they travel."""
    config = _json({"config": fingerprints.config.to_plain()})
    code = _code_text(fingerprints.code, tuple(sorted(fingerprints.distributions.items())), fingerprints.scheme)
    return code, _state_text(fingerprints.capability), config, _objects_text(tuple(fingerprints.objects))


@lru_cache(maxsize=256)
def _code_text(code: Content, distributions: tuple[tuple[str, str], ...], scheme: int) -> str:
    return _json({"code": code.to_plain(), "distributions": dict(distributions), "scheme": scheme})


@lru_cache(maxsize=256)
def _state_text(capability: Content) -> str:
    return _json({"capability": capability.to_plain()})


@lru_cache(maxsize=256)
def _objects_text(objects: tuple[ObjectPrint, ...]) -> str:
    return _json({"objects": [each.to_plain() for each in objects]})


def fingerprints_from(prints: Sequence[str]) -> Fingerprints:
    """What `prints_of` was given.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, RecursionError: It has not made these.
    """
    return Fingerprints.from_plain({name: value for text in prints for name, value in json.loads(text).items()})


def prints_text(prints: Prints | None) -> str | None:
    """Fingerprints as one JSON text, for a column of a table; None where they are none."""
    try:
        entries = sorted(entry for text in prints or () for entry in _entries(text))
    except _UNREADABLE:
        return None
    if not entries:
        return None
    return f"{{{', '.join(entries)}}}"


def _entries(text: str) -> tuple[str, ...]:
    """The entries of a JSON object as text, without the braces."""
    return (text[1:-1],) if text.startswith(_CONFIG) else _known_entries(text)


@lru_cache(maxsize=256)
def _known_entries(text: str) -> tuple[str, ...]:
    """The same, of parts that most jobs have in common."""
    return tuple(f"{json.dumps(name)}: {json.dumps(each, sort_keys=True)}" for name, each in json.loads(text).items())


def prints_from_text(text: str | None) -> Prints | None:
    """What `prints_text` was given; None for a text that is none of it."""
    if text is None:
        return None
    try:
        return prints_of(Fingerprints.from_plain(json.loads(text)))
    except _UNREADABLE:
        return None


class Comparison(NamedTuple):
    """How what a result stands on compares with what is submitted.

    Attributes:
        differences: What differs, such as ``models[0] 'lenet': content``; empty when the result may be used again.
        unknown: What counts as equal because nothing is known of it.
    """

    differences: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@lru_cache(maxsize=1024)
def compared(old: Prints | None, new: Prints | None) -> Comparison:
    """Compare fingerprints; what is unknown on either side counts as equal, and is named."""
    if old is None or new is None:
        return Comparison(unknown=(_NOT_RECORDED,))
    after = fingerprints_from(new)
    try:
        before = fingerprints_from(old)
    except _UNREADABLE:
        return Comparison(unknown=(_NOT_RECORDED,))
    return Comparison(differences(before, after), incomparable(before, after))


def planned(found: StoredRun | None, policy: ReusePolicy, prints: Prints | None) -> Reuse:
    """What a stored result means for a run that is submitted."""
    if found is None:
        return RUN
    kind, comparison = ReuseKind.RUN, Comparison()
    if policy != "never":
        if policy != "always":
            comparison = compared(prints_from_text(found.provenance.fingerprints), prints)
        kind = ReuseKind.STALE if comparison.differences else ReuseKind.REUSED
    whose = found.provenance
    return Reuse(
        kind=kind,
        job_id=whose.job_id,
        at=whose.submitted_at or found.created_at,
        by=whose.user_id,
        differences=comparison.differences,
        unknown=comparison.unknown,
    )
