"""What a store says after it has written a run."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen


@frozen(kw_only=True)
class WriteReceipt:
    """Proof that a run is durable and visible to every reader.

    Attributes:
        run_uid: The run.
        store_uri: URI of the object that makes the run visible; None when the run gave no rows,
            so that there was nothing to store.
        created: True when this call made the run visible, False when it was there already.
            Either way exactly one copy is stored: the first durable write wins.
        rows: Rows given for each table by this call, by table name.
    """

    run_uid: str
    store_uri: str | None
    created: bool
    rows: Mapping[str, int] = field(factory=dict)
