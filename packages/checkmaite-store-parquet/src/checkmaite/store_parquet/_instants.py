"""What the store held at an instant, by what results say of themselves."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache, partial

from checkmaite.jobs.spi import ColumnType, ObjectStore
from checkmaite.store_parquet._foreign import written_by
from checkmaite.store_parquet._moments import Moment
from checkmaite.store_parquet._reading import CommittedRuns, columns_of


def moment_at(objects: ObjectStore, instant: datetime) -> Moment:
    """The results that were committed until an instant, by the clocks of their writers.

    Writers say when just before they create the commit, and never before their table got the columns that they fill.
    """

    @cache
    def columns(table: str) -> Mapping[str, ColumnType]:
        return columns_of(objects, table, has_files=True, until=instant)

    return Moment(
        words=f"what was there at {instant.isoformat()}",
        commits=CommittedRuns(objects, revision="all").commits_until(instant),
        sees=partial(written_by, instant=instant),
        columns=columns,
    )
