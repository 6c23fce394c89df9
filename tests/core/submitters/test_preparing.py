"""What becomes of a submission: the order of its defaults, and texts and numbers that any process can read."""

from __future__ import annotations

import pickle
import sys
import threading
from collections.abc import Iterator
from enum import StrEnum
from types import SimpleNamespace
from typing import Any

import pytest
from attrs import frozen
from checkmaite.jobs import (
    JobBackend,
    configure_job_backend,
    report_progress,
    shutdown_job_backend,
    submit_capability,
)
from checkmaite.jobs._shared.news import News, Printed, Progressed, Reporter
from checkmaite.jobs._shared.provenance import Provenance
from checkmaite.jobs._shared.resources import Resources, resolve_resources
from checkmaite.jobs._shared.running import reporting, teed
from checkmaite.jobs._submitters.preparing import PreparedSubmission, RunOptions, prepare
from checkmaite.jobs._submitters.submission import Submission
from checkmaite.jobs.testing import SampleRun

CAPABILITY = SimpleNamespace(default_num_cpus=4, default_num_gpus=0.5)
CONFIG = SimpleNamespace(num_cpus=3, num_gpus=1)


@pytest.mark.parametrize(
    ("requested", "config", "capability", "cpus_and_gpus"),
    [
        ({"num_cpus": 2, "num_gpus": 2}, CONFIG, CAPABILITY, (2, 2)),
        ({"num_cpus": 0, "num_gpus": 0}, CONFIG, CAPABILITY, (0, 0)),
        ({"num_cpus": 2}, CONFIG, CAPABILITY, (2, 1)),
        ({"memory": 5}, CONFIG, CAPABILITY, (3, 1)),
        (None, CONFIG, CAPABILITY, (3, 1)),
        (None, {"num_cpus": 3}, CAPABILITY, (3, 0.5)),
        (None, {"num_gpus": 0}, CAPABILITY, (4, 0)),
        (None, SimpleNamespace(num_cpus=None), CAPABILITY, (4, 0.5)),
        (None, None, CAPABILITY, (4, 0.5)),
        (None, None, object(), (1, 0)),
        (Resources(num_gpus=1), CONFIG, CAPABILITY, (1, 1)),
    ],
)
def test_resources_come_from_the_call_then_the_config_then_the_capability(
    requested: Any, config: Any, capability: Any, cpus_and_gpus: tuple[float, float]
) -> None:
    found, problems = resolve_resources(requested, config=config, capability=capability)
    assert (problems, (found.num_cpus, found.num_gpus)) == ([], cpus_and_gpus)


def test_labels_are_as_ray_takes_them() -> None:
    wanted = {"labels": {"ray.io/market-type": "!spot", "rack": "in(a, b)"}, "fallback": [{"rack": "c"}, {}]}
    found, problems = resolve_resources(wanted)
    assert problems == []
    assert (found.labels, found.fallback) == (wanted["labels"], ({"rack": "c"}, {}))
    assert resolve_resources(found) == (found, [])
    assert resolve_resources({"labels": None, "fallback": None, "wait_for_first": None}) == (Resources(), [])


@pytest.mark.parametrize(
    ("requested", "path", "cause"),
    [
        ({"labels": "spot"}, "labels", "expected a mapping of labels, got the text 'spot'."),
        ({"labels": {"a b": "c"}}, "labels", "the text 'a b' is no key of a label."),
        ({"labels": {"rack": ""}}, "labels['rack']", "the text '' is no value of a label, nor a choice of them."),
        (
            {"labels": {"rack": "in()"}},
            "labels['rack']",
            "the text 'in()' is no value of a label, nor a choice of them.",
        ),
        ({"labels": {"rack": 3}}, "labels['rack']", "3 is no value of a label, nor a choice of them."),
        ({"labels": {"rack": "a"}, "fallback": {"rack": "b"}}, "fallback", "expected a list of labels, got dict."),
        (
            {"labels": {"rack": "a"}, "fallback": [{"rack": "b,c"}]},
            "fallback[0]['rack']",
            "the text 'b,c' is no value of a label, nor a choice of them.",
        ),
        ({"fallback": [{"rack": "b"}]}, "fallback", "there are no labels that it could stand in for."),
        (
            {"labels": {"rack": "a"}, "wait_for_first": True},
            "wait_for_first",
            "without a fallback a job waits for nodes with its labels anyway.",
        ),
        (
            {"labels": {"rack": "a"}, "fallback": [{}], "wait_for_first": 1},
            "wait_for_first",
            "expected True or False, got 1.",
        ),
    ],
)
def test_wrong_labels_are_refused(requested: Any, path: str, cause: str) -> None:
    _, (problem,) = resolve_resources(requested)
    assert (problem.path, problem.cause) == (f"resources.{path}", cause)
    assert problem.remedy


@pytest.mark.parametrize("requested", [{"num_gpus": 0, "share_gpus": True}, Resources(share_gpus=True)])
def test_gpus_can_be_shared_by_a_job_that_reserves_none(requested: Any) -> None:
    found, problems = resolve_resources(requested)
    assert (problems, found) == ([], Resources(share_gpus=True))
    assert resolve_resources({"share_gpus": None}) == (Resources(), [])


@pytest.mark.parametrize("requested", [{"short": True}, Resources(short=True)])
def test_a_job_may_be_said_to_be_short(requested: Any) -> None:
    assert resolve_resources(requested) == (Resources(short=True), [])
    found, (problem,) = resolve_resources({"short": 1})
    assert (found, problem.path, problem.cause) == (Resources(), "resources.short", "expected True or False, got 1.")


@pytest.mark.parametrize(
    ("requested", "cause"),
    [
        ({"share_gpus": 1}, "expected True or False, got 1."),
        ({"share_gpus": "yes"}, "expected True or False, got 'yes'."),
        ({"share_gpus": True}, "the job reserves 0.5 GPUs and sees those."),
        ({"share_gpu": True}, "unknown resource 'share_gpu'."),
    ],
)
def test_a_wrong_wish_to_share_gpus_is_refused(requested: Any, cause: str) -> None:
    _, (problem,) = resolve_resources(requested, capability=CAPABILITY)
    assert problem.cause == cause
    assert "share_gpus" in problem.path + problem.remedy


class Name(StrEnum):
    """Texts that a process without this module cannot read."""

    CAPABILITY = "capability"
    JOB = "job"
    KEY = "key"


class Named:
    """A capability whose texts are all of the user's own class."""

    id = Name.CAPABILITY

    def run(self, **given: Any) -> SampleRun:
        report_progress(1)
        return SampleRun(run_uid=Name.KEY, capability_id=self.id)


class OwnKey(Named):
    def run_key(self, **given: Any) -> str:
        return Name.KEY


class Computes(Named):
    _RUN_TYPE = SimpleNamespace(compute_uid=lambda **given: Name.KEY)


def prepared(capability: object, **given: Any) -> PreparedSubmission:
    submission = Submission(capability=capability, **given)
    (found,) = prepare([submission], options_type=RunOptions, provenance=Provenance())
    return found


@pytest.mark.parametrize("capability", [Named(), OwnKey(), Computes()])
@pytest.mark.parametrize("job_name", [None, Name.JOB])
def test_texts_of_a_submission_are_plain(capability: Any, job_name: str | None) -> None:
    found = prepared(capability, job_name=job_name)
    assert (found.capability_id, found.job_name) == ("capability", "capability" if job_name is None else "job")
    texts = [found.capability_id, found.job_name, found.run_key.value, found.run_key.run_uid]
    assert {type(text) for text in texts} <= {str, type(None)}


def test_equal_resources_in_a_row_are_one_object() -> None:
    amounts = [1, 1, 2, 2, 1]
    submissions = [Submission(capability=Named(), resources={"num_cpus": each, "short": True}) for each in amounts]
    found = [each.resources for each in prepare(submissions, options_type=RunOptions, provenance=Provenance())]
    assert [each.num_cpus for each in found] == amounts
    assert found[0] is found[1]
    assert found[2] is found[3]


@frozen
class Amount:
    """A number of the user's own kind."""

    value: Any

    def __float__(self) -> float:
        sys.stdout.write("converted")
        return float(self.value)

    def __str__(self) -> str:
        return Name.JOB


def delivered(*reports: tuple[Any, Any, Any]) -> list[News]:
    """What a job that makes these reports, the newest of which is sent, posts."""
    sent: list[News] = []
    reporter = Reporter("job-1", lambda _, news: sent.extend(news), announce_after_s=3_600)
    with reporting(reporter), teed():
        for report in reports:
            report_progress(*report)
        sys.stdout.write("printed")
        courier = threading.Thread(target=reporter.deliver, args=[reporter._due_at], daemon=True)
        courier.start()
        courier.join(60)
        assert not courier.is_alive(), "the courier waits for itself"
    reporter.close()
    return sent[1:]


def test_progress_travels_in_plain_values() -> None:
    progressed, _ = delivered((Amount(1), Amount(4), Amount(0)))
    assert isinstance(progressed, Progressed)
    progress = progressed.progress
    assert (progress.fraction, progress.message) == (0.25, "job")
    assert {type(progress.done), type(progress.total)} == {float}
    assert type(progress.message) is str
    assert b"Amount" not in pickle.dumps(progressed)


class Exits:
    def __str__(self) -> str:
        raise SystemExit


@pytest.mark.parametrize("report", [("half", None, ""), (1, object(), ""), (Amount("x"), None, ""), (1, 2, Exits())])
def test_progress_that_is_no_number_is_dropped_and_the_rest_is_said(
    report: tuple[Any, Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    (printed,) = delivered(report)
    assert isinstance(printed, Printed)
    assert "printed" in printed.text
    assert "progress of job job-1 is not shown" in caplog.text


@pytest.fixture
def backend() -> Iterator[JobBackend]:
    yield configure_job_backend("inline", analytics_store={"backend": "null"})
    shutdown_job_backend(wait=False)


class Escapes(BaseException):
    """Neither an `Exception` nor one of Python's own."""


class Raises(Named):
    def run(self, **given: Any) -> SampleRun:
        raise Escapes("out of here")


def test_no_exception_of_a_capability_escapes(backend: JobBackend) -> None:
    error = submit_capability(Raises()).exception(60)
    assert error is not None
    assert "out of here" in str(error)
