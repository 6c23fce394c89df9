"""SQL over the tables on DuckDB, locked down: it can read the store's tables and nothing else."""

from __future__ import annotations

import re
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, Literal

import pyarrow as pa
from attrs import frozen
from checkmaite.jobs import JobsError, MissingDependencyError, QueryError, StoreUnavailableError
from checkmaite.jobs.spi import ObjectStore
from checkmaite.store_parquet._arguments import check_query
from checkmaite.store_parquet._datasets import reading
from checkmaite.store_parquet._reading import CommittedRuns, Revision
from checkmaite.store_parquet._sql_errors import advice, said
from checkmaite.store_parquet._sql_tables import refuse_twins, tables_in

Kind = Literal["arrow", "pandas", "polars"]

_LOCKS = (
    "SET TimeZone = 'UTC'",  # else instants are compared and shown in the zone of whatever machine asks
    "SET temp_directory = ''",  # first: without access it cannot be set
    "SET enable_external_access = false",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET python_enable_replacements = false",
    "SET disabled_filesystems = 'LocalFileSystem,HTTPFileSystem'",
)
_UNREADABLE = re.compile(r"reading the stream registered as '(.+?)' failed")
_PIVOT = re.compile(r"\bpivot\b", re.IGNORECASE)


@frozen(kw_only=True)
class Limits:
    """What a query may take.

    Attributes:
        timeout_s: Seconds in all; None for as long as it takes.
        memory_bytes: Memory of the engine.
        threads: Threads of the engine.
    """

    timeout_s: float | None
    memory_bytes: int
    threads: int


def query(objects: ObjectStore, sql: str, revision: Revision, limits: Limits, kind: Kind) -> Any:
    """The result of one SELECT; see `ParquetStore.query_sql`."""
    convert = _converter(kind)
    with _running(objects, sql, revision, limits) as relation:
        table = _with_plain_integers(relation.to_arrow_table(), [str(each) for each in relation.types])
    return convert(table)


def query_batches(
    objects: ObjectStore, sql: str, revision: Revision, limits: Limits, rows: int
) -> Generator[pa.RecordBatch, None, None]:
    """The result of one SELECT, piece by piece; see `ParquetStore.query_batches`."""
    with _running(objects, sql, revision, limits) as relation:
        yield from relation.to_arrow_reader(rows)


def connect(objects: ObjectStore, revision: Revision, limits: Limits) -> Any:
    """A connection with a view of each table; see `ParquetStore.connect`."""
    connection = _duckdb().connect(":memory:")
    try:
        runs = CommittedRuns(objects, revision=revision)
        _register(connection, runs, runs.tables())
        _lock(connection, limits)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _running(objects: ObjectStore, sql: str, revision: Revision, limits: Limits) -> Iterator[Any]:
    """The relation of a SELECT; what reading it raises within the block is told in this project's words."""
    check_query("sql", sql)
    duckdb = _duckdb()
    with duckdb.connect(":memory:") as connection, _timer(connection, limits.timeout_s) as is_over:
        runs: CommittedRuns | None = None
        try:
            _check_statement(duckdb, connection, sql)
            runs = CommittedRuns(objects, revision=revision)
            _register(connection, runs, tables_in(connection, sql, runs.tables()))
            _lock(connection, limits)
            if is_over.is_set():  # the tables were opened meanwhile, which the engine knows nothing of
                raise _too_slow(limits)
            yield connection.sql(sql)
        except JobsError:
            raise
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            if is_over.is_set():
                raise _too_slow(limits) from error
            if isinstance(error, duckdb.OutOfMemoryException):
                raise QueryError.of(
                    f"the query needed more than max_memory_bytes={limits.memory_bytes:,}.",
                    "Raise it, or ask for fewer rows or columns; query_batches() gives a large result piece by piece.",
                ) from error
            unread = _UNREADABLE.search(str(error))
            if unread is not None and runs is not None:
                _raise_of(objects, runs, unread[1])
            columns = _columns_of(connection)
            raise QueryError.of(
                f"the SQL was refused: {said(error)}", advice(error, runs.tables() if runs else [], columns)
            ) from error


def _check_statement(duckdb: Any, connection: Any, sql: str) -> None:
    try:
        statements = connection.extract_statements(sql)
    except duckdb.Error as error:
        raise QueryError.of(f"the SQL cannot be read: {error}", "Mend it and try again.") from error
    try:
        kinds = [statement.type for statement in statements]
    except ValueError:  # DuckDB's Python knows no type for UPDATE EXTENSIONS
        kinds = []
    is_pivot = kinds == [duckdb.StatementType.MULTI] and _PIVOT.search(sql)  # which collects its columns first
    if kinds != [duckdb.StatementType.SELECT] and not is_pivot:
        raise QueryError.of("query_sql takes exactly one SELECT.", "Split the text, and write nothing with it.")


def _register(connection: Any, runs: CommittedRuns, names: list[str]) -> None:
    refuse_twins("tables", names)
    for name in names:
        dataset = runs.dataset(name, encodes=True)
        refuse_twins(f"columns of {name!r}", dataset.schema.names)
        connection.register(name, dataset)


def _lock(connection: Any, limits: Limits) -> None:
    for lock in _LOCKS:
        connection.execute(lock)
    connection.execute(f"SET memory_limit = '{limits.memory_bytes} bytes'")
    connection.execute(f"SET threads = {limits.threads}")
    connection.execute("SET lock_configuration = true")  # last: nothing can be unset after it


@contextmanager
def _timer(connection: Any, timeout_s: float | None) -> Iterator[threading.Event]:
    """Interrupts the connection when the time is over, which the event says."""
    is_over, is_done = threading.Event(), threading.Event()

    def watch() -> None:
        if is_done.wait(min(timeout_s or 0, threading.TIMEOUT_MAX)):
            return
        is_over.set()
        while not is_done.wait(0.05):  # again: the engine may have had nothing to interrupt
            connection.interrupt()

    thread = threading.Thread(target=watch, name="checkmaite-sql-timeout", daemon=True)
    if timeout_s is not None:
        thread.start()
    try:
        yield is_over
    finally:
        is_done.set()
        if timeout_s is not None:
            thread.join()


def _too_slow(limits: Limits) -> QueryError:
    return QueryError.of(
        f"the query took longer than timeout_s={limits.timeout_s:g}.", "Raise it, or ask for fewer rows or columns."
    )


def _raise_of(objects: ObjectStore, runs: CommittedRuns, name: str) -> None:
    """Read a table as the engine could not, for the error that names what is wrong with it.

    Raises:
        StoreError: That, or that it can be read now.
    """
    dataset = runs.dataset(name, encodes=True)
    with reading(objects, name, dataset):
        for _ in dataset.scanner().to_reader():
            pass
    uri = objects.uri_of(name)
    raise StoreUnavailableError(f"{uri}: reading it failed in the middle of the query. Ask again.", uri=uri)


def _columns_of(connection: Any) -> list[str]:
    with suppress(Exception):  # the connection may be past answering, and these are for a hint
        connection.execute("select distinct column_name from duckdb_columns() where not internal")
        return [name for (name,) in connection.fetchall()]
    return []


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


def _converter(kind: Kind) -> Any:
    """A function that makes a result of a ``pyarrow.Table``."""
    match kind:
        case "arrow":
            return lambda table: table
        case "pandas":
            _imported("pandas")
            return lambda table: table.to_pandas()
        case "polars":
            return _imported("polars").from_arrow
    raise QueryError.of(f"to is {kind!r}.", 'Pass "arrow", "pandas" or "polars".')


def _imported(package: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        raise MissingDependencyError(f'to="{package}" needs {package}.', requirement=package) from error


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError as error:
        raise MissingDependencyError("query_sql needs DuckDB.", requirement="checkmaite-store-parquet[sql]") from error
    return duckdb
