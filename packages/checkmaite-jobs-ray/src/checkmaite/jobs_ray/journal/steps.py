"""What the journal asks of its surroundings. Logic yields one of these, and is sent the reply or thrown the error."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

from checkmaite.jobs import StoreError

T = TypeVar("T")


class Create(NamedTuple):
    """Create an object exclusively. Reply: True when this made it, False when it was there."""

    key: str
    content: bytes | memoryview


class Read(NamedTuple):
    """Read an object. Reply: its content, None when there is none."""

    key: str


class Exists(NamedTuple):
    """See whether an object is there. Reply: True or False."""

    key: str


class ReadMany(NamedTuple):
    """Read objects, in any order, at any time until the reply. Reply: a list like that of `Read`'s replies."""

    keys: Sequence[str]


class Names(NamedTuple):
    """List a folder. Reply: at least the names that are there all the while."""

    folder: str


class Delete(NamedTuple):
    """Delete objects, in any order; one that is not there is fine. No reply."""

    keys: Sequence[str]


class Pause(NamedTuple):
    """Let time pass before the next try. No reply.

    Attributes:
        seconds: How long.
        cause: Why: what the last try met; None when the store contradicted itself.
    """

    seconds: float
    cause: StoreError | None


Request: TypeAlias = Create | Read | Exists | ReadMany | Names | Delete | Pause
Steps: TypeAlias = Generator[Request, Any, T]
"""Logic that needs storage calls to come to its result."""
