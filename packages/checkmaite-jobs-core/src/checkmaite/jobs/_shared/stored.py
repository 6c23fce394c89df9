"""One result of a run, as a store that keeps revisions knows it."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen
from checkmaite.jobs._shared.provenance import Provenance
from checkmaite.jobs._shared.refs import CapabilityRunRef


@frozen(kw_only=True)
class StoredRun:
    """A committed result: all of it is of the one attempt that won.

    Attributes:
        ref: What the job that stored it was given, and what every later one is given.
        provenance: Who stored it, when and for whom.
        created_at: When it was written (UTC).
    """

    ref: CapabilityRunRef
    provenance: Provenance
    created_at: datetime
