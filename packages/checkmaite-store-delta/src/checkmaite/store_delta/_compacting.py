"""Few large files in place of many small ones, and nothing left of attempts that came to nothing.

Rows are written anew by an overwrite of the attempts that small files hold. The library refuses it when something came
between that concerns the same attempts; it does not refuse two of its own ``optimize`` (see `_tables`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from attrs import frozen
from checkmaite.store_delta._columns import ATTEMPT, RUNS
from checkmaite.store_delta._errors import telling
from checkmaite.store_delta._reading import ChosenRuns
from checkmaite.store_delta._tables import Tables
from checkmaite.store_delta._writing import ATTEMPT_LIMIT_S, attempts_since
from deltalake import DeltaTable

SMALL_BYTES = 32 * 1024 * 1024
"""A file from this size on is left as it is."""
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
            for _ in range(_TRIES):
                done = self._compact(name)
                if done is not None:
                    files, lost_rows = files + done[0], lost_rows + done[1]
                    break
            else:
                given_up.append(name)
        return Compaction(files=files, lost_rows=lost_rows, given_up=tuple(given_up))

    def _names(self) -> list[str]:
        return ChosenRuns(self._tables, revision="all").tables()

    def _small(self, name: str, table: DeltaTable) -> pa.Table:
        """The small files of a table."""
        with telling(self._tables.objects, name):
            files = pa.table(table.get_add_actions(flatten=True))
            return files.filter(pc.field("size_bytes") < SMALL_BYTES)

    def _compact(self, name: str) -> tuple[int, int] | None:
        """Compact one table: how many files are gone, and how many lost rows; None when others were first."""
        table = self._tables.open(name)
        small = self._small(name, table) if table is not None else None
        if table is None or small is None or small.num_rows < 2:
            return 0, 0
        # Read after the table: what was in it then and is no result yet may still become one for some time.
        stays = self._stays(name)
        attempts = pc.field(ATTEMPT)
        span = pc.call_function("min", [small["min." + ATTEMPT]]), pc.call_function("max", [small["max." + ATTEMPT]])
        first, last = (each.as_py() for each in span)
        concerned = (attempts >= first) & (attempts <= last)
        with telling(self._tables.objects, name):
            rows = self._tables.dataset(table)
            kept = concerned if stays is None else concerned & stays
            lost = 0 if stays is None else rows.count_rows(filter=concerned & ~stays)
            anew = rows.scanner(filter=kept).to_reader()
            before = len(table.file_uris())
            if not self._tables.replace(name, table, f"{ATTEMPT} >= '{first}' and {ATTEMPT} <= '{last}'", anew):
                return None
            return before - len(table.file_uris()), lost

    def _stays(self, name: str) -> ds.Expression | None:
        """Which rows of a table are of results, or of attempts that may become some; None of ``runs``: all of them."""
        if name == RUNS:
            return None
        results = ChosenRuns(self._tables, revision="all").attempts(name)
        recent = attempts_since(datetime.now(UTC) - timedelta(seconds=2 * ATTEMPT_LIMIT_S))
        return ds.field(ATTEMPT).isin(results) | (ds.field(ATTEMPT) >= recent)
