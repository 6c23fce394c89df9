"""Submit runs of capabilities as jobs, follow them, and find their results.

This is the users' door. Authors of job backends and stores use `checkmaite.jobs.spi`, and check their work with
`checkmaite.jobs.testing`.
"""

import typing

from checkmaite.jobs._shared.capability_protocols import Capability, CapabilityRun
from checkmaite.jobs._shared.errors import (
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
    PayloadKeyError,
    QueryError,
    RecordError,
    ScopeKeyError,
    StagedObjectError,
    StaleResultError,
    StoreConflictError,
    StoreCorruptError,
    StoreError,
    StoreHistoryError,
    StoreNotFoundError,
    StorePermissionError,
    StoreUnavailableError,
    UnconfirmedError,
)
from checkmaite.jobs._shared.job_info import JobAttempt, JobInfo
from checkmaite.jobs._shared.job_protocols import Job, JobBackend, JobProgress, SchedulingInfo
from checkmaite.jobs._shared.kinds import FailureKind, PendingReason
from checkmaite.jobs._shared.problems import Problem
from checkmaite.jobs._shared.provenance import (
    Provenance,
    configure_provenance,
    get_provenance_defaults,
    reset_provenance,
)
from checkmaite.jobs._shared.receipt import WriteReceipt
from checkmaite.jobs._shared.record import Record
from checkmaite.jobs._shared.refs import CapabilityRunRef, Report
from checkmaite.jobs._shared.resources import Resources
from checkmaite.jobs._shared.reuse import Reuse, ReuseKind
from checkmaite.jobs._shared.run_table import RunTable
from checkmaite.jobs._shared.running import report_progress
from checkmaite.jobs._shared.salvaged import SalvagedRun, Unreadable
from checkmaite.jobs._shared.scopes import ScopeSummary
from checkmaite.jobs._shared.staged import Staged
from checkmaite.jobs._shared.status import JobStatus
from checkmaite.jobs._shared.store_config import AnalyticsStoreConfig, ArtifactStoreConfig
from checkmaite.jobs._shared.store_protocols import AnalyticsStore, ColumnDescription, TableDescription, Tag
from checkmaite.jobs._submitters.active import get_job_backend
from checkmaite.jobs._submitters.api import (
    cancel_all,
    configure_job_backend,
    get_job,
    list_jobs,
    list_scopes,
    plan_capabilities,
    read_job_history,
    read_job_logs,
    read_salvaged_run,
    shutdown_job_backend,
    submit_capabilities,
    submit_capability,
)
from checkmaite.jobs._submitters.job_list import JobList
from checkmaite.jobs._submitters.staging import stage, unstage
from checkmaite.jobs._submitters.streams import watch
from checkmaite.jobs._submitters.submission import Submission
from checkmaite.jobs._submitters.waiting import as_completed, wait_all

if typing.TYPE_CHECKING:
    from checkmaite.jobs._submitters.executor import JobExecutor, JobFuture
else:
    from checkmaite.jobs._submitters.late_names import __dir__, __getattr__  # noqa: F401 - the executor

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
    "FailureKind",
    "IncompatibleVersionError",
    "Job",
    "JobAttempt",
    "JobBackend",
    "JobCancelledError",
    "JobExecutor",
    "JobFailedError",
    "JobFuture",
    "JobInfo",
    "JobList",
    "JobLostError",
    "JobNotFoundError",
    "JobProgress",
    "JobStatus",
    "JobSubmissionError",
    "JobTimeoutError",
    "JobsError",
    "MissingDependencyError",
    "NotConfiguredError",
    "PayloadKeyError",
    "PendingReason",
    "Problem",
    "Provenance",
    "QueryError",
    "Record",
    "RecordError",
    "Report",
    "Resources",
    "Reuse",
    "ReuseKind",
    "RunTable",
    "SalvagedRun",
    "SchedulingInfo",
    "ScopeKeyError",
    "ScopeSummary",
    "Staged",
    "StagedObjectError",
    "StaleResultError",
    "StoreConflictError",
    "StoreCorruptError",
    "StoreError",
    "StoreHistoryError",
    "StoreNotFoundError",
    "StorePermissionError",
    "StoreUnavailableError",
    "Submission",
    "TableDescription",
    "Tag",
    "UnconfirmedError",
    "Unreadable",
    "WriteReceipt",
    "as_completed",
    "cancel_all",
    "configure_job_backend",
    "configure_provenance",
    "get_job",
    "get_job_backend",
    "get_provenance_defaults",
    "list_jobs",
    "list_scopes",
    "plan_capabilities",
    "read_job_history",
    "read_job_logs",
    "read_salvaged_run",
    "report_progress",
    "reset_provenance",
    "shutdown_job_backend",
    "stage",
    "submit_capabilities",
    "submit_capability",
    "unstage",
    "wait_all",
    "watch",
]
