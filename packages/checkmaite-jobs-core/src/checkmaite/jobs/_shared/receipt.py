"""What a store says after it has written a run."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen


@frozen(kw_only=True)
class WriteReceipt:
    """Proof that a run is durable and visible to every reader.

    Attributes:
        run_uid: The run.
        revision: Which result of the run is meant: the one that this call stored, or the one that was there.
        store_uri: What a reader can open for the run's rows; None when the run gave no rows, so that there was
            nothing to store.
        commit_uri: The object that makes this result visible; None when the store has none of its own.
        created: True when this call stored the result, False when it was there already, also by an earlier attempt of
            the same job. Either way exactly one copy of it is stored: the first durable write of a revision wins.
        rows: Rows given for each table by this call, by table name.
    """

    run_uid: str
    revision: int = 1
    store_uri: str | None
    commit_uri: str | None = None
    created: bool
    rows: Mapping[str, int] = field(factory=dict)
