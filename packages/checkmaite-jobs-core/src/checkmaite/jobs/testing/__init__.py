"""Conformance suites: inherit one in a pytest module and your backend or store is held to its promises.

A backend's module::

    from checkmaite.jobs.testing import JobBackendContract


    class TestMine(JobBackendContract):
        kind = "mine"
        analytics_store = {"backend": "null"}

A store's module::

    from checkmaite.jobs.testing import AnalyticsStoreContract


    class TestMine(AnalyticsStoreContract):
        def make_store(self, folder):
            return MyStore(folder / "store")
"""

import typing

from checkmaite.jobs.testing._samples import SampleCapability, SampleRecord, SampleRun

if typing.TYPE_CHECKING:
    from checkmaite.jobs.testing._backend.contract import JobBackendContract
    from checkmaite.jobs.testing._store.contract import AnalyticsStoreContract
else:
    from checkmaite.jobs.testing._suites import __getattr__  # noqa: F401 - the two suites

__all__ = ["AnalyticsStoreContract", "JobBackendContract", "SampleCapability", "SampleRecord", "SampleRun"]
