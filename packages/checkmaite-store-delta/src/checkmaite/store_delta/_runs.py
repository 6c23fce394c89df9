"""The results of runs, as the table ``runs`` says: its commits are the point of truth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
from attrs import frozen
from checkmaite.jobs import CapabilityRunRef, Provenance, Report, StoreCorruptError, StoreError
from checkmaite.jobs.spi import StoredRun, object_name, provenance_columns
from checkmaite.store_delta._columns import ATTEMPT, FACTS, REVISION, ROW, RUN, RUNS, RUNS_SCHEMA, TABLE, renumbered
from checkmaite.store_delta._errors import telling
from checkmaite.store_delta._tables import Tables
from deltalake import DeltaTable


@frozen(kw_only=True)
class Result:
    """One result of a run, and the attempt that stored it."""

    stored: StoredRun
    attempt: str


class Runs:
    """Commits results, and finds them.

    The results of a run are numbered by the transaction identifiers of its own application id, so that the library
    refuses the second of two results of one number.

    Args:
        tables: The tables of the store.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def open(self) -> DeltaTable | None:
        """The table as it is now; None before the first result."""
        return self._tables.open(RUNS)

    def commit(self, run_uid: str, revision: int, rows: pa.Table, table: DeltaTable | None) -> bool:
        """Make a result visible, unless there is one of its number; whether this call did.

        Args:
            run_uid: The run.
            revision: The number.
            rows: Its rows in ``runs``.
            table: The table as it was a moment ago.
        """
        if table is None:
            self._tables.create(RUNS, RUNS_SCHEMA)
        given = renumbered(rows, revision)
        return self._tables.append(RUNS, _app_id(run_uid), revision, lambda _: given, table=table)

    def newest(self, run_uid: str, table: DeltaTable | None) -> int:
        """The number of a run's newest result; 0 when the table holds none."""
        if table is None:
            return 0
        with telling(self._tables.objects, RUNS):
            return table.transaction_version(_app_id(run_uid)) or 0

    def find(self, run_uid: str, *, revision: int | None = None, run_event_id: str | None = None) -> Result | None:
        """A result of a run: of this number, or of this execution if it has stored one, else the newest."""
        table = self.open()
        newest = self.newest(run_uid, table)
        if table is None or not newest or (revision or 1) > newest:
            return None
        results = self._results(table, run_uid)
        if revision is None and run_event_id is not None:
            for result in results.values():
                if result.stored.provenance.run_event_id == run_event_id:
                    return result
        wanted = newest if revision is None else revision
        if wanted not in results:
            uri = self._tables.uri_of(RUNS)
            raise StoreCorruptError(
                f"{uri}: it says that there is revision {wanted} of the run {run_uid!r}, and has no rows of it. "
                "Restore the table from a backup.",
                uri=uri,
            )
        return results[wanted]

    def _results(self, table: DeltaTable, run_uid: str) -> dict[int, Result]:
        """The results of a run by their numbers, the first one first."""
        with telling(self._tables.objects, RUNS):
            dataset = self._tables.dataset(table, [(RUN, "=", run_uid)])
            rows = dataset.to_table(filter=ds.field(RUN) == run_uid).sort_by(
                [(REVISION, "ascending"), (ROW, "ascending")]
            )
        found: dict[int, Result] = {}
        for row in rows.to_pylist():
            if row[ROW] == 0:
                found.setdefault(row[REVISION], self._result(row))
        return found

    def _result(self, row: Mapping[str, Any]) -> Result:
        uri = self._tables.uri_of(RUNS)
        try:
            facts = json.loads(row[FACTS])
            report = Report(**facts["report"]) if facts["report"] is not None else None
            ref = CapabilityRunRef(
                run_uid=row[RUN],
                revision=row[REVISION],
                capability_id=row["capability_id"],
                store_uri=rows_uri(self._tables.uri_of(row[TABLE]), row[RUN], row[REVISION]),
                outputs_uri=facts["outputs_uri"],
                report=report,
            )
            provenance = Provenance(**{name: row[name] for name in provenance_columns()})
            stored = StoredRun(ref=ref, provenance=provenance, created_at=row["created_at"])
            return Result(stored=stored, attempt=row[ATTEMPT])
        except (LookupError, TypeError, ValueError) as error:
            if isinstance(error, StoreError):
                raise
            raise StoreCorruptError(
                f"{uri}: what it says of the run {row[RUN]!r} is no result ({type(error).__name__}). Restore the "
                "table from a backup.",
                uri=uri,
            ) from error


def rows_uri(table_uri: str, run_uid: str, revision: int) -> str:
    """What names the rows of a result: the table to open, and after ``#`` the run, as `object_name` writes it."""
    return f"{table_uri}#{object_name(run_uid)}{f'!{revision}' if revision > 1 else ''}"


def _app_id(run_uid: str) -> str:
    return f"checkmaite/run/{run_uid}"
