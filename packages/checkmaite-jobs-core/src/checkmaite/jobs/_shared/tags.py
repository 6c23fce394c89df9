"""Tags of a job: names and texts that its submitter chose, to find it by."""

from __future__ import annotations

from collections.abc import Mapping

from checkmaite.jobs._shared.naming import plain_text
from checkmaite.jobs._shared.problems import Problem
from checkmaite.jobs._shared.values import shown

Tags = tuple[tuple[str, str], ...]
"""Pairs of a name and a text, in the order of the names."""

MOST_TAGS = 32
NAME_BYTES = 64
VALUE_BYTES = 255
_EXAMPLE = 'Pass, for example, tags={"team": "vision", "sweep": "12"}.'


def checked_tags(given: object) -> tuple[Tags, list[Problem]]:
    """Tags as they are kept, and what is wrong with them; paths begin with ``tags``."""
    if given is None:
        return (), []
    if not isinstance(given, Mapping):
        return (), [Problem("tags", f"expected a mapping of names to texts, got {type(given).__name__}.", _EXAMPLE)]
    if len(given) > MOST_TAGS:
        remedy = "Leave some out; details belong in the config or in provenance."
        return (), [Problem("tags", f"there are {len(given)}; at most {MOST_TAGS} are allowed.", remedy)]
    problems = [problem for name, value in given.items() if (problem := _bad_tag(name, value)) is not None]
    if problems:
        return (), problems
    return tuple(sorted((plain_text(name), plain_text(value)) for name, value in given.items())), []


def _bad_tag(name: object, value: object) -> Problem | None:
    if not isinstance(name, str):
        return Problem("tags", f"the name {shown(name)} is no text.", _EXAMPLE)
    if not name.strip() or not name.isprintable() or "=" in name:
        return Problem("tags", f"{name!r} is no name of a tag.", "Use printable characters other than '='.")
    if len(name.encode()) > NAME_BYTES:
        return Problem("tags", f"the name {name[:20]!r}... has more than {NAME_BYTES} bytes.", "Shorten it.")
    path = f"tags.{name}"
    if not isinstance(value, str):
        return Problem(path, f"expected text, got {shown(value)}.", f"Pass str(...) of it. {_EXAMPLE}")
    if not value.isprintable():
        return Problem(path, f"{value!r} is not printable.", "Use printable characters; the text may be empty.")
    if len(value.encode()) > VALUE_BYTES:
        return Problem(path, f"the text has more than {VALUE_BYTES} bytes.", "Shorten it.")
    return None
