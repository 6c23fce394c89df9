"""What every job backend promises, as tests."""

from __future__ import annotations

from checkmaite.jobs.testing._backend.cancelling import CancellingContract
from checkmaite.jobs.testing._backend.futures import FuturesContract
from checkmaite.jobs.testing._backend.handles import HandleContract
from checkmaite.jobs.testing._backend.results import ResultContract
from checkmaite.jobs.testing._backend.running import RunningContract


class JobBackendContract(RunningContract, CancellingContract, FuturesContract, HandleContract, ResultContract):
    """Inherit it, name the backend, and every promise of `Job` and `JobBackend` is tested.

    Attributes:
        kind: The backend's entry point.
        analytics_store: The store to configure; ``{"backend": "null"}`` will do. ``{folder}`` in a value becomes a
            folder of the test's own.
        options: The backend's options.
        patience_s: Seconds within which a job of an idle backend starts, and within which anything else happens that
            a test waits for. A test that waits in vain fails after them, so raise it only for a backend that needs
            longer to start a job.
    """
