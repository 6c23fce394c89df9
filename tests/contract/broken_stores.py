"""Stores that break one promise each, and keep all others. `found_by` names the test that says so."""

from __future__ import annotations

import pickle
import re
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from attrs import evolve
from checkmaite.jobs import (
    ArgumentError,
    RecordError,
    StoreError,
    StoreNotFoundError,
    TableDescription,
    Tag,
    WriteReceipt,
)
from checkmaite.jobs.spi import StoredRun
from checkmaite.store_parquet import ParquetStore
from sample_store import SampleStore


class WritesTwice(ParquetStore):
    """Each write leaves another copy."""

    found_by = "test_the_first_write_wins"

    def write_with_receipt(self, run: Any, *, provenance: Any = None, **more: Any) -> WriteReceipt:
        receipt = super().write_with_receipt(run, provenance=provenance, **more)
        if not receipt.created and receipt.store_uri is not None:
            folder = Path(self.uri)
            for table in [*receipt.rows, "runs"]:
                copy = folder / table / f"{run.run_uid}-again.parquet"
                copy.write_bytes((folder / table / f"{run.run_uid}.parquet").read_bytes())
        return receipt


class ShowsTornRuns(ParquetStore):
    """A bad record leaves the good ones visible."""

    found_by = "test_a_bad_record_leaves_nothing[list]"

    def write_with_receipt(self, run: Any, *, provenance: Any = None, **more: Any) -> WriteReceipt:
        try:
            return super().write_with_receipt(run, provenance=provenance, **more)
        except RecordError:
            super().write_with_receipt(evolve(run, records=run.records[:1]), provenance=provenance, **more)
            raise


class TakesErrorsForEmpty(ParquetStore):
    """An unreadable store looks empty."""

    found_by = "test_an_error_is_not_taken_for_empty"

    def list_tables(self) -> list[str]:
        try:
            return super().list_tables()
        except StoreError:
            return []


class LastWriteWins(ParquetStore):
    """A later write of a run replaces the first."""

    found_by = "test_the_first_write_wins"

    def write_with_receipt(self, run: Any, *, provenance: Any = None, **more: Any) -> WriteReceipt:
        for file in Path(self.uri).glob(f"*/{run.run_uid}.parquet"):
            file.unlink()
        return super().write_with_receipt(run, provenance=provenance, **more)


class NamesTheNameless(ParquetStore):
    """A run without a uid is stored under one that nobody has given to it."""

    found_by = "test_a_run_that_nobody_could_name_leaves_nothing[empty]"

    def write_with_receipt(self, run: Any, *, provenance: Any = None, **more: Any) -> WriteReceipt:
        return super().write_with_receipt(evolve(run, run_uid=run.run_uid or "-"), provenance=provenance, **more)


class SwallowsBadRecords(ParquetStore):
    """A run that cannot be stored is dropped without a word."""

    found_by = "test_a_bad_record_leaves_nothing[list]"

    def write_with_receipt(self, run: Any, *, provenance: Any = None, **more: Any) -> WriteReceipt:
        try:
            return super().write_with_receipt(run, provenance=provenance, **more)
        except RecordError:
            return WriteReceipt(run_uid=run.run_uid, store_uri=None, created=False)


class DropsSecondResults(ParquetStore):
    """A result that was to supersede another is not kept."""

    found_by = "test_a_result_may_supersede_another"

    def write_with_receipt(self, run: Any, *, supersede: bool = False, **more: Any) -> WriteReceipt:
        return super().write_with_receipt(run, **more)


class KeepsNoReports(ParquetStore):
    """Rows are kept without their report."""

    found_by = "test_a_result_is_found_whole"

    def write_with_receipt(self, run: Any, *, report: Any = None, **more: Any) -> WriteReceipt:
        return super().write_with_receipt(run, **more)


class ForgetsWhoWrote(ParquetStore):
    """A second attempt of a job stores a second result."""

    found_by = "test_one_execution_stores_one_result"

    def write_with_receipt(self, run: Any, *, provenance: Any = None, **more: Any) -> WriteReceipt:
        anybody = evolve(provenance, run_event_id=None) if provenance is not None else None
        return super().write_with_receipt(run, provenance=anybody, **more)


class ForgetsWhatItStandsOn(ParquetStore):
    """Fingerprints are not kept."""

    found_by = "test_what_a_result_stands_on_is_kept"

    def write_with_receipt(self, run: Any, *, provenance: Any = None, **more: Any) -> WriteReceipt:
        unsaid = evolve(provenance, fingerprints=None) if provenance is not None else None
        return super().write_with_receipt(run, provenance=unsaid, **more)


class IgnoresRunUids(ParquetStore):
    """Rows of all runs are read."""

    found_by = "test_rows_of_the_runs_asked_for"

    def read_table(self, name: str, *, run_uids: Any = None, **options: Any) -> pa.Table:
        return super().read_table(name, **options)


class TakesNoRunsForAll(ParquetStore):
    """Whoever asks for the rows of no run gets those of all."""

    found_by = "test_rows_of_the_runs_asked_for"

    def read_table(self, name: str, *, run_uids: Any = None, **options: Any) -> pa.Table:
        return super().read_table(name, run_uids=run_uids or None, **options)


class IgnoresTheLimit(ParquetStore):
    """All rows are read."""

    found_by = "test_no_more_rows_than_asked_for"

    def read_table(self, name: str, *, limit: Any = None, **options: Any) -> pa.Table:
        return super().read_table(name, **options)


class IgnoresTheOrderOfColumns(ParquetStore):
    """Columns come in the order that they are stored in."""

    found_by = "test_columns_come_in_the_order_asked_for"

    def read_table(self, name: str, *, columns: Any = None, **options: Any) -> pa.Table:
        table = super().read_table(name, **options)
        return table.select([each for each in table.column_names if columns is None or each in columns])


class LeaksErrorsOfItsEngine(ParquetStore):
    """An unknown column is an error of the engine's own class."""

    found_by = "test_columns_come_in_the_order_asked_for"

    def read_table(self, name: str, *, columns: Any = None, **options: Any) -> pa.Table:
        table = super().read_table(name, **options)
        return table if columns is None else table.select(columns)


class LosesColumnsAddedLater(ParquetStore):
    """A table has the columns that all of its runs have."""

    found_by = "test_a_column_that_was_added_later_is_null_before"

    def read_table(self, name: str, **options: Any) -> pa.Table:
        every, table = super().read_table(name), super().read_table(name, **options)
        return table.select([each for each in table.column_names if every.column(each).null_count == 0])


class CutsInstants(ParquetStore):
    """Instants come back without their microseconds."""

    found_by = "test_values_come_back_as_they_were"

    def read_table(self, name: str, **options: Any) -> pa.Table:
        table = super().read_table(name, **options)
        for place, field in enumerate(table.schema):
            if pa.types.is_timestamp(field.type):
                whole = table.column(place).cast(pa.timestamp("s", "UTC"), safe=False).cast(field.type)
                table = table.set_column(place, field.name, whole)
        return table


class KeepsEqualRowsOnce(ParquetStore):
    """A record that equals another of its run is dropped."""

    found_by = "test_equal_records_are_kept_each"

    def write_with_receipt(self, run: Any, **more: Any) -> WriteReceipt:
        records = [each for place, each in enumerate(run.records) if each not in run.records[:place]]
        return super().write_with_receipt(evolve(run, records=records), **more)


class DescribesEachRunTwice(ParquetStore):
    """A table's description counts wrongly."""

    found_by = "test_a_table_is_described_as_it_is_read"

    def describe_table(self, name: str) -> TableDescription:
        told = super().describe_table(name)
        return evolve(told, runs=told.rows)


class SaysCreatedAlways(ParquetStore):
    """A result that was there is said to be new."""

    found_by = "test_the_first_write_wins"

    def write_with_receipt(self, run: Any, **more: Any) -> WriteReceipt:
        return evolve(super().write_with_receipt(run, **more), created=True)


class DropsProvenance(ParquetStore):
    """Of where a result came from, some is not kept."""

    found_by = "test_runs_has_all_of_the_provenance"

    def write_with_receipt(self, run: Any, *, provenance: Any = None, **more: Any) -> WriteReceipt:
        less = evolve(provenance, cluster_id=None, request_id=None) if provenance is not None else None
        return super().write_with_receipt(run, provenance=less, **more)


class SwapsInstants(ParquetStore):
    """Begin and end of a job are mistaken for each other."""

    found_by = "test_runs_has_all_of_the_provenance"

    def write_with_receipt(self, run: Any, *, provenance: Any = None, **more: Any) -> WriteReceipt:
        if provenance is not None:
            begin, end = provenance.submitted_at, provenance.completed_at
            provenance = evolve(provenance, submitted_at=end, completed_at=begin)
        return super().write_with_receipt(run, provenance=provenance, **more)


class FindsTheFirstResult(ParquetStore):
    """The newest result of a run is said to be its first."""

    found_by = "test_a_result_is_found_whole"

    def find_run(self, run_uid: str, *, revision: Any = None, run_event_id: Any = None) -> StoredRun | None:
        return super().find_run(run_uid, revision=revision or (None if run_event_id else 1), run_event_id=run_event_id)


class ReplacesResults(ParquetStore):
    """A second result takes the place of the first."""

    found_by = "test_a_result_may_supersede_another"

    def write_with_receipt(self, run: Any, *, supersede: bool = False, **more: Any) -> WriteReceipt:
        there = super().find_run(run.run_uid) is not None
        for file in Path(self.uri).glob(f"*/{run.run_uid}*.parquet"):
            file.unlink()
        receipt = super().write_with_receipt(run, **more)
        return evolve(receipt, revision=1 + there)


class CommitsTablesOneByOne(SampleStore):
    """Rows of a run are seen before the run is whole."""

    found_by = "test_readers_see_whole_runs_or_nothing"
    part: int | None = None
    looks = 0

    def write_with_receipt(self, run: Any, **more: Any) -> WriteReceipt:
        *parts, last = [evolve(run, records=[record]) for record in run.records]
        for place, part in enumerate(parts):
            self.part = place
            super().write_with_receipt(part, **more)
            if place == 0:
                self._let_somebody_look()
        self.part = None
        return super().write_with_receipt(last, **more)

    def _let_somebody_look(self) -> None:
        """The moment lasts until a reader, if there is one, has looked into every table."""
        until, deadline = CommitsTablesOneByOne.looks + 7, time.monotonic() + 1
        while CommitsTablesOneByOne.looks < until and time.monotonic() < deadline:
            time.sleep(0.001)

    def read_table(self, name: str, **options: Any) -> pa.Table:
        try:
            return super().read_table(name, **options)
        finally:
            CommitsTablesOneByOne.looks += 1

    def _key(self, run_uid: str) -> str:
        return super()._key(run_uid if self.part is None else f"{run_uid} part {self.part}")


class FitsTablesOneByOne(CommitsTablesOneByOne):
    """A run that does not fit leaves rows in the tables before."""

    found_by = "test_a_run_that_does_not_fit_leaves_nothing_in_any_table[2]"


class LetsSqlReadFiles(SampleStore):
    """SQL reads any file of the machine."""

    found_by = "test_sql_reaches_no_files[select * from read_text('{folder}/secret.csv')]"

    def query_sql(self, sql: str) -> pa.Table:
        with duckdb.connect(":memory:") as connection:
            for name in self.list_tables():
                connection.register(name, self.read_table(name))
            return connection.sql(sql).to_arrow_table()


class MakesUidsTidy(SampleStore):
    """Two uids may have one name."""

    found_by = "test_uids_are_taken_as_they_are"

    def _key(self, run_uid: str) -> str:
        return f"runs/{re.sub('[^a-z0-9]', '_', run_uid.lower())[:100]}"


class RemembersWhatItSaw(SampleStore):
    """What others write later is not seen."""

    found_by = "test_a_store_that_was_read_before_sees_what_others_write"
    seen: Any = None

    def get_run_uri(self, run_uid: str) -> str | None:
        if self.seen is None:
            self.seen = set(self._objects.names("runs"))
        key = self._key(run_uid)
        return self._objects.uri_of(key) if key.removeprefix("runs/") in self.seen else None


class SharesOneConnection(SampleStore):
    """Two threads that ask at once disturb each other."""

    found_by = "test_threads_may_share_a_store"

    free = threading.Lock()
    refused = threading.Event()

    def query_sql(self, sql: str) -> pa.Table:
        if not self.free.acquire(blocking=False):
            self.refused.set()
            raise StoreError("the connection is in use.", uri=self.uri)
        try:
            self.refused.wait(60)  # it is in use until another thread has asked
            return super().query_sql(sql)
        finally:
            self.free.release()


class StaysBehind(SampleStore):
    """A store that workers cannot be given."""

    found_by = "test_a_store_travels_to_workers"

    def __reduce__(self) -> Any:
        raise pickle.PicklingError("it holds a connection")


class ForgetsWhatATagNamed(ParquetStore):
    """A tag shows what is there now."""

    found_by = "test_a_tag_gives_the_same_answer_for_ever"

    def read_table(self, name: str, *, as_of: Any = None, **options: Any) -> pa.Table:
        return super().read_table(name, as_of=None if isinstance(as_of, str) else as_of, **options)


class ForgetsWhatAnInstantShowed(ParquetStore):
    """An instant shows what is there now."""

    found_by = "test_an_instant_gives_the_same_answer_for_ever"

    def query_sql(self, sql: str, *, as_of: Any = None, **options: Any) -> pa.Table:
        return super().query_sql(sql, as_of=as_of if isinstance(as_of, str) else None, **options)


class MovesTags(ParquetStore):
    """A tag that is made again names what is there then."""

    found_by = "test_a_tag_is_made_once_and_deleted_on_purpose"

    def tag(self, name: str) -> Tag:
        with suppress(StoreNotFoundError, ArgumentError):
            self.delete_tag(name)
        return super().tag(name)
