"""What a finished job hands to its submitter: small, frozen, JSON round-trip."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, BinaryIO

from attrs import asdict, evolve, field, frozen
from checkmaite.jobs._shared.places import storage_options_of, store_of
from checkmaite.jobs._shared.run_table import RunTable, run_table
from checkmaite.jobs._shared.store_protocols import AnalyticsStore

REPORT_INLINE_LIMIT_BYTES = 256 * 1024
"""A report larger than this, in UTF-8 bytes, is kept as an artifact and `Report.uri` says where."""

INLINE_TEXT, ARTIFACT = "inline_text", "artifact"
MARKDOWN = "text/markdown"


@frozen(kw_only=True)
class Report:
    """A run's report: its text, or where it is. ``str(report)`` is the one or the other.

    Attributes:
        kind: ``inline_text`` or ``artifact``.
        media_type: For example ``text/markdown``.
        text: The report itself, up to 256 KiB; None of an artifact.
        uri: Where an artifact is, as an absolute path or an fsspec URL; None of a text.
        filename: What to call it when it is saved.
    """

    kind: str
    media_type: str = MARKDOWN
    text: str | None = None
    uri: str | None = None
    filename: str = "report.md"

    def __str__(self) -> str:
        return self.text if self.text is not None else self.uri or ""

    def _repr_markdown_(self) -> str | None:
        return self.text if self.media_type == MARKDOWN else None

    def open(self, storage_options: Mapping[str, Any] | None = None) -> BinaryIO:
        """The report as a file to read bytes from, wherever it is.

        Args:
            storage_options: Of the fsspec filesystem of `uri`; those of the configured stores when None.

        Raises:
            StoreError: It cannot be read.
        """
        if self.text is not None:
            return io.BytesIO(self.text.encode())
        from checkmaite.jobs._shared.objects import ObjectStore  # fsspec takes longer to import than all of core

        uri = self.uri or ""
        folder, _, name = uri.rpartition("/")
        options = storage_options if storage_options is not None else storage_options_of(uri)
        return io.BytesIO(ObjectStore(folder or "/", options).read(name))


def _report(given: Any) -> Report | None:
    """A report from what an earlier version wrote: the text itself, or the URI of a large one."""
    if given is None or isinstance(given, Report):
        return given
    if isinstance(given, str):
        is_uri = given.endswith("/report.md") and "\n" not in given and (given[0] == "/" or "://" in given)
        return Report(kind=ARTIFACT, uri=given) if is_uri else Report(kind=INLINE_TEXT, text=given)
    if isinstance(given, Mapping):
        return Report(**given)
    raise TypeError(f"expected a Report, got {type(given).__name__}")


@frozen(kw_only=True)
class CapabilityRunRef:
    """Where the results of one run are.

    Attributes:
        run_uid: Identity of the run; the ``run_uid`` column of every table in the store.
        revision: Which result of the run it is: 1 is the first, each later one superseded those before.
        capability_id: The capability that ran.
        store_uri: What a reader can open for the run's rows: in the Parquet store, the file with its rows of the first
            table. None when the run gave no rows.
        commit_uri: The object that makes this result visible; in the Parquet store it names the files of all tables.
        outputs_uri: URI of further outputs that the run wrote by itself; None when it named none.
        report: The report, or None when there is none. Text becomes a `Report` with that text.
    """

    run_uid: str
    revision: int = 1
    capability_id: str
    store_uri: str | None = None
    commit_uri: str | None = None
    outputs_uri: str | None = None
    report: Report | None = field(default=None, converter=_report)

    def open_report(self, storage_options: Mapping[str, Any] | None = None) -> BinaryIO:
        """The report as a file to read bytes from; see `Report.open`.

        Raises:
            LookupError: The run has no report.
            StoreError: It cannot be read.
        """
        if self.report is None:
            raise LookupError(f"the run {self.run_uid!r} has no report; job.explain() says why.")
        return self.report.open(storage_options)

    def records(self, table: str | None = None, *, store: AnalyticsStore | None = None) -> RunTable:
        """The run's rows: ``.to_arrow()``, ``.to_pandas()`` and ``.to_polars()`` give what you work with.

        Args:
            table: The store's table, where the run has rows in several.
            store: Where to read; the store of this process's backends that has them when None.

        Raises:
            LookupError: The run has no rows, or none in this table; it has rows in several tables, and none is named;
                or no store is given, and no backend that was configured here has this one.
            StoreError: The store cannot be read.
        """
        if store is None:
            if self.store_uri is None:
                raise LookupError(f"the run {self.run_uid!r} gave no rows.")
            store = store_of(self.store_uri)
        if store is None:
            raise LookupError(
                f"{self.store_uri} is in no store that was configured in this process: pass store=, or call "
                "configure_job_backend(...) first."
            )
        return run_table(store, self.run_uid, self.revision, table)

    def to_json(self) -> str:
        """The ref as a JSON object with sorted keys."""
        import json  # slow to import, and only for refs that leave Python

        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> CapabilityRunRef:
        """The ref that `to_json` wrote, of this version or an earlier one.

        Raises:
            ValueError: The text is not JSON.
            TypeError: A field is missing or unknown.
        """
        import json

        fields = json.loads(text)
        return cls(**fields) if "commit_uri" in fields else earlier_ref(**fields)


def earlier_ref(**fields: Any) -> CapabilityRunRef:
    """The ref that a version without revisions wrote: its ``store_uri`` is the object that makes the run visible."""
    ref = CapabilityRunRef(**fields)
    return evolve(ref, commit_uri=ref.store_uri)
