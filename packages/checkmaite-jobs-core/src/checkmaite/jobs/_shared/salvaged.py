"""A run whose rows were kept because they could not be stored, for whoever mends it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field, frozen
from checkmaite.jobs._shared.provenance import Provenance
from checkmaite.jobs._shared.refs import Report


@frozen
class Unreadable:
    """A value that could not be kept; a store refuses it, so put another in its place.

    Attributes:
        type_name: What it was.
        text: How it showed itself.
    """

    type_name: str
    text: str


@define(kw_only=True)
class SalvagedRun:
    """A run whose rows were kept because they could not be stored. Mend `records`, then give it to any store's `write`.

    Attributes:
        run_uid: The run.
        capability_id: The capability that ran.
        dataset_metadata: As the run had it; so are the next two.
        model_metadata: Its models.
        metric_metadata: Its metrics.
        outputs_uri: Where the run wrote more by itself.
        records: Its rows, mappings with a ``table_name``.
        provenance: Who ran it; pass it on to `write`.
        report: Its report, when that was a short text.
        error: Why it could not be stored.
        left_out: How many rows are missing, because there were too many to keep.
    """

    run_uid: str
    capability_id: str
    dataset_metadata: Sequence[Mapping[str, Any]]
    model_metadata: Sequence[Mapping[str, Any]]
    metric_metadata: Sequence[Mapping[str, Any]]
    outputs_uri: str | None
    records: list[dict[str, Any]] = field(repr=False)
    provenance: Provenance
    report: Report | None
    error: str
    left_out: int

    def extract(self) -> list[dict[str, Any]]:
        """The records."""
        return self.records
