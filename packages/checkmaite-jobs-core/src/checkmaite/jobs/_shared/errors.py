"""Every error that this project raises: one family, `JobsError` at its root.

An error says what went wrong, why, and what to do next. All of them survive pickling, because they cross process
borders: `JobsError` rebuilds itself from its message and its fields instead of from ``args``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from checkmaite.jobs._shared.kinds import FailureKind
from checkmaite.jobs._shared.problems import Problem, listed


class JobsError(Exception):
    """Root of the family: catch this to catch everything that checkmaite-jobs raises on purpose."""

    retryable: bool = False
    """Whether the same call may succeed later without any change."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.__module__ == __name__:  # tracebacks and jobs' errors name the place where users import it from
            cls.__module__ = "checkmaite.jobs"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__)

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


def _rebuild(kind: type[JobsError], args: tuple[Any, ...], fields: dict[str, Any]) -> JobsError:
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(fields)
    return error


class _WithProblems(JobsError):  # noqa: N818
    """An error that lists every fault found, not only the first."""

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        self.problems = tuple(problems)
        super().__init__(f"{message}\n{listed(self.problems)}" if self.problems else message)


class ConfigurationError(_WithProblems, ValueError):
    """The configuration cannot be used; the backend that was active before still is.

    Attributes:
        problems: Every fault found, each with its path, cause and remedy.
    """


class NotConfiguredError(ConfigurationError, RuntimeError):
    """A job was submitted or asked for before `configure_job_backend` was called."""


class ArgumentError(ConfigurationError, TypeError):
    """A function or method was called with an argument that it cannot take; nothing was done.

    It is a `TypeError` and a `ValueError` too, as Python's own refusals are the one or the other.

    Attributes:
        problems: Every fault found, each with its path, cause and remedy.
    """


class MissingDependencyError(ConfigurationError, ImportError):
    """An optional package is needed and not installed.

    Attributes:
        requirement: What to install, as pip takes it: ``checkmaite-store-parquet[sql]``.
    """

    def __init__(self, message: str, *, requirement: str) -> None:
        self.requirement = requirement
        super().__init__(f'{message} Install it with: pip install "{requirement}"')


class ScopeKeyError(ConfigurationError):
    """The scope has a key, and this client has shown none or another one; it was told nothing and changed nothing.

    Attributes:
        problems: What to pass.
    """


class PayloadKeyError(JobsError):
    """An encrypted payload could not be sealed or opened: the key is not there, or is another one."""


class JobSubmissionError(_WithProblems, RuntimeError):
    """A submission was refused; nothing of its batch was submitted.

    Attributes:
        phase: Where it was refused: ``validate``, ``run_key``, ``serialize``, ``connect`` or ``launch``.
        problems: Every fault found, each with its path, cause and remedy.
    """

    def __init__(self, message: str, *, phase: str, problems: Sequence[Problem] = ()) -> None:
        self.phase = phase
        super().__init__(f"{message} (phase: {phase})", problems)


class StaleResultError(JobSubmissionError):
    """``reuse="require"`` was asked for, and a run would have to be made; the message says what differs."""


class BackpressureError(JobsError, RuntimeError):
    """The backend is full; nothing was accepted. Try the same call again later.

    Attributes:
        retry_after_s: When a new attempt makes sense, in seconds from now.
    """

    retryable = True

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(f"{message} Try again in {retry_after_s:g} s.")


class BackendUnavailableError(JobsError):
    """The backend did not answer in time, or cannot be reached now. Nothing was done.

    The same call may be made again.
    """

    retryable = True


class UnconfirmedError(BackendUnavailableError):
    """The backend has not said in time whether it did what it was asked for: it may have, and it may yet.

    The same call may be made again, in the same process: it gives the same jobs, whatever became of the first one.

    Attributes:
        job_ids: The jobs that may be accepted, or the job that may be cancelled; `get_job` tells of each.
    """

    def __init__(self, message: str, *, job_ids: Sequence[str]) -> None:
        self.job_ids = tuple(job_ids)
        super().__init__(message)


class JobTimeoutError(JobsError, TimeoutError):
    """The wait ended before the job did; the job goes on."""


class JobCancelledError(JobsError):
    """The job was cancelled, so it has no result.

    Attributes:
        job_id: The job.
    """

    def __init__(self, message: str, *, job_id: str) -> None:
        self.job_id = job_id
        super().__init__(message)


class JobFailedError(JobsError):
    """The job failed; what is known of the failure, as plain text.

    The user's own exception class is never needed to read it.

    Attributes:
        job_id: The job.
        error_type: Qualified name of the remote exception class, for example ``torch.cuda.OutOfMemoryError``.
        error_message: The remote exception's own message.
        traceback_text: The remote traceback, formatted; empty when the process died without one.
        phase: What was going on: ``schedule`` or ``launch`` before a worker had it; ``start``, ``store`` (opened and
            probed), ``load``, ``run`` or ``write``, which includes the run's `extract`, on the worker; ``lost`` when
            nobody knows.
        node: Host name or node id where it happened; None when unknown.
        pid: Process id on that node; None when unknown.
        exit_cause: Why the worker process ended (exit code, signal, out of memory); None when it did not.
        kind: What ended the job, by name, with its cause and remedy.
    """

    def __init__(
        self,
        message: str,
        *,
        job_id: str,
        error_type: str,
        error_message: str,
        traceback_text: str = "",
        phase: str = "run",
        node: str | None = None,
        pid: int | None = None,
        exit_cause: str | None = None,
        kind: FailureKind = FailureKind.OTHER,
    ) -> None:
        self.job_id = job_id
        self.error_type = error_type
        self.error_message = error_message
        self.traceback_text = traceback_text
        self.phase = phase
        self.node = node
        self.pid = pid
        self.exit_cause = exit_cause
        self.kind = kind
        super().__init__(message)

    def __str__(self) -> str:
        first = super().__str__()
        return f"{first}\n\nRemote traceback:\n{self.traceback_text}" if self.traceback_text else first


class JobLostError(JobFailedError):
    """The machinery around the job died, so its end is unknown; it may be submitted again."""


class JobNotFoundError(JobsError, KeyError):
    """No job with this id is known to the active backend.

    Attributes:
        job_id: The id.
        where: What was looked through.
    """

    def __init__(self, job_id: str, *, where: str) -> None:
        self.job_id = job_id
        self.where = where
        super().__init__(
            f"no job {job_id!r} in {where}. list_jobs() shows the jobs that are known; "
            "finished ones are kept for a limited time."
        )


class IncompatibleVersionError(JobsError):
    """Two processes that must understand each other run versions that do not.

    Attributes:
        here: What this side runs.
        there: What the other side runs.
    """

    def __init__(self, message: str, *, here: str, there: str) -> None:
        self.here = here
        self.there = there
        super().__init__(message)


class StoreError(JobsError):
    """The analytics store could not do what was asked; root of the store's errors.

    Attributes:
        uri: The object or folder concerned, without secrets; None when there is none.
    """

    def __init__(self, message: str, *, uri: str | None = None) -> None:
        self.uri = uri
        super().__init__(message)


class StoreUnavailableError(StoreError):
    """The store did not answer, or answered that it cannot now. Trying again may help."""

    retryable = True


class StorePermissionError(StoreError, PermissionError):
    """The store refused the credentials, or they may not do this here."""


class StoreNotFoundError(StoreError, LookupError):
    """A table, object, bucket or folder that must exist does not."""


class StoreConflictError(StoreError):
    """An object that must be created exclusively is there already."""


class StoreCorruptError(StoreError):
    """An object in the store is not what it must be; reading on would give wrong results."""


class StoreHistoryError(StoreError):
    """The store can no longer show the moment that was asked for: something that it held then is not there any more."""


class StagedObjectError(StoreError):
    """A staged object could not be read: it is gone, not what was staged, or nowhere that this process can reach."""


class RecordError(StoreError, ValueError):
    """A run's records cannot be stored as they are; nothing of the run was written.

    Attributes:
        problems: Every fault found, each with its path, cause and remedy.
    """

    def __init__(self, message: str, problems: Sequence[Problem] = (), *, uri: str | None = None) -> None:
        self.problems = tuple(problems)
        super().__init__(f"{message}\n{listed(self.problems)}" if self.problems else message, uri=uri)


class QueryError(StoreError, ValueError):
    """The SQL text was refused or could not be run."""

    @classmethod
    def of(cls, cause: str, remedy: str) -> Self:
        """A query error from its cause and its remedy."""
        return cls(f"{cause} {remedy}")
