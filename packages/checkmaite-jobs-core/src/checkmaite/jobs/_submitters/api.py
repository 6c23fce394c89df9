"""What users call: one active backend, and submissions to it.

What only one of the functions needs, that function imports: the code of a capability imports this package for `Record`
or `report_progress` alone, on every worker, and should not pay for submitting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Never, cast

from attrs import NOTHING
from checkmaite.jobs._shared.errors import ConfigurationError
from checkmaite.jobs._shared.job_protocols import Job, JobBackend
from checkmaite.jobs._shared.provenance import get_provenance_defaults
from checkmaite.jobs._shared.resources import Resources
from checkmaite.jobs._shared.salvaged import SalvagedRun
from checkmaite.jobs._submitters.active import active, get_job_backend
from checkmaite.jobs._submitters.staging import note_jobs
from checkmaite.jobs._submitters.submission import Submission, submissions_of

if TYPE_CHECKING:
    from checkmaite.jobs._shared.config import BackendContext
    from checkmaite.jobs._shared.reuse import Reuse
    from checkmaite.jobs._shared.scopes import ScopeSummary
    from checkmaite.jobs._shared.store_config import AnalyticsStoreConfig, ArtifactStoreConfig
    from checkmaite.jobs._shared.trace_context import TraceContext
    from checkmaite.jobs._submitters.job_list import JobList
    from checkmaite.jobs._submitters.preparing import PreparedSubmission
    from checkmaite.jobs._submitters.submit_span import SubmitSpan


class _LeftOut:
    """The default of an argument that may stand elsewhere too; `help` shows what holds where it stands nowhere."""

    def __init__(self, shown: str) -> None:
        self._shown = shown

    def __repr__(self) -> str:
        return self._shown


_KIND: Any = _LeftOut("'ray'")
_STORE: Any = _LeftOut("<required>")
_SCOPE = "idempotency_scope"
_RETRY_S: Any = _LeftOut("3600.0")
_HOOKS: Any = _LeftOut("None")


def configure_job_backend(
    kind: str = _KIND,
    *,
    analytics_store: Mapping[str, Any] | AnalyticsStoreConfig = _STORE,
    artifact_store: Mapping[str, Any] | ArtifactStoreConfig | None = None,
    store_retry_s: float | None = _RETRY_S,
    hooks: Mapping[str, Mapping[str, Any]] | None = _HOOKS,
    profile: str | None = None,
    **backend_options: Any,
) -> JobBackend:
    """Choose where jobs run and where their results go, for every later submission of this process.

    A backend that was active before hands over: its jobs go on and its handles keep working.

    Args:
        kind: The job backend: ``"ray"``, ``"ray-simple"``, ``"inline"``, or one that a plug-in brings; ``"ray"`` when
            left out.
        analytics_store: ``{"backend": name, ...}`` with the store's own options, for example
            ``{"backend": "parquet", "uri": "./analytics_store"}``; Parquet when no backend is named.
        artifact_store: ``{"uri": ..., "storage_options": {...}}``, where documents such as reports above 256 KiB go.
            Left out: into the analytics store, if it keeps documents.
        store_retry_s: Seconds for which the results of a finished run are tried to be stored while a store does not
            answer; then their rows are kept in a file, which the job's error names. 0 tries once, None has no limit; an
            hour when left out.
        hooks: What is told of each job that is submitted, started and finished, and of a scope that becomes idle: the
            options of a hook by its name, for example ``{"webhook": {"url": "https://example.org/jobs"}}``.
        profile: Take what is left out here from the environment (``CHECKMAITE_JOBS_SCOPE`` and the like), then from
            this profile of the nearest ``checkmaite-jobs.toml``, or ``[tool.checkmaite-jobs]`` of ``pyproject.toml``.
            ``"default"`` is what stands there above all profiles. None reads neither.
        **backend_options: The backend's own options; see its page.

    Returns:
        The backend, which is active now.

    Raises:
        ConfigurationError: Something is wrong; the error lists everything that is, and the backend that was active
            before still is.
        StoreUnavailableError: The store did not answer within 10 s; likewise.
    """
    from checkmaite.jobs._shared.probing import probe_from_client
    from checkmaite.jobs._shared.staged_objects import StagingPlace

    common = {"store_retry_s": store_retry_s, "hooks": hooks}
    options = {name: value for name, value in common.items() if not isinstance(value, _LeftOut)} | backend_options
    _, backend_type, config, context = _configuration(profile, kind, analytics_store, artifact_store, options)
    probe_from_client(context.store, remote=bool(getattr(config, "is_remote", False)))
    with active.lock:
        backend = cast(JobBackend, backend_type(config, context))
        before, active.backend = active.backend, backend
        active.place = StagingPlace.of(context.store, getattr(config, "payload_key", None))
        active.traces = any(hook.traces for hook in context.hooks)
        if before is not None:
            before.hand_over()
    return backend


def _configuration(
    profile: str | None, kind: Any, analytics_store: Any, artifact_store: Any, options: Mapping[str, Any]
) -> tuple[str, Any, Any, BackendContext]:
    """What the arguments of `configure_job_backend` mean: the kind, and what `read_configuration` gives for it."""
    from checkmaite.jobs._submitters.configuring import read_configuration

    if profile is not None:
        from checkmaite.jobs._submitters.settings import read_settings

        artifacts = {} if artifact_store is None else {"artifact_store": artifact_store}
        given = {"kind": kind, "analytics_store": analytics_store, **artifacts, **options}
        given = {name: value for name, value in given.items() if not isinstance(value, _LeftOut)}
        options = dict(read_settings(profile, given=given).arguments)
        kind = options.pop("kind", _KIND)
        analytics_store = options.pop("analytics_store", _STORE)
        artifact_store = options.pop("artifact_store", None)
    kind = "ray" if kind is _KIND else kind
    store = NOTHING if analytics_store is _STORE else analytics_store
    return kind, *read_configuration(kind, store, artifact_store, options)


def submit_capability(
    capability: Any,
    models: Any = None,
    datasets: Any = None,
    metrics: Any = None,
    config: Any = None,
    *,
    use_cache: bool = False,
    job_name: str | None = None,
    resources: Resources | Mapping[str, Any] | None = None,
    tags: Mapping[str, str] | None = None,
    **options: Any,
) -> Job:
    """Submit one run and return its handle at once. For many, `submit_capabilities` is faster.

    Args:
        capability: An object with ``id`` and ``run``.
        models: Given to ``run`` as it is; so are the next three.
        datasets: Objects with ``metadata["id"]``, like models and metrics.
        metrics: The metrics.
        config: The capability's configuration.
        use_cache: Must stay False: a worker's own cache is neither shared nor kept.
        job_name: A name for people, at most 255 bytes; the capability's id when None.
        resources: For example ``{"num_cpus": 2, "num_gpus": 1}``. What is not given is taken from ``config.num_cpus``
            and ``num_gpus``, then from ``capability.default_num_cpus`` and ``default_num_gpus``, then 1 CPU and no GPU.
        tags: Names and texts to find the job by, for example ``{"team": "vision", "sweep": "12"}``: shown with it, kept
            with it, and a filter of `list_jobs`. They decide nothing: a run that is there already keeps its own.
        **options: Options of this job; ``reuse``, ``force`` and ``report_threshold`` everywhere, more by backend.
            ``reuse="auto"``, the default, uses a result again when run key and fingerprints agree, and makes the run
            again where something differs; ``"always"`` looks at the run key alone; ``"never"``, or ``force=True``,
            makes the run again; ``"require"`` is an error where the run would have to be made. ``job.reuse`` says what
            was decided.

    Raises:
        NotConfiguredError: No backend is active.
        JobSubmissionError: The submission is faulty; every fault is listed, and nothing was submitted.
        StaleResultError: ``reuse="require"``, and there is no result that agrees; nothing was submitted.
        BackpressureError: The backend is full; nothing was submitted.
    """
    submission = Submission(
        capability=capability,
        models=models,
        datasets=datasets,
        metrics=metrics,
        config=config,
        use_cache=use_cache,
        job_name=job_name,
        resources=resources,
        tags=tags,
        options=options,
    )
    return _submit([submission], several=False)[0]


def submit_capabilities(submissions: Iterable[Mapping[str, Any] | Submission]) -> JobList:
    """Submit many runs in one step, all of them or, when one is faulty, none.

    Args:
        submissions: Mappings of `submit_capability`'s arguments, ``capability`` included, or `Submission` objects.

    Returns:
        A handle for each, in order: a list that a notebook shows as a table.

    Raises:
        NotConfiguredError: No backend is active.
        JobSubmissionError: Some are faulty; every fault is listed with a path such as
            ``submissions[3].resources.num_cpus``, and nothing was submitted.
        BackpressureError: The backend is full; nothing was submitted.
    """
    from checkmaite.jobs._submitters.job_list import JobList

    return JobList(_submit(submissions_of(submissions), several=True))


def plan_capabilities(submissions: Iterable[Mapping[str, Any] | Submission]) -> list[Reuse]:
    """What `submit_capabilities` would decide about each submission now, without submitting anything.

    Jobs of the scope are compared, and stored runs where their uid is known before. What a run's uid is drawn for only
    while it runs cannot be known: such a run counts as one that would be made.

    Args:
        submissions: As for `submit_capabilities`.

    Returns:
        For each, in order, whether the run would be made (RUN), which result would be used again (REUSED), or what
        differs from the one that is there (STALE).

    Raises:
        NotConfiguredError: No backend is active.
        JobSubmissionError: Some are faulty; every fault is listed.
        BackendUnavailableError: The backend did not answer.
        StoreError: The analytics store cannot say.
    """
    from checkmaite.jobs._submitters.planning import plan

    backend = get_job_backend()
    return plan(backend, _prepared(backend, submissions_of(submissions), several=True))


def _submit(submissions: list[Submission], *, several: bool) -> list[Job]:
    backend = get_job_backend()
    with _submit_span(len(submissions)) as span:
        prepared = _prepared(backend, submissions, several=several, trace=span.carried)
        jobs = _accepted(backend, prepared)
        span.note(jobs)
    return jobs


def _submit_span(count: int) -> SubmitSpan:
    from checkmaite.jobs._submitters.submit_span import SubmitSpan

    return SubmitSpan(count, is_wanted=active.traces)


def _accepted(backend: JobBackend, prepared: list[PreparedSubmission]) -> list[Job]:
    from checkmaite.jobs._submitters.again import keep
    from checkmaite.jobs._submitters.planning import refuse_unless_reused

    refuse_unless_reused(backend, prepared)
    jobs = backend.submit(prepared) if prepared else []
    for each, job in zip(prepared, jobs, strict=True):
        note_jobs(each.staged, [job])
        keep(job.job_id, each.submission, each.run_key.value, _submit_again)
    return jobs


def _submit_again(submission: Submission, job_id: str, run_key: str) -> Job:
    from checkmaite.jobs._submitters.again import another_run

    backend = get_job_backend()
    with _submit_span(1) as span:
        prepared = _prepared(backend, [submission], several=False, trace=span.carried)
        if prepared[0].run_key.value != run_key:
            raise another_run(job_id)
        jobs = _accepted(backend, prepared)
        span.note(jobs)
    return jobs[0]


def _prepared(
    backend: JobBackend, submissions: list[Submission], *, several: bool, trace: TraceContext | None = None
) -> list[PreparedSubmission]:
    from checkmaite.jobs._submitters.preparing import RunOptions, prepare

    options_type: type[RunOptions] = getattr(backend, "run_options_type", RunOptions)
    return prepare(
        submissions,
        options_type=options_type,
        provenance=get_provenance_defaults(),
        several=several,
        default_reuse=getattr(backend, "default_reuse", "auto"),
        in_process=getattr(backend, "runs_in_process", False),
        place=active.place,
        trace=trace,
    )


def get_job(job_id: str) -> Job:
    """The job with this id.

    Raises:
        NotConfiguredError: No backend is active.
        JobNotFoundError: The active backend does not know it.
        ArgumentError: It is not the text of an id.
    """
    from checkmaite.jobs._submitters.arguments import job_id_given

    return get_job_backend().get_job(job_id_given(job_id))


def list_jobs(
    limit: int | None = 100,
    status_filter: object = None,
    submitted_before_ts: float | None = None,
    *,
    submitted_after_ts: float | None = None,
    job_name: str | None = None,
    capability_id: str | None = None,
    submitted_by: str | None = None,
    tags: Mapping[str, str] | None = None,
    all_scopes: bool = False,
    **unknown: Never,
) -> JobList:
    """The jobs that the active backend knows and that pass every filter, newest first; a notebook shows a table.

    Args:
        limit: At most this many; None for all.
        status_filter: A `JobStatus`, its name in any case, or several of them.
        submitted_before_ts: Created before this instant, in seconds since the epoch. To page, pass
            ``jobs[-1].created_at.timestamp()`` of the page before.
        submitted_after_ts: Created at or after this instant.
        job_name: Of exactly this name.
        capability_id: Of this capability.
        submitted_by: Of this user: ``user_id`` of the provenance, else ``user@host``.
        tags: With all of these tags, for example ``{"team": "vision"}``.
        all_scopes: For operators: also the jobs of the other scopes that registries of the same ``registry_namespace``
            have, but for those that have a ``scope_key``; ``job.scope`` says whose each is. Their handles do what those
            of your own do, `Job.cancel` included.
        **unknown: Refused, with the nearest filter.

    Raises:
        NotConfiguredError: No backend is active.
        ArgumentError: A filter is unknown or of the wrong kind.
    """
    from checkmaite.jobs._submitters.job_list import JobList
    from checkmaite.jobs._submitters.listing import job_query

    query = job_query(
        limit=limit,
        status_filter=status_filter,
        submitted_before_ts=submitted_before_ts,
        submitted_after_ts=submitted_after_ts,
        job_name=job_name,
        capability_id=capability_id,
        submitted_by=submitted_by,
        tags=tags,
        all_scopes=all_scopes,
        **unknown,
    )
    return JobList(get_job_backend().list_jobs(query))


def cancel_all(
    jobs: Iterable[Job] | None = None,
    *,
    grace: float = 10.0,
    status_filter: object = None,
    job_name: str | None = None,
    capability_id: str | None = None,
    submitted_by: str | None = None,
    tags: Mapping[str, str] | None = None,
    submitted_after_ts: float | None = None,
) -> JobList:
    """Ask several jobs to stop: those that are given, or those that pass every filter.

    Without either nothing is cancelled: others may have jobs in the scope. All jobs that you mean to cancel are
    ``cancel_all(list_jobs(limit=None))``.

    Args:
        jobs: The jobs; those that are final are left out.
        grace: Seconds that each has to stop by itself before it is stopped by force.
        status_filter: As for `list_jobs`; so are the others.
        job_name: Of exactly this name.
        capability_id: Of this capability.
        submitted_by: Of this user.
        tags: With all of these tags.
        submitted_after_ts: Created at or after this instant.

    Returns:
        The jobs that were asked to stop; they end CANCELLED once their work has stopped.

    Raises:
        NotConfiguredError: No backend is active.
        ArgumentError: Nothing says which jobs, or an argument is of the wrong kind.
    """
    from checkmaite.jobs._shared.errors import ArgumentError
    from checkmaite.jobs._shared.problems import Problem
    from checkmaite.jobs._submitters.arguments import jobs_given, usable_grace_s
    from checkmaite.jobs._submitters.job_list import JobList

    grace_s = usable_grace_s(grace)
    filters: dict[str, Any] = {
        "status_filter": status_filter,
        "job_name": job_name,
        "capability_id": capability_id,
        "submitted_by": submitted_by,
        "tags": tags,
        "submitted_after_ts": submitted_after_ts,
    }
    given = {name: value for name, value in filters.items() if value is not None}
    if (jobs is None) == (not given):
        cause = "nothing says which jobs." if jobs is None else f"jobs are given, and {', '.join(given)} as well."
        problem = Problem("jobs", cause, 'Pass jobs, or filters such as tags={"sweep": "12"}.')
        raise ArgumentError("Nothing was cancelled.", [problem])
    found: list[Job] = list_jobs(limit=None, **given) if jobs is None else jobs_given("cancel_all", jobs)
    return JobList(job for job in found if not job.status.is_final and job.cancel(grace_s))


def read_job_history(
    kind: str = _KIND,
    *,
    analytics_store: Mapping[str, Any] | AnalyticsStoreConfig = _STORE,
    artifact_store: Mapping[str, Any] | ArtifactStoreConfig | None = None,
    profile: str | None = None,
    **backend_options: Any,
) -> Any:
    """The jobs of a scope as a ``pyarrow.Table``, straight from its journal: no cluster has to run, and none is asked.

    Args:
        kind: As for `configure_job_backend`; so are the others, and nothing is configured.
        analytics_store: The store that the jobs write to; by default the journal is in it.
        artifact_store: Not needed; taken so that the same arguments fit both.
        profile: As for `configure_job_backend`.
        **backend_options: The backend's own options, such as ``idempotency_scope``.

    Returns:
        A row for each job that is known, oldest first, with the columns ``job_id``, ``job_name``, ``capability_id``,
        ``status``, ``error_type``, ``created_at``, ``started_at``, ``finished_at`` (UTC), ``node``, ``attempts``,
        ``run_uid``, ``revision``, ``store_uri``, ``commit_uri`` and ``tags``, among others; null where there is
        nothing to say. A job that was running when its cluster was lost is shown so.

    Raises:
        ConfigurationError: Something is wrong with the arguments, or this kind of backend keeps no journal.
        StoreNotFoundError: There is no journal where these arguments say.
        StoreError: The journal cannot be read, or is damaged.
        MissingDependencyError: pyarrow is not installed.
    """
    kind, backend_type, config, context = _configuration(
        profile, kind, analytics_store, artifact_store, backend_options
    )
    read = getattr(backend_type, "read_history", None)
    if read is None:
        raise ConfigurationError(f"The job backend {kind!r} keeps no journal: its jobs are known to its process alone.")
    return read(config, context)


def read_job_logs(
    job_id: str,
    kind: str = _KIND,
    *,
    analytics_store: Mapping[str, Any] | AnalyticsStoreConfig = _STORE,
    artifact_store: Mapping[str, Any] | ArtifactStoreConfig | None = None,
    profile: str | None = None,
    **backend_options: Any,
) -> str:
    """What a job has printed, as it is kept beside the journal: no cluster has to run, and none is asked.

    Args:
        job_id: The job, as `read_job_history` names it.
        kind: As for `configure_job_backend`; so are the others, and nothing is configured.
        analytics_store: The store that the job writes to; by default the journal is in it.
        artifact_store: Not needed; taken so that the same arguments fit both.
        profile: As for `configure_job_backend`.
        **backend_options: The backend's own options, such as ``idempotency_scope``.

    Returns:
        What `Job.logs` gives.

    Raises:
        ConfigurationError: Something is wrong with the arguments, or this kind of backend keeps no journal.
        StoreNotFoundError: No output of such a job is kept where these arguments say.
        StoreError: It cannot be read, or is damaged.
    """
    kind, backend_type, config, context = _configuration(
        profile, kind, analytics_store, artifact_store, backend_options
    )
    read = getattr(backend_type, "read_logs", None)
    if read is None:
        raise ConfigurationError(f"The job backend {kind!r} keeps no journal: what jobs print ends with its process.")
    text: str = read(config, context, job_id)
    return text


def list_scopes(
    kind: str = _KIND,
    *,
    analytics_store: Mapping[str, Any] | AnalyticsStoreConfig = _STORE,
    artifact_store: Mapping[str, Any] | ArtifactStoreConfig | None = None,
    profile: str | None = None,
    **backend_options: Any,
) -> list[ScopeSummary]:
    """The scopes of a cluster, and those that only their journals know of: who shares it, and who does something.

    Nothing is configured or begun. The registries of the cluster at ``address`` are asked, those of one
    ``registry_namespace``; the others are read from their journals below ``journal_uri``.

    Args:
        kind: As for `configure_job_backend`; so are the others.
        analytics_store: The store that the jobs write to; by default the journals are in it.
        artifact_store: Not needed; taken so that the same arguments fit both.
        profile: As for `configure_job_backend`.
        **backend_options: The backend's own options; ``idempotency_scope`` is not needed.

    Returns:
        One for each scope, by name. What does not answer, or cannot be read, is left out with a warning.

    Raises:
        ConfigurationError: Something is wrong with the arguments, or this kind of backend has no scopes.
        StoreError: The folder of the journals cannot be listed.
    """
    asked = profile, kind, analytics_store, artifact_store
    try:
        kind, backend_type, config, context = _configuration(*asked, backend_options)
    except ConfigurationError as error:
        if _SCOPE in backend_options or [each.path for each in error.problems] != [_SCOPE]:
            raise
        kind, backend_type, config, context = _configuration(*asked, {**backend_options, _SCOPE: "any"})
    read = getattr(backend_type, "read_scopes", None)
    if read is None:
        raise ConfigurationError(f"The job backend {kind!r} has no scopes: its jobs are known to its process alone.")
    scopes: list[ScopeSummary] = read(config, context)
    return scopes


def read_salvaged_run(uri: str, storage_options: Mapping[str, Any] | None = None) -> SalvagedRun:
    """The run whose rows are kept in a file, as the error of its job names it.

    Args:
        uri: The file: a path or an fsspec URL.
        storage_options: Options of the fsspec filesystem, never shown; those of the configured stores when None.

    Raises:
        StoreNotFoundError: There is no such file.
        StoreCorruptError: It holds something else.
        StoreError: It cannot be read.
    """
    from checkmaite.jobs._shared.salvage_format import read_run  # fsspec takes longer to import than all of core

    return read_run(uri, storage_options)


def shutdown_job_backend(wait: bool = True) -> None:
    """Stop the active backend; without one, do nothing.

    Args:
        wait: Wait until every job that lives in or through this process is final. False waits for none: where what runs
            them ends now, jobs are cancelled; on a cluster, or on a Ray that you started yourself, they go on.

    Raises:
        ArgumentError: `wait` is neither True nor False; the backend is active still.
    """
    from checkmaite.jobs._submitters.arguments import check_switch

    check_switch("wait", wait)
    with active.lock:
        backend, active.backend, active.place = active.backend, None, None
    if backend is not None:
        backend.shutdown(wait=wait)
