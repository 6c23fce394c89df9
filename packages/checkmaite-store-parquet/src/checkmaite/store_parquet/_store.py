"""Writing and finding runs. One write costs a constant number of requests, whatever the store holds."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from os import PathLike, fspath
from typing import Any, ClassVar

from attrs import frozen
from checkmaite.jobs import (
    CapabilityRun,
    ConfigurationError,
    Provenance,
    TableDescription,
    WriteReceipt,
)
from checkmaite.jobs.spi import (
    ObjectStore,
    TableRows,
    option,
    run_tables,
    runs_of,
    uri_problem,
    usable_uri,
)
from checkmaite.store_parquet import _reading, _sql
from checkmaite.store_parquet._layout import artifact_key, commit_key, payload_key
from checkmaite.store_parquet._rows import commit_bytes, holds_rows, moved, payload_bytes, runs_rows
from checkmaite.store_parquet._types import TableTypes


@frozen
class ParquetOptions:
    """Options of ``{"backend": "parquet", ...}``."""

    uri: str = option('a folder, or an fsspec URL such as "s3://bucket/folder".', validator=usable_uri)
    storage_options: Mapping[str, Any] = option(
        "options of the fsspec filesystem, such as key, secret and endpoint_url.", factory=dict, repr=False
    )


class ParquetStore:
    """An analytics store of plain Parquet files.

    A run's rows are written first, one object for each table, then one commit object that names them and makes the
    whole run visible. All are created exclusively: the first commit wins, whole, and a writer that dies leaves nothing
    that readers see and nothing that a retry cannot complete. Safe to share between threads; pickles as its uri and
    options.

    Args:
        uri: A folder, made absolute here, or an fsspec URL without credentials.
        storage_options: Options of the fsspec filesystem; never shown.

    Raises:
        ConfigurationError: There can be no store at such a uri.
    """

    config_type: ClassVar[type[ParquetOptions]] = ParquetOptions

    def __init__(self, uri: str | PathLike[str], storage_options: Mapping[str, Any] | None = None) -> None:
        uri = fspath(uri)
        if problem := uri_problem("uri", uri):
            raise ConfigurationError("The store cannot be opened.", [problem])
        self._storage_options = storage_options
        self._objects = ObjectStore(uri, storage_options)
        self._types = TableTypes(self._objects)

    def __repr__(self) -> str:
        return f"ParquetStore({self.uri!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return ParquetStore, (self.uri, self._storage_options)

    @classmethod
    def normalized_options(cls, options: Mapping[str, Any]) -> Mapping[str, Any]:
        """The options with an absolute uri, so that they mean the same in every working directory."""
        return {**options, "uri": ObjectStore(options["uri"]).root}

    @property
    def uri(self) -> str:
        """The absolute folder or URL, without secrets."""
        return self._objects.root

    def write(
        self, runs: CapabilityRun | Iterable[CapabilityRun], *, provenance: Provenance | None = None
    ) -> list[WriteReceipt]:
        """Store one run or several, each atomically, in order.

        Returns:
            A receipt for each.

        Raises:
            RecordError: A run's records cannot be stored; runs before it are stored.
            StoreError: The store refused or could not be reached.
        """
        return [self.write_with_receipt(run, provenance=provenance) for run in runs_of(runs)]

    def write_with_receipt(self, run: CapabilityRun, *, provenance: Provenance | None = None) -> WriteReceipt:
        """Store one run; see `write`. Returns after the run is durable and visible."""
        tables = run_tables(run)
        if not tables:
            return WriteReceipt(run_uid=run.run_uid, store_uri=None, created=False)
        rows = runs_rows(run, tables, provenance or Provenance(), datetime.now(UTC))
        tables = self._types.settle(tables)
        key = commit_key(run.run_uid)
        placed = self._put_rows(run.run_uid, tables, rows)
        created = placed is not None and self._objects.create(key, commit_bytes(placed))
        return WriteReceipt(
            run_uid=run.run_uid,
            store_uri=self._objects.uri_of(key),
            created=created,
            rows={table.name: len(table.rows) for table in tables},
        )

    def get_run_uri(self, run_uid: str) -> str | None:
        """URI of the run's commit object; None when the store does not hold the run.

        Costs one request, two when it does not.
        """
        key = commit_key(run_uid)
        return self._objects.uri_of(key) if self._objects.exists(key) else None

    def put_artifact(self, name: str, content: bytes) -> str:
        """Keep a document under ``_artifacts/`` and return its URI; the first write of a name wins."""
        key = artifact_key(name)
        self._objects.create(key, content)
        return self._objects.uri_of(key)

    def list_tables(self) -> list[str]:
        """Names of the tables that hold rows of committed runs, ``runs`` included, sorted."""
        return _reading.CommittedRuns(self._objects).tables()

    def describe_table(self, name: str) -> TableDescription:
        """Columns and size of a table; see `AnalyticsStore.describe_table`."""
        return _reading.describe_table(self._objects, name)

    def read_table(
        self,
        name: str,
        *,
        columns: Sequence[str] | None = None,
        run_uids: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> Any:
        """Rows of committed runs as a ``pyarrow.Table``.

        Args:
            name: The table.
            columns: Only these, in this order.
            run_uids: Only rows of these runs; only their files are opened.
            limit: At most this many rows.

        Raises:
            StoreNotFoundError: There is no such table or column; the message names those there are.
            QueryError: An argument makes no sense.
        """
        return _reading.read_table(self._objects, name, columns=columns, run_uids=run_uids, limit=limit)

    def query_sql(self, sql: str) -> Any:
        """The result of one SELECT over the tables, as a ``pyarrow.Table``. Needs DuckDB: ``checkmaite-jobs[sql]``.

        Each table is a view of the committed runs. The engine can read nothing else: no files, no network, no
        extensions.

        Raises:
            QueryError: The text is not one SELECT, or DuckDB refused it.
        """
        return _sql.query(self._objects, sql)

    def _put_rows(
        self, run_uid: str, tables: Sequence[TableRows], runs: Sequence[Mapping[str, object]]
    ) -> Sequence[Mapping[str, object]] | None:
        """Store a run's rows; its ``runs`` rows, which name their files. None when the run is committed already.

        Where another attempt of the run has left other rows, these get a file of their own: attempts are never mixed.
        """
        for table in tables:
            key, content = payload_key(table.name, run_uid), payload_bytes(table, runs)
            if self._objects.create(key, content) or holds_rows(self._objects.read(key), table):
                continue
            if self.get_run_uri(run_uid) is not None:
                return None
            key = payload_key(table.name, run_uid, tag=secrets.token_hex(8))
            runs = moved(runs, table.name, key)
            self._objects.create(key, payload_bytes(table, runs))
        return runs
