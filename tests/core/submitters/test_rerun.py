"""Jobs that are run again, and several that are cancelled at once."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import (
    ArgumentError,
    Job,
    JobStatus,
    JobSubmissionError,
    Resources,
    cancel_all,
    configure_job_backend,
    list_jobs,
    shutdown_job_backend,
    submit_capabilities,
    submit_capability,
    wait_all,
)
from checkmaite.jobs._submitters import again
from checkmaite.jobs.testing import SampleCapability
from checkmaite.jobs.testing._samples import mark


class Model:
    def __init__(self) -> None:
        self.metadata = {"id": "model-1"}


@pytest.fixture(autouse=True)
def _backend(tmp_path: Path) -> Iterator[None]:
    configure_job_backend("inline", analytics_store={"backend": "null"}, max_workers=2)
    yield
    mark(str(tmp_path), "go")
    shutdown_job_backend()


def submitted(act: str = "return", folder: Path | None = None, **arguments: Any) -> Job:
    config = arguments.pop("config", {"run_uid": "run"})
    return submit_capability(SampleCapability(act=act, folder=str(folder or "")), config=config, **arguments)


def test_a_job_is_run_again_with_what_it_was_submitted_with(tmp_path: Path) -> None:
    model = Model()
    job = submitted("fail", models=[model], tags={"sweep": "12"}, resources={"num_cpus": 2}, job_name="named")
    assert job.wait(60) is JobStatus.FAILED
    other: Any = job
    same = other.rerun()
    assert same.job_id != job.job_id
    assert (same.job_name, same.info.tags, same.info.resources) == ("named", {"sweep": "12"}, Resources(num_cpus=2))
    changed = other.rerun(job_name="larger", resources={"num_cpus": 4}, tags={}, report_threshold=0.9)
    assert (changed.job_name, changed.info.tags, changed.info.resources) == ("larger", {}, Resources(num_cpus=4))
    assert other.rerun(resources={"memory": 2**30}).info.resources == Resources(num_cpus=2, memory=2**30), "others stay"
    assert wait_all([same, changed], 60) == [JobStatus.FAILED] * 2
    assert same.rerun().wait(60) is JobStatus.FAILED


def test_a_job_that_completed_is_run_again_on_purpose(tmp_path: Path) -> None:
    job: Any = submitted(folder=tmp_path)
    assert job.wait(60) is JobStatus.COMPLETED
    assert job.rerun().wait(60) is JobStatus.COMPLETED
    assert len(list(tmp_path.glob("executed-*"))) == 2


def test_a_job_that_is_not_final_is_not_run_a_second_time(tmp_path: Path) -> None:
    job: Any = submitted("wait", tmp_path)
    with pytest.raises(JobSubmissionError, match="Wait for it, or cancel it first"):
        job.rerun()


@pytest.mark.parametrize("given", ["models", "datasets"])
def test_a_submission_keeps_no_model_in_memory(given: str) -> None:
    job: Any = submitted("fail", **{given: [Model()]})
    job.wait(60)
    gc.collect()
    with pytest.raises(JobSubmissionError, match="let go of its models or datasets"):
        job.rerun()


def test_what_has_changed_since_is_no_rerun() -> None:
    config = {"run_uid": "run"}
    job: Any = submitted("fail", config=config)
    job.wait(60)
    config["run_uid"] = "another"
    with pytest.raises(JobSubmissionError, match="has changed since"):
        job.rerun()


def test_the_oldest_submissions_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(again, "MOST_KEPT", 1)
    first: Any = submitted("fail")
    second: Any = submitted("fail")
    wait_all([first, second], 60)
    with pytest.raises(JobSubmissionError, match="last 1 that this process submitted"):
        first.rerun()
    second.rerun()


def test_several_jobs_are_cancelled_at_once(tmp_path: Path) -> None:
    done = submitted(tags={"sweep": "12"})
    assert done.wait(60) is JobStatus.COMPLETED
    capability = SampleCapability(act="wait", folder=str(tmp_path))
    jobs = submit_capabilities(
        [{"capability": capability, "config": {"run_uid": uid}, "tags": {"sweep": uid[0]}} for uid in ("1a", "1b", "2")]
    )
    assert cancel_all(tags={"sweep": "1"}) == jobs[1::-1]
    assert cancel_all([jobs[2], done]) == [jobs[2]]
    assert wait_all(jobs, 60) == [JobStatus.CANCELLED] * 3


@pytest.mark.parametrize(("given", "says"), [({}, "nothing says which"), ({"jobs": [], "job_name": "x"}, "as well")])
def test_who_does_not_say_which_jobs_cancels_none(given: Any, says: str, tmp_path: Path) -> None:
    submitted("wait", tmp_path)
    with pytest.raises(ArgumentError, match=says):
        cancel_all(**given)
    assert not list_jobs()[0].status.is_final
