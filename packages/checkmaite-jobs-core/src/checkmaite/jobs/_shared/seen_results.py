"""What a store shows at one moment, and what of that its parts have in common. For authors of stores."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Literal, Protocol

from checkmaite.jobs._shared.errors import StoreNotFoundError
from checkmaite.jobs._shared.problems import nearest_name
from checkmaite.jobs._shared.store_protocols import Tag

Revision = int | Literal["all"] | None
"""Of each run the newest result when None, else the one of this number; ``"all"`` for every one."""

AsOf = datetime | str | None
"""A moment: an aware datetime, or the name of a tag; None for now."""


class StoreTags(Protocol):
    """The tags of a store."""

    def make(self, name: str) -> Tag:
        """See `KeepsHistory.tag`."""
        ...

    def all(self) -> list[Tag]:
        """The tags, oldest first."""
        ...

    def delete(self, name: str) -> None:
        """See `KeepsHistory.delete_tag`."""
        ...


class SeenResults(Protocol):
    """Results that are seen at one moment: one consistent view of all tables."""

    def tables(self) -> list[str]:
        """Tables with rows of these results, sorted; ``runs`` is one when there is any."""
        ...

    def dataset(self, name: str) -> Any:
        """A ``pyarrow.dataset.Dataset`` over their rows in a table.

        Raises:
            StoreNotFoundError: None of them has any.
        """
        ...

    def no_rows(self, name: str) -> Any:
        """The same of a table in which none of them has rows, though others have."""
        ...

    def count_runs(self, name: str) -> int:
        """How many of them have rows in a table."""
        ...

    def in_order(self, name: str, dataset: Any, columns: list[str] | None, limit: int | None) -> Any:
        """Rows of a table, as a ``pyarrow.Table``, in an order that does not follow from where they are kept."""
        ...

    def reading(self, name: str, dataset: Any) -> AbstractContextManager[None]:
        """Within it, what reading a dataset raises is told as about the table."""
        ...


def not_there(
    kind: Literal["table", "tag"], name: str, known: Sequence[str], *, root: str, uri: str
) -> StoreNotFoundError:
    """The error that a store has no such table or tag, with the nearest name and all there are."""
    near = nearest_name(name, known)
    meant = f" Did you mean {near!r}?" if near else ""
    there = ", ".join(known) or "none"
    text = f"there is no {kind} {name!r} in {root}.{meant} {kind.capitalize()}s: {there}."
    return StoreNotFoundError(text, uri=uri)
