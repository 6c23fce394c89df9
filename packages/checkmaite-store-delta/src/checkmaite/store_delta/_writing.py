"""Writing one result of a run: rows into each table first, then the commit to ``runs`` that makes them visible."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

import pyarrow as pa
from checkmaite.jobs import CapabilityRun, Problem, Provenance, RecordError, Report, StoreUnavailableError, WriteReceipt
from checkmaite.jobs.spi import ColumnType, TableRows, fitted, outputs_uri_of, twin_table, unwidened, wanting_floats
from checkmaite.store_delta._columns import arrow_rows, arrow_runs, arrow_schema, facts_of
from checkmaite.store_delta._runs import Result, Runs, rows_uri
from checkmaite.store_delta._tables import Tables
from deltalake import DeltaTable

ATTEMPT_LIMIT_S = 3600
"""So long after it has begun an attempt may still become visible; what is older and is not, is of no use to anybody."""


def new_attempt() -> str:
    """A token of one call of a writer; tokens sort by the time. Statistics keep so many characters."""
    return f"{attempts_since(datetime.now(UTC))}-{secrets.token_hex(7)}"


def attempts_since(instant: datetime) -> str:
    """What no token of an attempt from this instant on sorts before."""
    return f"{instant:%Y%m%dT%H%M%S}"


class RunWriter:
    """Writes one attempt's result of a run; used once.

    Args:
        tables: The tables of the store.
        runs: Its results.
        run: The run.
        rows: Its rows.
        provenance: Where it came from.
        report: Its report.
    """

    def __init__(
        self,
        tables: Tables,
        runs: Runs,
        run: CapabilityRun,
        rows: Sequence[TableRows],
        provenance: Provenance,
        report: Report | None,
    ) -> None:
        self._tables = tables
        self._runs = runs
        self._run_uid = run.run_uid
        self._rows = rows
        self._event = provenance.run_event_id
        self._attempt = new_attempt()
        self._begun = time.monotonic()
        self._said = arrow_runs(run, rows, provenance, facts_of(report, outputs_uri_of(run)), self._attempt)
        self._placed = False

    def write(self) -> WriteReceipt:
        """Store the result unless the run has one."""
        table = self._runs.open()
        if not self._runs.newest(self._run_uid, table) and self._wins(1, table):
            return self._receipt(1)
        return self._receipt_of(self._found())

    def supersede(self) -> WriteReceipt:
        """Store the result as the run's next revision, unless an earlier attempt of this execution has done so."""
        found = self._runs.find(self._run_uid, run_event_id=self._event)
        while found is None or not self._is_mine(found):
            table = self._runs.open()
            revision = self._runs.newest(self._run_uid, table) + 1
            if self._wins(revision, table):
                return self._receipt(revision)
            found = self._runs.find(self._run_uid, revision=revision)
        return self._receipt_of(found)

    def _found(self) -> Result:
        found = self._runs.find(self._run_uid, run_event_id=self._event)
        assert found is not None, "a result that was there is never taken away"
        return found

    def _is_mine(self, found: Result) -> bool:
        return self._event is not None and found.stored.provenance.run_event_id == self._event

    def _wins(self, revision: int, table: DeltaTable | None) -> bool:
        """Store the result under this number; False when another is there."""
        self._place_rows()
        if time.monotonic() > self._begun + ATTEMPT_LIMIT_S:
            uri = self._tables.objects.root
            raise StoreUnavailableError(f"{uri}: the write took longer than {ATTEMPT_LIMIT_S:,} s. Try again.", uri=uri)
        if self._runs.commit(self._run_uid, revision, self._said, table):
            return True
        winner = self._runs.find(self._run_uid, revision=revision)
        return winner is not None and winner.attempt == self._attempt  # then the reply to its commit was lost

    def _place_rows(self) -> None:
        """Append the rows to their tables, where nobody sees them yet. All of them fit before any is appended."""
        if self._placed:
            return
        there = [self._tables.open(table.name) for table in self._rows]
        self._fitting(
            [(rows, self._tables.columns(rows.name, table)) for rows, table in zip(self._rows, there, strict=True)]
        )
        self._spell([rows.name for rows, table in zip(self._rows, there, strict=True) if table is None])
        for rows, table in zip(self._rows, there, strict=True):
            if table is None:
                self._tables.create(rows.name, arrow_schema(rows.columns))
            self._tables.append(rows.name, self._attempt, 1, partial(self._fit, rows), table=table)
        self._placed = True

    def _spell(self, new: Sequence[str]) -> None:
        """See that no other table has one of these names but for its case, and that none will have."""
        for spelling_of in (self._tables.spelling_of, self._tables.settled_spelling_of):
            if problems := [twin_table(name, twin) for name in new if (twin := spelling_of(name)) != name]:
                raise self._misfit(problems)

    def _fit(self, table: TableRows, there: DeltaTable) -> pa.Table | None:
        """The rows for a table as it is; None when its columns of whole numbers had to become floats first."""
        known = self._tables.columns(table.name, there)
        (fit,) = self._fitting([(table, known)])
        if wanted := wanting_floats(fit, known):
            self._tables.widen(table.name, dict.fromkeys(wanted, ColumnType.FLOAT))
            return None
        return arrow_rows(fit, self._attempt)

    def _fitting(self, pairs: Sequence[tuple[TableRows, Mapping[str, ColumnType]]]) -> list[TableRows]:
        fits, problems = [], []
        for table, known in pairs:
            fit, faults = fitted(table, known)
            fits.append(fit)
            problems += faults
            problems += [
                unwidened(table.name, name)
                for name in wanting_floats(fit, known)
                if not self._tables.holds_only_exact(table.name, name)
            ]
        if problems:
            raise self._misfit(problems)
        return fits

    def _misfit(self, problems: Sequence[Problem]) -> RecordError:
        uri = self._tables.objects.root
        return RecordError("The run does not fit the tables; nothing of it can be read.", problems, uri=uri)

    def _receipt(self, revision: int) -> WriteReceipt:
        uri = rows_uri(self._tables.uri_of(self._rows[0].name), self._run_uid, revision)
        return self._told(revision, uri, created=True)

    def _receipt_of(self, found: Result) -> WriteReceipt:
        ref = found.stored.ref
        return self._told(ref.revision, ref.store_uri, created=False)

    def _told(self, revision: int, store_uri: str | None, *, created: bool) -> WriteReceipt:
        return WriteReceipt(
            run_uid=self._run_uid,
            revision=revision,
            store_uri=store_uri,
            created=created,
            rows={table.name: len(table.rows) for table in self._rows},
        )
