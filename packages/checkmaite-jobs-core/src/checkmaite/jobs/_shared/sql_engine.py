"""SQL over a store's tables on DuckDB, locked down: it can read the store's tables and nothing else.

For authors of stores whose tables are Arrow datasets. DuckDB and Arrow are the store's dependencies, not core's: who
calls passes DuckDB in, and Arrow's errors.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, Literal, Protocol

from attrs import frozen
from checkmaite.jobs._shared.errors import JobsError, MissingDependencyError, QueryError
from checkmaite.jobs._shared.sql_errors import advice, said
from checkmaite.jobs._shared.sql_tables import refuse_twins, tables_in
from checkmaite.jobs._shared.store_arguments import check_query, check_seconds, check_whole

FrameKind = Literal["arrow", "pandas", "polars"]

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


class SqlTables(Protocol):
    """The tables of a store at one moment."""

    def tables(self) -> list[str]:
        """Their names."""
        ...

    def sql_dataset(self, name: str) -> Any:
        """A ``pyarrow.dataset.Dataset`` of one table."""
        ...

    def raise_unreadable(self, name: str) -> None:
        """Read a table as the engine could not, for the error that names what is wrong with it.

        Raises:
            StoreError: That, or that it can be read now.
        """
        ...


@frozen(kw_only=True)
class SqlLimits:
    """What a query may take.

    Attributes:
        timeout_s: Seconds in all; None for as long as it takes.
        memory_bytes: Memory of the engine.
        threads: Threads of the engine.
    """

    timeout_s: float | None
    memory_bytes: int
    threads: int


def sql_limits(timeout_s: float | None, max_memory_bytes: int, threads: int) -> SqlLimits:
    """What a caller allows a query to take.

    Raises:
        QueryError: One of them is no such limit.
    """
    check_seconds("timeout_s", timeout_s)
    check_whole("max_memory_bytes", max_memory_bytes)
    check_whole("threads", threads)
    return SqlLimits(timeout_s=timeout_s, memory_bytes=max_memory_bytes, threads=threads)


def duckdb_of(distribution: str) -> Any:
    """The module of DuckDB.

    Args:
        distribution: The store's, whose extra ``sql`` brings it.

    Raises:
        MissingDependencyError: It is not installed.
    """
    try:
        return import_module("duckdb")
    except ImportError as error:
        raise MissingDependencyError("query_sql needs DuckDB.", requirement=f"{distribution}[sql]") from error


def frame_converter(kind: FrameKind) -> Callable[[Any], Any]:
    """A function that makes a result of a ``pyarrow.Table``.

    Raises:
        QueryError: There is no such kind.
        MissingDependencyError: Its package is not installed.
    """
    match kind:
        case "arrow":
            return lambda table: table
        case "pandas":
            _imported("pandas")
            return lambda table: table.to_pandas()
        case "polars":
            from_arrow: Callable[[Any], Any] = _imported("polars").from_arrow
            return from_arrow
    raise QueryError.of(f"to is {kind!r}.", 'Pass "arrow", "pandas" or "polars".')


def sql_connection(duckdb: Any, tables: SqlTables, limits: SqlLimits) -> Any:
    """A locked-down connection with a view of each table."""
    connection = duckdb.connect(":memory:")
    try:
        _register(connection, tables, tables.tables())
        _lock(connection, limits)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def running_select(
    duckdb: Any,
    sql: str,
    limits: SqlLimits,
    open_tables: Callable[[], SqlTables],
    foreign: tuple[type[Exception], ...],
) -> Iterator[Any]:
    """The relation of a SELECT; what reading it raises within the block is told in this project's words.

    Args:
        duckdb: The module.
        sql: The text.
        limits: What it may take.
        open_tables: Opens the tables, after the text was found to be one SELECT.
        foreign: What reading a dataset may raise.

    Raises:
        QueryError: The text is not one SELECT, DuckDB refused it, or it hit a limit, which the message names.
    """
    check_query("sql", sql)
    with duckdb.connect(":memory:") as connection, _timer(connection, limits.timeout_s) as is_over:
        tables: SqlTables | None = None
        try:
            _check_statement(duckdb, connection, sql)
            tables = open_tables()
            _register(connection, tables, tables_in(connection, sql, tables.tables()))
            _lock(connection, limits)
            if is_over.is_set():  # the tables were opened meanwhile, which the engine knows nothing of
                raise _too_slow(limits)
            yield connection.sql(sql)
        except JobsError:
            raise
        except (duckdb.Error, *foreign) as error:
            if is_over.is_set():
                raise _too_slow(limits) from error
            if isinstance(error, duckdb.OutOfMemoryException):
                raise QueryError.of(
                    f"the query needed more than max_memory_bytes={limits.memory_bytes:,}.",
                    "Raise it, or ask for fewer rows or columns; query_batches() gives a large result piece by piece.",
                ) from error
            unread = _UNREADABLE.search(str(error))
            if unread is not None and tables is not None:
                tables.raise_unreadable(unread[1])
            columns = _columns_of(connection)
            raise QueryError.of(
                f"the SQL was refused: {said(error)}", advice(error, tables.tables() if tables else [], columns)
            ) from error


def table_of(relation: Any) -> Any:
    """A relation as a ``pyarrow.Table``.

    Sums of whole numbers are int64, where all of a column fit: DuckDB makes them 128 bits wide.
    """
    table = relation.to_arrow_table()
    for place, kind in enumerate(relation.types):
        if str(kind) == "HUGEINT":
            try:
                narrow = table.column(place).cast("int64")
            except ValueError:  # Arrow's own
                continue
            table = table.set_column(place, table.schema.field(place).with_type(narrow.type), narrow)
    return table


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


def _register(connection: Any, tables: SqlTables, names: Sequence[str]) -> None:
    refuse_twins("tables", list(names))
    for name in names:
        dataset = tables.sql_dataset(name)
        refuse_twins(f"columns of {name!r}", dataset.schema.names)
        connection.register(name, dataset)


def _lock(connection: Any, limits: SqlLimits) -> None:
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


def _too_slow(limits: SqlLimits) -> QueryError:
    return QueryError.of(
        f"the query took longer than timeout_s={limits.timeout_s:g}.", "Raise it, or ask for fewer rows or columns."
    )


def _columns_of(connection: Any) -> list[str]:
    with suppress(Exception):  # the connection may be past answering, and these are for a hint
        connection.execute("select distinct column_name from duckdb_columns() where not internal")
        return [name for (name,) in connection.fetchall()]
    return []


def _imported(package: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        raise MissingDependencyError(f'to="{package}" needs {package}.', requirement=package) from error
