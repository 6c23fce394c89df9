"""The reference to an object that was published once, and what it becomes where it is unpickled or copied.

It travels inside the arguments of a job. Where a job's arguments are loaded it becomes the object itself; everywhere
else it stays a reference, so that it can be kept in a file, or used by another process that submits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import astuple, field, frozen

Open = Callable[["Staged"], Any]
"""Gives what stands in a reference's place."""

_open: ContextVar[Open | None] = ContextVar("checkmaite_open_staged", default=None)


@frozen(kw_only=True)
class StagedPrint:
    """What the fingerprint of whatever holds an object takes from it; see `checkmaite.jobs._submitters.fingerprint`.

    Attributes:
        digest: Its bytes.
        size: The objects that were met in it.
        modules: Where its classes and functions come from.
        notes: What is not in the digest, and why, by path.
        unread: What is told of files whose content does not count, by path.
        fields: Digests of its fields, by name.
    """

    digest: bytes
    size: int
    modules: frozenset[str]
    notes: Mapping[str, str] = field(hash=False)
    unread: Mapping[str, str] = field(hash=False)
    fields: Mapping[str, bytes] = field(hash=False)


@frozen(repr=False)
class Staged:
    """A small reference to an object that `stage` has published; it stands for the object in submissions.

    Attributes:
        digest: SHA-256 of the published content, in hexadecimal.
        size: Bytes of the published content.
        kind: The class of the object.
        place: Where it was published.
        name: Its folder there.
        metadata: The object's own, if it has any: its ``"id"`` names it in run keys and results.
        prints: How it counts in fingerprints, by the way in which they look at it.
    """

    digest: str
    size: int
    kind: str
    place: str
    name: str
    metadata: Mapping[str, Any] | None = field(default=None, eq=False)
    prints: Mapping[str, StagedPrint] = field(factory=dict, eq=False)

    def __repr__(self) -> str:
        return f"<Staged {self.kind}, {shown_size(self.size)}, sha256 {self.digest[:16]}, in {self.place}>"

    if not TYPE_CHECKING:  # to a type checker it has no other attributes

        def __getattr__(self, name: str) -> NoReturn:
            raise AttributeError(
                f"{self!r} is a reference, and has no {name!r}: only a job that it is submitted with has the object."
            )

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickled, astuple(self, recurse=False)

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return opened_or_itself(self)


def opened_or_itself(reference: Staged) -> Any:
    """The object, where a job's arguments are being loaded; elsewhere the reference."""
    opens = _open.get()
    return reference if opens is None else opens(reference)


def _unpickled(*values: Any) -> Any:
    return opened_or_itself(Staged(*values))


@contextmanager
def opening(opens: Open) -> Iterator[None]:
    """Within the block, references that are unpickled or copied become what `opens` gives for them."""
    token = _open.set(opens)
    try:
        yield
    finally:
        _open.reset(token)


def shown_size(size: int) -> str:
    """A number of bytes as people read it: ``2.1 GB``."""
    for unit, factor in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"
