"""A problem says what is wrong with something that a user gave: where, why, and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attrs import frozen
from checkmaite.jobs._shared.texts import shortened

_LISTED = 20
"""Problems that an error's text lists."""

_LISTED_BYTES = 2_000
"""What one of them may take."""


@frozen
class Problem:
    """One fault in a configuration or a submission.

    Attributes:
        path: Where it is, as the user wrote it: ``analytics_store.uri``, ``submissions[3].resources.num_cpus``.
        cause: What is wrong, in one sentence.
        remedy: What to do about it, in one sentence.
    """

    path: str
    cause: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.path}: {self.cause} {self.remedy}".strip()

    def below(self, parent: str) -> Problem:
        """The same problem with the name of the enclosing option put before its path."""
        if not parent:
            return self
        joint = "" if not self.path or self.path.startswith("[") else "."
        return Problem(f"{parent}{joint}{self.path}", self.cause, self.remedy)


def nearest_name(name: str, known: Iterable[str]) -> str | None:
    """The known name that `name` was most likely meant to be, if any is close."""
    from difflib import get_close_matches  # slow to import, and needed only for what is wrong

    matches = get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def unknown_name(path: str, name: str, known: Iterable[str], *, what: str = "option") -> Problem:
    """The problem of a name that nobody knows, with the nearest one that somebody does."""
    names = sorted(known)
    near = nearest_name(name, names)
    remedy = f"Did you mean {near!r}?" if near else f"Known: {', '.join(names) or 'none'}."
    return Problem(path, f"unknown {what} {name!r}.", remedy)


def listed(problems: Sequence[Problem]) -> str:
    """The problems as an indented list, one a line: the first of them, and how many more there are."""
    lines = [f"  - {shortened(str(problem), _LISTED_BYTES)}" for problem in problems[:_LISTED]]
    if len(problems) > _LISTED:
        lines.append(f"  - and {len(problems) - _LISTED:,} more")
    return "\n".join(lines)
