"""Options of ``configure_job_backend("ray", ...)`` and of one of its jobs.

Those of a shared registry that are left out mean: whatever the registry has, or the default when this client is the one
that starts it. What is given must agree with a registry that runs already.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

import attrs
from attrs import frozen, validators
from checkmaite.jobs import ConfigurationError, Problem
from checkmaite.jobs.spi import (
    ObjectStore,
    RunOptions,
    SecretText,
    amount_problem,
    check_policy,
    custom_problems,
    is_finite,
    option,
    shown,
    uri_problem,
    usable_uri,
)
from checkmaite.jobs_ray.names import REFUSED, RENAMED, registry_name
from checkmaite.jobs_ray_simple.cluster import DEFAULT_MAINTENANCE_JOBS, ConnectionOptions, isolation_level

_not_negative = validators.optional(validators.ge(0))
_whole = validators.ge(1)
_positive = validators.optional(validators.gt(0))


class _LeftOut(Enum):
    """The default of a limit: None means that there is none."""

    LEFT_OUT = "left out"


_LEFT_OUT: Any = _LeftOut.LEFT_OUT

_NO_LIMIT = 2**53
"""What stands for no limit in a registry's settings: more jobs, bytes and seconds than there will be."""


def _limit(doc: str, *, least: int) -> Any:
    """A limit of the registry: a number from `least` on, or None for no limit."""

    def checked(_: object, attribute: Any, value: float | None) -> None:
        if value is not None and value is not _LEFT_OUT and value < least:
            raise ValueError(f"'{attribute.name}' must be >= {least}: {shown(value)}")

    return option(f"{doc} None: no limit.", default=_LEFT_OUT, validator=checked)


def _name(_: object, attribute: Any, value: str | None) -> None:
    if value is not None and (not value.strip() or not value.isprintable()):
        raise ValueError(f"{value!r} is not a printable name")


def _folder(_: object, attribute: Any, value: str | None) -> None:
    if value is not None and value.startswith("memory:"):
        raise ValueError("memory:// ends with its process, so it keeps no journal")
    if value:
        usable_uri(_, attribute, value)


def _amount(_: object, attribute: Any, value: float | None) -> None:
    """A number that Ray can reserve for an actor."""
    if value is not None and (problem := amount_problem(attribute.name, value)):
        raise ValueError(problem.cause)


def _amounts(_: object, attribute: Any, value: Mapping[str, Any] | None) -> None:
    for name, amount in (value or {}).items():
        if not name.strip() or not name.isprintable():
            raise ValueError(f"{name!r} is not a printable name")
        if isinstance(amount, bool) or not isinstance(amount, (int, float)) or not is_finite(amount) or amount < 0:
            raise ValueError(f"{name!r} is {shown(amount)}, which is not an amount")
    for problem in custom_problems(value or {}):
        raise ValueError(f"{problem.path!r}: {problem.cause}")


def _failed_or_all(_: object, attribute: Any, value: str | None) -> None:
    if value not in {None, "failed", "all"}:
        raise ValueError(f"{value!r} is neither 'failed' nor 'all'")


def _recovery(_: object, attribute: Any, value: str) -> None:
    if value not in {"resubmit", "fail"}:
        raise ValueError(f"{value!r} is neither 'resubmit' nor 'fail'")


@frozen(kw_only=True)
class RegistrySettings:
    """What one registry and its controllers keep to; the same for every client. Each is documented in `RayOptions`."""

    registry_max_pending_calls: int = 1_000
    controller_max_pending_calls: int = 50_000
    controller_pool_size: int = 1  # two share no workers: measured in docs/design/measurements.md
    controller_retention_s: float = 3_600.0
    max_retained_terminal_controllers: int = 1_000
    controller_num_cpus: float = 0.0
    controller_memory: int | None = None
    controller_resources: Mapping[str, float] | None = None
    terminal_job_retention_s: float = 604_800.0
    max_retained_terminal_jobs_per_scope: int = 100_000
    max_active_jobs_per_scope: int = 100_000
    keep_logs: str = "failed"
    max_kept_log_bytes: int = 2**30
    keep_inputs: str = "failed"
    max_kept_input_bytes: int = 2**30
    heartbeat_interval_s: float = 5.0
    lease_ttl_s: float = 30.0
    store_maintenance_jobs: int = DEFAULT_MAINTENANCE_JOBS
    packs_by_history: bool = True
    journal_uri: str | None = None
    private_files: bool = False
    hooks: Mapping[str, Mapping[str, Any]] | None = None

    def wire(self) -> dict[str, Any]:
        """As builtins."""
        return attrs.asdict(self)


@frozen
class RayOptions(ConnectionOptions):
    """Where Ray is, which registry to share, and how jobs run."""

    idempotency_scope: str = option(
        "whoever configures the same scope shares jobs: the same run is submitted once, and everybody finds it. For "
        'example "team-a-notebooks".',
        validator=_name,
    )
    scope_key: SecretText | None = option(  # noqa: RUF009 - it makes a field
        "a secret of 16 characters or more that whoever uses the scope has to know, as text, or where it is: "
        '{"env": NAME} or {"file": ABSOLUTE PATH}. The first client gives it to the scope. None: no key.',
        default=None,
        repr=False,
    )
    registry_actor_name: str | None = option(
        "name of the registry's actor; derived from the scope when left out. Give one to let several scopes share a "
        "registry.",
        default=None,
        validator=_name,
    )
    registry_namespace: str = option(
        "Ray namespace of the registry and its controllers.", default="checkmaite_jobs", validator=_name
    )
    registry_max_pending_calls: int | None = _limit(
        "submissions that may be under way in the registry at once; 1,000 when left out. One more is refused with a "
        "BackpressureError.",
        least=1,
    )
    registry_num_cpus: float = option(
        "CPUs that the registry reserves. With none, and no registry_resources, it is on the head of the cluster.",
        default=0.0,
        validator=[validators.ge(0), _amount],
    )
    registry_memory: int | None = option(
        "bytes of memory that the registry reserves; none when left out.",
        default=None,
        validator=[validators.optional(validators.ge(1)), _amount],
    )
    registry_resources: Mapping[str, Any] | None = option(
        'custom resources of the node that the registry runs on, for example {"control": 0.01}.',
        default=None,
        validator=_amounts,
    )
    registry_startup_timeout_s: float = option(
        "seconds in which the registry must answer for the first time.", default=60.0, validator=validators.gt(0)
    )
    registry_update_timeout_s: float = option(
        "seconds in which the registry must answer any later call.", default=30.0, validator=validators.gt(0)
    )
    controller_max_pending_calls: int | None = _limit(
        "accepted jobs that may wait for one controller to take them; 50,000 when left out. More are refused with a "
        "BackpressureError.",
        least=1,
    )
    controller_pool_size: int | None = option(
        "controllers, whatever the number of jobs; 1 when left out.",
        default=None,
        validator=validators.optional(validators.ge(1)),
    )
    controller_num_cpus: float | None = option(
        "CPUs that each controller reserves; 0 when left out. With none, and no controller_resources, controllers are "
        "on the head of the cluster.",
        default=None,
        validator=[_not_negative, _amount],
    )
    controller_memory: int | None = option(
        "bytes of memory that each controller reserves; none when left out.",
        default=None,
        validator=[validators.optional(validators.ge(1)), _amount],
    )
    controller_resources: Mapping[str, Any] | None = option(
        'custom resources of the nodes that controllers run on, for example {"control": 0.01}.',
        default=None,
        validator=_amounts,
    )
    controller_retention_s: float | None = _limit(
        "seconds for which a controller keeps a finished job and its output; 3,600 when left out, 1e9 are 30 years.",
        least=0,
    )
    max_retained_terminal_controllers: int | None = _limit(
        "finished jobs that each controller keeps, with their output; 1,000 when left out.",
        least=0,
    )
    terminal_job_retention_s: float | None = _limit(
        "seconds for which a finished job is listed; a week when left out, 1e9 are 30 years.",
        least=0,
    )
    max_retained_terminal_jobs_per_scope: int | None = _limit(
        "finished jobs of a scope that are listed; 100,000 when left out.",
        least=1,
    )
    max_active_jobs_per_scope: int | None = _limit(
        "jobs of a scope that may be live; 100,000 when left out. More are refused with a BackpressureError, and a "
        "batch that is larger by itself with a JobSubmissionError.",
        least=1,
    )
    store_maintenance_jobs: int | None = _limit(
        "completed jobs after which a controller lets a worker maintain the store, beside the jobs and with the least "
        "priority; 200 when left out.",
        least=1,
    )
    packs_by_history: bool | None = option(
        "whether jobs of a capability whose last 20 runs took less than 20 ms each are run in packs, as those with "
        'resources={"short": True} are; True when left out.',
        default=None,
    )
    keep_logs: str | None = option(
        'whose output is kept beside the journal: "failed" jobs\' (when left out), or that of "all".',
        default=None,
        validator=_failed_or_all,
    )
    max_kept_log_bytes: int | None = _limit(
        "bytes that the kept output of a registry's jobs may take, compressed; 1 GiB when left out. Then that of the "
        "oldest jobs is deleted.",
        least=0,
    )
    keep_inputs: str | None = option(
        'whose inputs are kept, so that `job.rerun()` works from any process: those of jobs which "failed" or were '
        'cancelled (when left out), or those of "all".',
        default=None,
        validator=_failed_or_all,
    )
    max_kept_input_bytes: int | None = _limit(
        "bytes that the kept inputs of a registry's jobs may take, payloads included; 1 GiB when left out. Then those "
        "of the oldest jobs are deleted; 0 keeps none.",
        least=0,
    )
    heartbeat_interval_s: float | None = option(
        "seconds after which a controller without news says that it lives; 5 when left out.",
        default=None,
        validator=_positive,
    )
    lease_ttl_s: float | None = option(
        "seconds of silence after which a controller loses its jobs; 30 when left out.",
        default=None,
        validator=_positive,
    )
    scheduling_timeout_s: float | None = option(
        "seconds in which a job must find a worker, else it fails; without limit when left out or None.",
        default=None,
        validator=_positive,
    )
    max_retries: int = option(
        "how often a job is started again whose worker or node died, -1 for without limit; an exception of the job "
        "itself is never retried.",
        default=3,
        validator=validators.ge(-1),
    )
    max_attempts: int = option(
        "how often a job is started in all, for whatever reason.", default=10, validator=validators.ge(1)
    )
    recovery: str = option(
        'what becomes of a job whose controller is lost: "resubmit" starts it again, "fail" ends it with JobLostError.',
        default="resubmit",
        validator=_recovery,
    )
    reuse: str = option(
        'when a result that is there is used again, for jobs that do not say so themselves: "auto", where run key and '
        'fingerprints agree; "always", where the run key agrees; "never"; or "require".',
        default="auto",
        validator=check_policy,
    )
    journal_uri: str | None = option(
        "folder or fsspec URL of the journal, which keeps jobs beyond the life of the cluster; `_jobs` below the "
        "analytics store when left out, None keeps them in memory only. A URL of the analytics store's kind is opened "
        "with its storage_options.",
        default="",
        validator=_folder,
    )
    private_files: bool | None = option(
        "True gives the journal's folder and files on a disk, payloads and kept output included, the modes 0700 and "
        "0600, whatever the umask is; as the registry has it when left out.",
        default=None,
    )
    max_payload_bytes: int = option(
        "bytes of the largest capability with its arguments, pickled, that is sent to a worker.",
        default=2**30,
        validator=_whole,
    )

    @classmethod
    def renamed_options(cls) -> Mapping[str, str]:
        """See `checkmaite.jobs.spi.parse_options`."""
        return RENAMED

    @classmethod
    def refused_options(cls) -> Mapping[str, str]:
        """Likewise."""
        return REFUSED

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        settings = RegistrySettings(**self.asked)
        problems = []
        if settings.lease_ttl_s <= settings.heartbeat_interval_s:
            cause = (
                f"{settings.lease_ttl_s:g} s are not longer than heartbeat_interval_s="
                f"{settings.heartbeat_interval_s:g}: controllers would lose their jobs between two signs of life."
            )
            problems.append(Problem("lease_ttl_s", cause, "Make it several times as long."))
        if self.scope_key is not None and self.journal_uri is None:
            cause = "without a journal the scope would be open again once its registry has ended."
            problems.append(Problem("scope_key", cause, "Leave journal_uri=None out, or the key."))
        if self.journal_uri and (fault := uri_problem("journal_uri", self.journal_uri, remote=self.is_remote)):
            problems.append(fault)
        if problems:
            raise ConfigurationError("These options contradict each other.", problems)

    @property
    def asked(self) -> dict[str, Any]:
        """The settings of the registry that were given."""
        names = [
            item.name for item in attrs.fields(RegistrySettings) if item.name != "hooks"
        ]  # those are no option of ours
        values: dict[str, Any] = {name: getattr(self, name) for name in names}
        given: dict[str, Any] = {
            name: _NO_LIMIT if value is None and name in _LIMITS else value for name, value in values.items()
        }
        given = {name: value for name, value in given.items() if value is not None and value is not _LEFT_OUT}
        if uri := given.pop("journal_uri", None):
            given["journal_uri"] = ObjectStore(uri).root
        return given

    @property
    def registry_name(self) -> str:
        """Name of the registry's actor."""
        return self.registry_actor_name or registry_name(self.idempotency_scope)


_LIMITS = frozenset(item.name for item in attrs.fields(RayOptions) if item.default is _LEFT_OUT)


@frozen(kw_only=True)
class RayRunOptions(RunOptions):
    """What can be said of one job; what is left out is taken from the backend's options."""

    max_retries: int | None = option(
        "how often this job is started again when its worker died.",
        default=None,
        validator=validators.optional(validators.ge(-1)),
    )
    max_attempts: int | None = option(
        "how often this job is started in all.", default=None, validator=validators.optional(validators.ge(1))
    )
    scheduling_timeout_s: float | None = option(
        "seconds in which this job must find a worker; the backend's scheduling_timeout_s when left out.",
        default=None,
        validator=validators.optional(validators.gt(0)),
    )
    isolation: str | None = option(
        '"process" or "reuse", as the backend\'s isolation, which counts when left out.',
        default=None,
        validator=isolation_level,
    )
