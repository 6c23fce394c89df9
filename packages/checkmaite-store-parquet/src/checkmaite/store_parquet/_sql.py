"""SQL over the tables on DuckDB, locked down: it can read the store's tables and nothing else."""

from __future__ import annotations

import json
import re
from typing import Any

import pyarrow as pa
from checkmaite.jobs import MissingDependencyError, QueryError
from checkmaite.jobs.spi import ObjectStore, case_twins, nearest_name
from checkmaite.store_parquet._arguments import check_query
from checkmaite.store_parquet._datasets import reading
from checkmaite.store_parquet._reading import CommittedRuns, Revision

_LOCKS = (
    "SET TimeZone = 'UTC'",  # else instants are compared and shown in the zone of whatever machine asks
    "SET enable_external_access = false",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET python_enable_replacements = false",
    "SET disabled_filesystems = 'LocalFileSystem,HTTPFileSystem'",
    "SET memory_limit = '4GB'",
    "SET threads = 4",
    "SET lock_configuration = true",  # last: nothing can be unset after it
)


def query(objects: ObjectStore, sql: str, revision: Revision) -> pa.Table:
    """The result of one SELECT; see `ParquetStore.query_sql`."""
    check_query("sql", sql)
    duckdb = _duckdb()
    with duckdb.connect(":memory:") as connection:
        try:
            statements = connection.extract_statements(sql)
        except duckdb.Error as error:
            raise QueryError.of(f"the SQL cannot be read: {error}", "Mend it and try again.") from error
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise QueryError.of("query_sql takes exactly one SELECT.", "Split the text, and write nothing with it.")
        runs = CommittedRuns(objects, revision=revision)
        names = runs.tables()
        meant = _tables_in(connection, sql, names)
        _refuse_twins("tables", meant)
        for name in meant:  # only what the text may mean is opened
            dataset = runs.dataset(name, encodes=True)
            _refuse_twins(f"columns of {name!r}", dataset.schema.names)
            connection.register(name, dataset)
        for lock in _LOCKS:
            connection.execute(lock)
        with reading(objects, ""):
            try:
                relation = connection.sql(sql)
                return _with_plain_integers(relation.to_arrow_table(), [str(each) for each in relation.types])
            except duckdb.Error as error:
                raise QueryError.of(f"the SQL was refused: {error}", _advice(error, duckdb, names)) from error


def _tables_in(connection: Any, sql: str, names: list[str]) -> list[str]:
    """Those of the tables that a SELECT may read, by the engine's own parse: a text, comment or alias opens none.

    All of them where that names none, but asks which there are (``SHOW TABLES``, ``information_schema``) or calls a
    function that makes a table.
    """
    ((parsed,),) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()
    named: set[str] = set()
    opens_all = False

    def note(node: dict[str, Any]) -> dict[str, Any]:
        nonlocal opens_all
        match node:
            case {"type": "BASE_TABLE", "schema_name": "" | "main", "table_name": name}:
                named.add(name.casefold())
            case {"type": "BASE_TABLE" | "TABLE_FUNCTION"}:
                opens_all = True
            case {"type": "SHOW_REF", "table_name": name} if name:
                opens_all = True
        return node

    try:
        failed = json.loads(parsed, object_hook=note)["error"]
    except RecursionError:  # deeper than Python reads
        return names
    return names if failed or opens_all else [name for name in names if name.casefold() in named]


def _refuse_twins(what: str, names: list[str]) -> None:
    """SQL does not tell names apart that differ only in case."""
    for twin, name in case_twins(names):
        raise QueryError.of(
            f"the {what} {twin!r} and {name!r} differ only in case, which SQL does not see.", "Use read_table()."
        )


def _with_plain_integers(table: pa.Table, types: list[str]) -> pa.Table:
    """The table with sums of whole numbers as int64, where all of a column fit: DuckDB makes them 128 bits wide."""
    for place, name in enumerate(types):
        if name == "HUGEINT":
            try:
                narrow = table.column(place).cast(pa.int64())
            except pa.ArrowInvalid:
                continue
            table = table.set_column(place, table.schema.field(place).with_type(pa.int64()), narrow)
    return table


def _advice(error: Exception, duckdb: Any, names: list[str]) -> str:
    missing = re.search(r"Table with name (\S+) does not exist", str(error))
    if isinstance(error, duckdb.CatalogException) and missing:
        near = nearest_name(missing.group(1), names)
        meant = f"Did you mean {near!r}? " if near else ""
        return f"{meant}Tables: {', '.join(names) or 'none yet'}."
    return "Only the store's tables can be read; describe_table() shows their columns."


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError as error:
        raise MissingDependencyError("query_sql needs DuckDB.", requirement="checkmaite-store-parquet[sql]") from error
    return duckdb
