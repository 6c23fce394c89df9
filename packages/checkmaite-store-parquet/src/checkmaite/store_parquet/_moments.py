"""What a store held at one moment: a choice among the objects that it holds now, since none of them ever changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pyarrow as pa
from attrs import field, frozen
from checkmaite.jobs.spi import ColumnType


@frozen(kw_only=True)
class Moment:
    """What is seen as of a moment.

    Attributes:
        words: How messages name it, such as ``the tag 'report'``.
        commits: Names in ``runs/`` of the commits, each once: of results in copies alone, too.
        sees: Whether a file of the CheckMAITE package's store was there, by its key.
        columns: The columns that a table had, in their order; none of a table of which nothing was known.
    """

    words: str
    commits: pa.Array = field(repr=False)
    sees: Callable[[str], bool] = field(repr=False)
    columns: Callable[[str], Mapping[str, ColumnType]] = field(repr=False)
