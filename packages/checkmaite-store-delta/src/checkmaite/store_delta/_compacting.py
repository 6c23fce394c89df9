"""Few large files in place of many small ones, and nothing left of attempts that came to nothing.

One commit takes the small files away and adds the large one. It has the application id of all rewrites, by which the
library refuses the second of two; without it both would succeed, and leave every row twice (see `_tables`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from attrs import frozen
from checkmaite.store_delta._columns import ATTEMPT, ROW, RUNS
from checkmaite.store_delta._errors import telling
from checkmaite.store_delta._reading import ChosenRuns
from checkmaite.store_delta._tables import Tables
from checkmaite.store_delta._writing import ATTEMPT_LIMIT_S, attempts_since
from deltalake import DeltaTable

SMALL_BYTES = 16 * 1024 * 1024
"""A file from this size on is left as it is."""
BATCH_BYTES = 2 * SMALL_BYTES
"""So much is in memory at once, before it is decoded."""
WORTH_COMPACTING = 100
"""So many small files in one table readers notice."""
_TRIES = 3


@frozen(kw_only=True)
class Compaction:
    """What a compaction has done.

    Attributes:
        files: How many files have been replaced.
        lost_rows: Rows of attempts that came to nothing, which are in no file any more.
        given_up: Tables to which others wrote each time meanwhile; they are as they were.
    """

    files: int
    lost_rows: int
    given_up: Sequence[str] = ()


@frozen(kw_only=True)
class Backlog:
    """What has gathered since the last compaction.

    Attributes:
        files: How many small files the table has that has most.
    """

    files: int

    @property
    def is_worth_compacting(self) -> bool:
        """Whether there are enough of them for readers to notice."""
        return self.files >= WORTH_COMPACTING


class Compactor:
    """Compacts a store. Any number may do so at once, beside writers and readers.

    Args:
        tables: The tables of the store.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def backlog(self) -> Backlog:
        """What has gathered."""
        counts = [self._small(name, table).num_rows for name in self._names() if (table := self._tables.open(name))]
        return Backlog(files=max(counts, default=0))

    def compact(self) -> Compaction:
        """Compact every table."""
        files, lost_rows, given_up = 0, 0, []
        for name in self._names():
            tries = _TRIES
            while tries and (done := self._compact(name)) != (0, 0):
                if done is None:
                    tries -= 1
                else:
                    files, lost_rows = files + done[0], lost_rows + done[1]
            if not tries:
                given_up.append(name)
        return Compaction(files=files, lost_rows=lost_rows, given_up=tuple(given_up))

    def _names(self) -> list[str]:
        return ChosenRuns(self._tables, revision="all").tables()

    def _small(self, name: str, table: DeltaTable) -> pa.Table:
        """The small files of a table."""
        with telling(self._tables.objects, name):
            files = pa.table(table.get_add_actions(flatten=True))
            return files.filter(pc.field("size_bytes") < SMALL_BYTES).sort_by("min." + ATTEMPT)

    def _compact(self, name: str) -> tuple[int, int] | None:
        """Compact some files of one table: how many are gone, and how many lost rows; None when others were first."""
        table = self._tables.open(name)
        files = self._small(name, table).to_pylist() if table is not None else []
        if table is None or len(files) < 2:
            return 0, 0
        files = files[: max(2, sum(size <= BATCH_BYTES for size in accumulate(each["size_bytes"] for each in files)))]
        # Read after the table: what was in it then and is no result yet may still become one for some time.
        stays = self._stays(name)
        with telling(self._tables.objects, name):
            found = self._tables.dataset(table)
            paths = {each["path"] for each in files}
            fragments = [each for each in found.get_fragments() if each.path in paths]
            rows = ds.FileSystemDataset(fragments, found.schema, found.format, found.filesystem)
            kept = rows.to_table(filter=stays).sort_by([(ATTEMPT, "ascending"), (ROW, "ascending")])
            if not self._tables.replace(name, table, files, kept):
                return None
            return len(files) - 1, rows.count_rows() - kept.num_rows

    def _stays(self, name: str) -> ds.Expression | None:
        """Which rows of a table are of results, or of attempts that may become some; None of ``runs``: all of them."""
        if name == RUNS:
            return None
        results = ChosenRuns(self._tables, revision="all").attempts(name)
        recent = attempts_since(datetime.now(UTC) - timedelta(seconds=2 * ATTEMPT_LIMIT_S))
        return ds.field(ATTEMPT).isin(results) | (ds.field(ATTEMPT) >= recent)
