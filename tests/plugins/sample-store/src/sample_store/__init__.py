"""A third party's store: one pickled object for each run, created exclusively in a folder."""

import pickle
import re
from datetime import UTC, datetime

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
from attrs import frozen
from checkmaite.jobs import (
    ColumnDescription,
    Provenance,
    QueryError,
    RecordError,
    StoreNotFoundError,
    TableDescription,
    WriteReceipt,
)
from checkmaite.jobs.spi import (
    ColumnType,
    ObjectStore,
    fitted,
    object_name,
    option,
    provenance_columns,
    run_entities,
    run_tables,
    table_rows,
    two_types,
)


@frozen
class SampleOptions:
    folder: str = option("an absolute folder.")


class SampleStore:
    config_type = SampleOptions

    def __init__(self, folder):
        self.uri = str(folder)
        self._objects = ObjectStore(self.uri)

    def __reduce__(self):
        return SampleStore, (self.uri,)

    def write(self, runs, *, provenance=None):
        several = runs if isinstance(runs, list) else [runs]
        return [self.write_with_receipt(run, provenance=provenance) for run in several]

    def write_with_receipt(self, run, *, provenance=None):
        tables = {
            table.name: [{column: row.get(column) for column in table.columns} for row in table.rows]
            for table in self._fitted(run_tables(run))
        }
        if not tables:
            return WriteReceipt(run_uid=run.run_uid, store_uri=None, created=False)
        key = self._key(run.run_uid)
        whole = {"runs": self._runs_rows(run, tables, provenance or Provenance()), **tables}
        return WriteReceipt(
            run_uid=run.run_uid,
            store_uri=self._objects.uri_of(key),
            created=self._objects.create(key, pickle.dumps(whole)),
            rows={table: len(rows) for table, rows in tables.items()},
        )

    def _runs_rows(self, run, tables, provenance):
        same = {
            "run_uid": run.run_uid,
            "capability_id": run.capability_id,
            "created_at": datetime.now(UTC),
            **{name: getattr(provenance, name) for name in provenance_columns()},
        }
        return [
            {**same, "capability_table": table, "entity_type": entity_type, "entity_id": entity_id}
            for table in tables
            for entity_type, entity_id in run_entities(run)
        ]

    def get_run_uri(self, run_uid):
        key = self._key(run_uid)
        return self._objects.uri_of(key) if self._objects.exists(key) else None

    def _key(self, run_uid):
        return f"runs/{object_name(run_uid)}"

    def _fitted(self, tables):
        stored, fits, problems = self._tables(), [], []
        for table in tables:
            rows = [{**row, "table_name": "t", "run_uid": "any"} for row in stored.get(table.name, ())]
            before = table_rows(rows, run_uid="any")
            known = before[0].columns if before else {}
            fit, faults = fitted(table, known)
            fits.append(fit)
            problems += faults
            for name, kind in fit.columns.items():
                widens = (known.get(name), kind) == (ColumnType.INT, ColumnType.FLOAT)
                if widens and any(abs(row.get(name) or 0) > 2**53 for row in before[0].rows):
                    problems.append(two_types(table.name, name, kind, known[name]))
        if problems:
            raise RecordError("The run does not fit.", problems, uri=self.uri)
        return fits

    def list_tables(self):
        return sorted(self._tables())

    def _tables(self):
        tables = {}
        for name in self._objects.names("runs"):
            for table, rows in pickle.loads(self._objects.read(f"runs/{name}")).items():
                tables.setdefault(table, []).extend(rows)
        return tables

    def read_table(self, name, *, columns=None, run_uids=None, limit=None):
        tables = self._tables()
        if name not in tables:
            raise StoreNotFoundError(f"there is no table {name!r}. Tables: {sorted(tables)}.", uri=self.uri)
        every = dict.fromkeys(column for row in tables[name] for column in row)
        if unknown := [column for column in columns or () if column not in every]:
            raise StoreNotFoundError(f"{name!r} has no column {unknown[0]!r}. Columns: {[*every]}.", uri=self.uri)
        table = pa.Table.from_pylist([{column: row.get(column) for column in every} for row in tables[name]])
        if run_uids is not None:
            table = table.filter(pc.is_in(table["run_uid"], pa.array(run_uids, pa.string())))
        return table.select(table.column_names if columns is None else columns)[:limit]

    def describe_table(self, name):
        table = self.read_table(name)
        columns = tuple(ColumnDescription(name=field.name, type=str(field.type)) for field in table.schema)
        runs = len(set(table["run_uid"].to_pylist()))
        return TableDescription(name=name, columns=columns, runs=runs, rows=len(table))

    def query_sql(self, sql):
        with duckdb.connect(":memory:") as connection:
            try:
                statements = connection.extract_statements(sql)
                if len(statements) != 1 or not re.match(r"\s*select\b", sql, re.IGNORECASE):
                    raise QueryError.of("query_sql takes one SELECT.", "Split the text.")
                for name in self.list_tables():
                    connection.register(name, self.read_table(name))
                connection.execute("SET enable_external_access = false")
                return connection.sql(sql).to_arrow_table()
            except duckdb.Error as error:
                raise QueryError.of(f"the SQL was refused: {error}", "Mend it.") from error
