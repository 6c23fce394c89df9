"""What a worker does, beside its jobs, for the places that they write to."""

from __future__ import annotations

import os

from checkmaite.jobs._shared.discovery import open_store
from checkmaite.jobs._shared.order import Terms
from checkmaite.jobs._shared.store_protocols import HasMaintenance
from checkmaite.jobs._workers.report import DocumentFolder

_LEAST_PRIORITY = 19


def maintain_store(written_terms: bytes) -> bool:
    """Let the store that jobs write to maintain itself, if it is a store that does, and sweep their artifact store.

    It takes as long as it takes. The process is given the least priority, so it must do nothing else and then end.

    Args:
        written_terms: `Terms.written` of such jobs.

    Returns:
        Whether there was anything to do it for; if not, there will be nothing later.

    Raises:
        IncompatibleVersionError: This process cannot read them.
        ConfigurationError: The store cannot be opened here.
        StoreError: The store refused or could not be reached.
    """
    spec = Terms.read(written_terms).store
    store = open_store(spec)
    chores = [store.maintain] if isinstance(store, HasMaintenance) else []
    if spec.artifacts is not None:
        chores.append(DocumentFolder(spec.artifacts).sweep)
    if chores:
        os.nice(_LEAST_PRIORITY)
    for chore in chores:
        chore()
    return bool(chores)
