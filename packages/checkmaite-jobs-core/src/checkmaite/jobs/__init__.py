"""Submit runs of capabilities as jobs, follow them, and find their results.

This is the users' door. Authors of job backends and stores use `checkmaite.jobs.spi`, and check their work with
`checkmaite.jobs.testing`.
"""

from checkmaite.jobs._active import get_job_backend
from checkmaite.jobs._api import (
    configure_job_backend,
    get_job,
    list_jobs,
    plan_capabilities,
    read_job_history,
    read_job_logs,
    read_salvaged_run,
    shutdown_job_backend,
    submit_capabilities,
    submit_capability,
)
from checkmaite.jobs._errors import (
    ArgumentError,
    BackendUnavailableError,
    BackpressureError,
    ConfigurationError,
    IncompatibleVersionError,
    JobCancelledError,
    JobFailedError,
    JobLostError,
    JobNotFoundError,
    JobsError,
    JobSubmissionError,
    JobTimeoutError,
    MissingDependencyError,
    NotConfiguredError,
    QueryError,
    RecordError,
    StaleResultError,
    StoreConflictError,
    StoreCorruptError,
    StoreError,
    StoreNotFoundError,
    StorePermissionError,
    StoreUnavailableError,
)
from checkmaite.jobs._problems import Problem
from checkmaite.jobs._protocols import (
    AnalyticsStore,
    Capability,
    CapabilityRun,
    ColumnDescription,
    Job,
    JobBackend,
    JobProgress,
    SchedulingInfo,
    TableDescription,
)
from checkmaite.jobs._provenance import (
    Provenance,
    configure_provenance,
    get_provenance_defaults,
    reset_provenance,
)
from checkmaite.jobs._receipt import WriteReceipt
from checkmaite.jobs._record import Record
from checkmaite.jobs._refs import CapabilityRunRef, Report
from checkmaite.jobs._resources import Resources
from checkmaite.jobs._reuse import Reuse, ReuseKind
from checkmaite.jobs._running import report_progress
from checkmaite.jobs._salvaged import SalvagedRun, Unreadable
from checkmaite.jobs._status import JobStatus
from checkmaite.jobs._store_config import AnalyticsStoreConfig, ArtifactStoreConfig
from checkmaite.jobs._submission import Submission
from checkmaite.jobs._waiting import as_completed, wait_all

__all__ = [
    "AnalyticsStore",
    "AnalyticsStoreConfig",
    "ArgumentError",
    "ArtifactStoreConfig",
    "BackendUnavailableError",
    "BackpressureError",
    "Capability",
    "CapabilityRun",
    "CapabilityRunRef",
    "ColumnDescription",
    "ConfigurationError",
    "IncompatibleVersionError",
    "Job",
    "JobBackend",
    "JobCancelledError",
    "JobFailedError",
    "JobLostError",
    "JobNotFoundError",
    "JobProgress",
    "JobStatus",
    "JobSubmissionError",
    "JobTimeoutError",
    "JobsError",
    "MissingDependencyError",
    "NotConfiguredError",
    "Problem",
    "Provenance",
    "QueryError",
    "Record",
    "RecordError",
    "Report",
    "Resources",
    "Reuse",
    "ReuseKind",
    "SalvagedRun",
    "SchedulingInfo",
    "StaleResultError",
    "StoreConflictError",
    "StoreCorruptError",
    "StoreError",
    "StoreNotFoundError",
    "StorePermissionError",
    "StoreUnavailableError",
    "Submission",
    "TableDescription",
    "Unreadable",
    "WriteReceipt",
    "as_completed",
    "configure_job_backend",
    "configure_provenance",
    "get_job",
    "get_job_backend",
    "get_provenance_defaults",
    "list_jobs",
    "plan_capabilities",
    "read_job_history",
    "read_job_logs",
    "read_salvaged_run",
    "report_progress",
    "reset_provenance",
    "shutdown_job_backend",
    "submit_capabilities",
    "submit_capability",
    "wait_all",
]
