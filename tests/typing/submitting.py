"""What mypy and pyright say of a user's calls. Nothing runs this: `hatch run types` reads it.

Each `type: ignore` is a mistake that both must find; one that finds none is an error.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import Future
from datetime import datetime
from typing import Any, assert_type

from attrs import frozen
from checkmaite.jobs import (
    AnalyticsStore,
    CapabilityRunRef,
    Job,
    JobBackend,
    JobFailedError,
    JobInfo,
    JobList,
    JobProgress,
    JobStatus,
    JobTimeoutError,
    Provenance,
    Record,
    Report,
    Resources,
    Reuse,
    RunTable,
    SchedulingInfo,
    ScopeSummary,
    Staged,
    Submission,
    as_completed,
    cancel_all,
    configure_job_backend,
    configure_provenance,
    get_job,
    get_job_backend,
    list_jobs,
    list_scopes,
    plan_capabilities,
    shutdown_job_backend,
    stage,
    submit_capabilities,
    submit_capability,
    unstage,
    wait_all,
    watch,
)


@frozen
class Score(Record):
    """A user's record: a class of attrs without more."""

    table_name = "scores"

    model_id: str
    score: float


class Run:
    """A user's run, which inherits nothing."""

    run_uid = "run-1"
    capability_id = "count"
    dataset_metadata = ({"id": "dataset-1"},)
    model_metadata = ()
    metric_metadata = ()

    def extract(self) -> list[Score]:
        return [Score("model-1", 0.5)]


class Count:
    """A user's capability, likewise."""

    id = "count"

    def run(
        self,
        *,
        models: Any = None,
        datasets: Any = None,
        metrics: Any = None,
        config: Any = None,
        use_cache: bool = False,
    ) -> Run:
        return Run()


def configuring() -> None:
    backend = configure_job_backend("inline", analytics_store={"backend": "null"}, max_workers=2)
    assert_type(backend, JobBackend)
    assert_type(get_job_backend(), JobBackend)
    assert_type(backend.analytics_store, AnalyticsStore)
    assert_type(configure_provenance(user_id="ada", request_id=None), Provenance)
    assert_type(shutdown_job_backend(wait=False), None)
    configure_job_backend(analytics_store=3)  # type: ignore[arg-type]
    configure_provenance(user_id=3)  # type: ignore[arg-type]


def submitting() -> None:
    job = submit_capability(
        Count(),
        models=[object()],
        config={"digits": 3},
        job_name="first",
        resources=Resources(num_cpus=2),
        reuse="never",
    )
    assert_type(job, Job)
    submit_capability(Count(), resources={"num_cpus": 0.5, "num_gpus": 1})
    batch: list[Submission | dict[str, Any]] = [Submission(capability=Count()), {"capability": Count()}]
    assert_type(submit_capabilities(batch), JobList)
    as_a_list: list[Job] = submit_capabilities(batch)
    assert_type(as_a_list[0], Job)
    assert_type(plan_capabilities({"capability": Count(), "config": each} for each in range(3)), list[Reuse])
    submit_capability(Count(), job_name=3)  # type: ignore[arg-type]
    submit_capability(Count(), use_cache="no")  # type: ignore[arg-type]
    submit_capability()  # type: ignore[call-arg]
    submit_capabilities([Count()])  # type: ignore[list-item]


def staging() -> None:
    reference = stage(object())
    assert_type(reference, Staged)
    assert_type(reference.digest, str)
    assert_type(unstage(reference), bool)
    submit_capability(Count(), models=[reference])
    unstage("digest")  # type: ignore[arg-type]
    _ = reference.predict  # type: ignore[attr-defined]


def following(job: Job) -> None:
    assert_type(job.job_id, str)
    assert_type(job.created_at, datetime)
    assert_type(job.status, JobStatus)
    assert_type(job.status.is_final, bool)
    assert_type(job.progress, JobProgress | None)
    assert_type(job.info, JobInfo)
    assert_type(job.rerun(resources={"num_cpus": 2}, force=True), Job)
    assert_type(job.table(), RunTable)
    assert_type(job.scheduling_info, SchedulingInfo)
    assert_type(job.reuse, Reuse)
    assert_type(job.wait(timeout=3), JobStatus)
    assert_type(job.result(3.5), CapabilityRunRef)
    assert_type(job.exception(), Exception | None)
    assert_type(job.cancel(grace=1), bool)
    assert_type(job.future(), Future[CapabilityRunRef])
    assert_type(job.explain(), str)
    assert_type(job.logs(), str)
    job.add_done_callback(lambda ended: ended.logs())
    job.add_done_callback(lambda: None)  # type: ignore[arg-type, misc]
    job.wait("3")  # type: ignore[arg-type]
    job.status = JobStatus.COMPLETED  # type: ignore[misc]


async def awaiting(job: Job) -> None:
    assert_type(await job, CapabilityRunRef)
    assert_type(await asyncio.wait_for(asyncio.wrap_future(job.future()), 3), CapabilityRunRef)


def many(jobs: list[Job]) -> None:
    assert_type(wait_all(jobs, timeout=3), list[JobStatus])
    ends: Iterator[Job] = as_completed(iter(jobs))
    assert_type(next(ends), Job)
    assert_type(watch(jobs), Iterator[JobInfo])
    assert_type(get_job("job-1"), Job)
    assert_type(list_jobs(limit=None, status_filter=[JobStatus.FAILED, "COMPLETED"], job_name="first"), JobList)
    assert_type(list_jobs()[:1], JobList)
    assert_type(list_jobs()[0], Job)
    assert_type(cancel_all(tags={"sweep": "12"}), JobList)
    assert_type(list_scopes(profile="team"), list[ScopeSummary])
    wait_all(jobs[0])  # type: ignore[arg-type]
    list_jobs(limit="3")  # type: ignore[arg-type]


def ending(job: Job) -> None:
    try:
        ref = job.result()
    except JobTimeoutError as error:
        assert_type(error, JobTimeoutError)
        _timed_out: TimeoutError = error
    except JobFailedError as error:
        assert_type(error.error_type, str)
        assert_type(error.traceback_text, str)
        assert_type(error.node, str | None)
    else:
        assert_type(ref.run_uid, str)
        assert_type(ref.revision, int)
        assert_type(ref.store_uri, str | None)
        assert_type(ref.report, Report | None)
        ref.run_uid = "another"  # type: ignore[misc]
