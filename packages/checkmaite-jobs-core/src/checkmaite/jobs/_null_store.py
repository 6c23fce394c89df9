"""A store that keeps nothing: for trying a backend out and for measuring what the backend itself costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from attrs import frozen
from checkmaite.jobs._shared.capability_protocols import CapabilityRun
from checkmaite.jobs._shared.errors import StoreNotFoundError
from checkmaite.jobs._shared.provenance import Provenance
from checkmaite.jobs._shared.receipt import WriteReceipt
from checkmaite.jobs._shared.records import run_tables, runs_of
from checkmaite.jobs._shared.store_protocols import TableDescription


@frozen
class NullOptions:
    """The null store has no options."""


@frozen
class NullStore:
    """Checks every run's records as a real store would, and forgets them.

    Configure it with ``analytics_store={"backend": "null"}``. Nothing can be read back, so every read says so.
    """

    config_type: ClassVar[type[NullOptions]] = NullOptions

    @property
    def uri(self) -> str:
        """A name for messages; nothing is there."""
        return "null://"

    def write(
        self, runs: CapabilityRun | Iterable[CapabilityRun], *, provenance: Provenance | None = None
    ) -> list[WriteReceipt]:
        """Check each run and forget it."""
        return [self.write_with_receipt(run, provenance=provenance) for run in runs_of(runs)]

    def write_with_receipt(self, run: CapabilityRun, *, provenance: Provenance | None = None) -> WriteReceipt:
        """Check the run and forget it; the receipt names no object."""
        tables = run_tables(run)
        return WriteReceipt(
            run_uid=run.run_uid,
            store_uri=None,
            created=bool(tables),
            rows={each.name: len(each.rows) for each in tables},
        )

    def get_run_uri(self, run_uid: str) -> str | None:
        """None: no run is ever kept."""
        return None

    def list_tables(self) -> list[str]:
        """No table is ever kept."""
        return []

    def describe_table(self, name: str) -> TableDescription:
        """Always raises StoreNotFoundError."""
        raise self._kept_nothing(name)

    def read_table(
        self,
        name: str,
        *,
        columns: Sequence[str] | None = None,
        run_uids: Sequence[str] | None = None,
        limit: int | None = None,
    ) -> Any:
        """Always raises StoreNotFoundError."""
        raise self._kept_nothing(name)

    def query_sql(self, sql: str) -> Any:
        """Always raises StoreNotFoundError."""
        raise self._kept_nothing("any table")

    def _kept_nothing(self, name: str) -> StoreNotFoundError:
        return StoreNotFoundError(
            f"the null store keeps nothing, so there is no {name} to read. "
            'Configure analytics_store={"backend": "parquet", "uri": ...} to keep results.',
            uri=self.uri,
        )
