"""What every analytics store promises, as tests."""

from __future__ import annotations

from checkmaite.jobs.testing._store.history import HistoryContract
from checkmaite.jobs.testing._store.reading import ReadingContract
from checkmaite.jobs.testing._store.records import RecordContract
from checkmaite.jobs.testing._store.revisions import RevisionContract
from checkmaite.jobs.testing._store.writing import WritingContract


class AnalyticsStoreContract(WritingContract, RecordContract, ReadingContract, RevisionContract, HistoryContract):
    """Inherit it, make the store, and every promise of `AnalyticsStore` is tested.

    Override `make_store`, and `make_broken_store` where a store can be one that nobody can reach.
    """
