"""Jobs and backends that break one promise each, and keep all others. `found_by` names the test that says so."""

from __future__ import annotations

import threading
from collections.abc import Generator, Sequence
from concurrent.futures import Future
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from attrs import evolve
from checkmaite.jobs import CapabilityRunRef, Job, JobFailedError, JobInfo, JobStatus, Reuse, get_job
from checkmaite.jobs._inline import InlineBackend
from checkmaite.jobs.spi import Cancelled, JobHandle, JobQuery, PreparedSubmission
from sample_backend import SampleBackend

REF = CapabilityRunRef(run_uid="early", capability_id="sample", report="# sample at 0.5")


class BrokenJob:
    """A job that passes everything on."""

    found_by: ClassVar[str]

    def __init__(self, job: Any) -> None:
        self.job = job

    def __getattr__(self, name: str) -> Any:
        if name == "job":  # which a handle that is just being unpickled does not have yet
            raise AttributeError(name)
        return getattr(self.job, name)

    def __await__(self) -> Generator[Any, None, CapabilityRunRef]:
        return self.job.__await__()

    def __repr__(self) -> str:
        return repr(self.job)

    def __reduce__(self) -> Any:
        return self.job.__reduce__()


class GoesBackFromFinal(BrokenJob):
    """A final status changes again."""

    found_by = "test_status_moves_forward_only"
    asked = 0

    @property
    def status(self) -> JobStatus:
        self.asked += self.job.status.is_final
        return JobStatus.RUNNING if self.asked > 1 else self.job.status


class NeverRunning(BrokenJob):
    """RUNNING is not reported."""

    found_by = "test_running_is_said_while_the_worker_runs"

    @property
    def status(self) -> JobStatus:
        status = self.job.status
        return JobStatus.SCHEDULING if status is JobStatus.RUNNING else status


class ResultBeforeTheWrite(BrokenJob):
    """The result is there while the write goes on."""

    found_by = "test_no_result_before_the_write"

    def result(self, timeout: float | None = None) -> CapabilityRunRef:
        return REF


class SwallowsErrors(BrokenJob):
    """A failed job looks completed."""

    found_by = "test_failure_reaches_the_submitter[fail-ValueError-told to fail]"

    def result(self, timeout: float | None = None) -> CapabilityRunRef:
        self.job.wait(timeout)
        return REF

    def exception(self, timeout: float | None = None) -> None:
        self.job.wait(timeout)


class RaisesTheUsersOwn(BrokenJob):
    """`result` raises an exception of the capability's own class."""

    found_by = "test_failure_reaches_the_submitter[fail-ValueError-told to fail]"

    def result(self, timeout: float | None = None) -> CapabilityRunRef:
        try:
            return self.job.result(timeout)
        except JobFailedError as error:
            raise ValueError(error.error_message) from None


class TellsAllOfAnError(BrokenJob):
    """The text of an error has no bound."""

    found_by = "test_an_error_of_any_size_is_cut_in_the_middle"

    def exception(self, timeout: float | None = None) -> JobFailedError:
        error = self.job.exception(timeout)
        error.error_message = f"this begins{'~' * 2**22}and that ends"
        return error


class IgnoresTimeouts(BrokenJob):
    """A time-out is not raised."""

    found_by = "test_time_outs_are_kept"

    def result(self, timeout: float | None = None) -> CapabilityRunRef | None:
        return self.job.result(timeout) if self.job.wait(timeout).is_final else None


class WaitsWithoutEnd(BrokenJob):
    """`wait` blocks until the job is final, whatever it was told."""

    found_by = "test_time_outs_are_kept"

    def wait(self, timeout: float | None = None) -> JobStatus:
        return self.job.wait()


class WaitsForNothing(BrokenJob):
    """`wait` says how the job is, and does not wait."""

    found_by = "test_running_is_said_while_the_worker_runs"

    def wait(self, timeout: float | None = None) -> JobStatus:
        return self.job.wait(0)


class MadeWhenAsked(BrokenJob):
    """`created_at` is the time now."""

    found_by = "test_completes_with_a_run_ref"
    asked = 0

    @property
    def created_at(self) -> datetime:
        self.asked += 1  # two calls may fall into one microsecond
        return datetime.now(UTC) + timedelta(milliseconds=self.asked)


class LosesCancel(BrokenJob):
    """Cancel says yes and does nothing."""

    found_by = "test_cancel_of_a_running_job[wait]"

    def cancel(self, grace: float = 0) -> bool:
        return not self.job.status.is_final


class CancelsWhatIsOver(BrokenJob):
    """Cancel of a finished job says yes."""

    found_by = "test_cancel_of_a_finished_job_changes_nothing"

    def cancel(self, grace: float = 0) -> bool:
        return self.job.cancel(grace) or True


class CancelBlocks(BrokenJob):
    """Cancel returns when the job is over."""

    found_by = "test_cancel_returns_at_once"

    def cancel(self, grace: float = 0) -> bool:
        asked = self.job.cancel(grace)
        self.job.wait()
        return asked


class ForgetsCallbacks(BrokenJob):
    """Done callbacks are not called."""

    found_by = "test_callbacks_future_and_await"

    def add_done_callback(self, callback: Any) -> None: ...


class CallsTwice(BrokenJob):
    """Done callbacks are called twice."""

    found_by = "test_callbacks_are_called_once_and_after_the_end"

    def add_done_callback(self, callback: Any) -> None:
        self.job.add_done_callback(callback)
        self.job.add_done_callback(callback)


class CallsTooEarly(BrokenJob):
    """Done callbacks are called while the job runs."""

    found_by = "test_callbacks_are_called_once_and_after_the_end"

    def add_done_callback(self, callback: Any) -> None:
        self.job.add_done_callback(lambda _: None)
        try:
            callback(self.job)
        except ValueError:  # the test's own
            return


class OneCallbackStopsTheOthers(BrokenJob):
    """A callback that raises keeps later ones from being called."""

    found_by = "test_callbacks_are_called_once_and_after_the_end"

    def __init__(self, job: Any) -> None:
        super().__init__(job)
        self.callbacks: list[Any] = []

    def add_done_callback(self, callback: Any) -> None:
        self.callbacks.append(callback)
        if len(self.callbacks) == 1:
            self.job.add_done_callback(lambda job: [each(job) for each in self.callbacks])


class CancelledByItsFuture(BrokenJob):
    """Cancelling the future cancels it, and whoever waits for it."""

    found_by = "test_callbacks_future_and_await"

    def future(self) -> Future[CapabilityRunRef]:
        return Future()


class AwaitBlocks(BrokenJob):
    """`await job` keeps the loop from everything else."""

    found_by = "test_await_lets_the_loop_go_on"

    def __await__(self) -> Generator[Any, None, CapabilityRunRef]:
        yield from ()
        return self.job.result()


class PicklesWhole(BrokenJob):
    """A pickled handle holds what it knew, and asks no backend."""

    found_by = "test_a_pickled_handle_finds_its_job_again"

    def __reduce__(self) -> Any:
        return Remembered, (self.job.job_id, self.job.result())


class CopiesByItsId(BrokenJob):
    """A copy of a handle is looked for with the backend that is active."""

    found_by = "test_handles_are_pickled_and_copied_within_anything"

    def __deepcopy__(self, memo: object) -> Any:
        return get_job(self.job.job_id)


class Remembered:
    def __init__(self, job_id: str, ref: CapabilityRunRef) -> None:
        self.job_id, self.ref = job_id, ref

    def result(self, timeout: float | None = None) -> CapabilityRunRef:
        return self.ref


class LosesOutput(BrokenJob):
    """What a job prints is lost."""

    found_by = "test_logs_progress_and_explanation"

    def logs(self) -> str:
        return ""


class KeepsReuseToItself(BrokenJob):
    """What was decided about a result is not told."""

    found_by = "test_a_result_is_used_again_for_what_it_was_made_of_alone"

    @property
    def reuse(self) -> Reuse:
        return Reuse()


class TellsNoAttempts(BrokenJob):
    """The facts of a job leave out when it was started."""

    found_by = "test_facts_of_a_job_are_a_value"

    @property
    def info(self) -> JobInfo:
        told: JobInfo = self.job.info
        return evolve(told, attempts=())


class BrokenBackend(InlineBackend):
    """The backend "inline"."""

    found_by: ClassVar[str]


class CancelStopsNothing(BrokenBackend):
    """A cancelled job is said to be CANCELLED, and its work goes on."""

    found_by = "test_cancel_of_a_running_job[wait]"

    def cancel(self, job: JobHandle, grace: float) -> None:
        job.finish(Cancelled())


class CancelDoesNothing(BrokenBackend):
    """A cancelled job goes on."""

    found_by = "test_cancel_of_a_running_job[wait]"

    def cancel(self, job: JobHandle, grace: float) -> None: ...


class KillsAtOnce(SampleBackend):
    """Cancel leaves the job no time to clean up."""

    found_by = "test_cancel_does_not_wait_for_the_grace_to_end"
    patience_s = 30  # it starts a process

    def cancel(self, job: JobHandle, grace: float) -> None:
        threading.Timer(0, self._processes[job.job_id].kill).start()


class LosesEarlyCancel(BrokenBackend):
    """A cancel that comes before the job runs is lost."""

    found_by = "test_cancel_of_a_job_that_has_just_been_submitted"

    def submit(self, submissions: Sequence[PreparedSubmission]) -> list[Job]:
        jobs = super().submit(submissions)
        self.early = {job.job_id for job in jobs}
        return jobs

    def cancel(self, job: JobHandle, grace: float) -> None:
        if job.job_id not in self.early:
            super().cancel(job, grace)


class NeverSaysThatItBegan(BrokenBackend):
    """A worker's beginning is not told, so that a future can cancel a run that has begun."""

    found_by = "test_a_run_that_has_begun_is_not_cancelled_by_its_future"

    def submit(self, submissions: Sequence[PreparedSubmission]) -> list[Job]:
        jobs: list[Any] = super().submit(submissions)
        for job in jobs:
            job.add_start_callback = lambda _: None
        return jobs


class WorksTwice(BrokenBackend):
    """Each job is done twice."""

    found_by = "test_shutdown_loses_no_job_that_it_waits_for"

    def _run(self, *args: Any) -> None:
        super()._run(*args)
        super()._run(*args)


class AnswersOutOfOrder(BrokenBackend):
    """The jobs of a batch come in another order than their submissions."""

    found_by = "test_batch_in_order_as_completed_and_listed"

    def submit(self, submissions: Sequence[PreparedSubmission]) -> list[Job]:
        return super().submit(submissions)[::-1]


class ListsOldestFirst(BrokenBackend):
    """Jobs are listed oldest first."""

    found_by = "test_batch_in_order_as_completed_and_listed"

    def list_jobs(self, query: JobQuery) -> list[Job]:
        return super().list_jobs(evolve(query, limit=None))[::-1][: query.limit]


class IgnoresFilters(BrokenBackend):
    """Of what a listing is asked for, only the name counts."""

    found_by = "test_batch_in_order_as_completed_and_listed"

    def list_jobs(self, query: JobQuery) -> list[Job]:
        return super().list_jobs(JobQuery(limit=query.limit, job_name=query.job_name))


class IgnoresTags(BrokenBackend):
    """Of what a listing is asked for, only tags do not count."""

    found_by = "test_tags_find_jobs"

    def list_jobs(self, query: JobQuery) -> list[Job]:
        return super().list_jobs(evolve(query, tags=()))


class ListsAll(BrokenBackend):
    """All jobs are listed."""

    found_by = "test_batch_in_order_as_completed_and_listed"

    def list_jobs(self, query: JobQuery) -> list[Job]:
        return super().list_jobs(evolve(query, limit=None))


class LeaksKeyErrors(BrokenBackend):
    """An unknown job is a KeyError of the backend's own."""

    found_by = "test_an_unknown_job_is_an_error"

    def get_job(self, job_id: str) -> Job:
        return {job.job_id: job for job in self.list_jobs(JobQuery(limit=None))}[job_id]


class CancelsWhenHandedOver(BrokenBackend):
    """Jobs end with the backend that another replaces."""

    found_by = "test_handing_over_loses_no_job"

    def hand_over(self) -> None:
        self.shutdown(wait=False)


class CancelsWhenShutDown(BrokenBackend):
    """A shutdown that should wait cancels."""

    found_by = "test_shutdown_loses_no_job_that_it_waits_for"

    def shutdown(self, *, wait: bool = True) -> None:
        super().shutdown(wait=False)


class AsksAgainWhoItIs(BrokenBackend):
    """Provenance is resolved where the job runs."""

    found_by = "test_rows_say_which_job_made_them"

    def _run(self, job: JobHandle, order: Any, prepared: Any, interrupt: Any) -> None:
        wrong = evolve(order.terms, facts={**order.terms.facts, "user_id": "eve"})
        super()._run(job, evolve(order, terms=wrong), prepared, interrupt)


class SubmitsAtTheEpoch(BrokenBackend):
    """The time of the submission is wrong."""

    found_by = "test_rows_say_which_job_made_them"

    def _run(self, job: JobHandle, order: Any, prepared: Any, interrupt: Any) -> None:
        super()._run(job, evolve(order, submitted_at=datetime.fromtimestamp(0, UTC)), prepared, interrupt)
