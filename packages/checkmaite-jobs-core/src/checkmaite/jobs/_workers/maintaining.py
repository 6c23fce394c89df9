"""What a worker does for a store beside its jobs."""

from __future__ import annotations

import os

from checkmaite.jobs._shared.discovery import open_store
from checkmaite.jobs._shared.order import Terms
from checkmaite.jobs._shared.store_protocols import HasMaintenance

_LEAST_PRIORITY = 19


def maintain_store(written_terms: bytes) -> None:
    """Let the store that jobs write to maintain itself, if it is a store that does.

    It takes as long as it takes. The process is given the least priority, so it must do nothing else and then end.

    Args:
        written_terms: `Terms.written` of such jobs.

    Raises:
        IncompatibleVersionError: This process cannot read them.
        ConfigurationError: The store cannot be opened here.
        StoreError: The store refused or could not be reached.
    """
    store = open_store(Terms.read(written_terms).store)
    if isinstance(store, HasMaintenance):
        os.nice(_LEAST_PRIORITY)
        store.maintain()
