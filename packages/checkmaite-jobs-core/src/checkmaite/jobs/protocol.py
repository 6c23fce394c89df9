"""The names of ``checkmaite.jobs.protocol`` 0.6.1, for the types of `checkmaite.jobs`, so that `except` finds them."""

from checkmaite.jobs._shared.deprecation import deprecated
from checkmaite.jobs._shared.errors import (
    BackpressureError,
    JobCancelledError,
    JobFailedError,
    JobSubmissionError,
    JobTimeoutError,
)
from checkmaite.jobs._shared.errors import JobsError as JobError
from checkmaite.jobs._shared.errors import StoreNotFoundError as RunArtifactNotAvailableError
from checkmaite.jobs._shared.job_protocols import Job, JobBackend
from checkmaite.jobs._shared.refs import CapabilityRunRef
from checkmaite.jobs._shared.status import JobStatus

__all__ = [
    "BackpressureError",
    "CapabilityRunRef",
    "Job",
    "JobBackend",
    "JobCancelledError",
    "JobError",
    "JobFailedError",
    "JobStatus",
    "JobSubmissionError",
    "JobTimeoutError",
    "RunArtifactNotAvailableError",
]

deprecated("checkmaite.jobs.protocol is kept for CheckMAITE 0.6.1's users: import from checkmaite.jobs.")
