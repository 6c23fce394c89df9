"""Jobs that a command runs again, one after the other, whatever becomes of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
from attrs import frozen
from checkmaite.jobs import BackendUnavailableError, Job, JobsError, JobSubmissionError, PayloadKeyError
from checkmaite.jobs_cli.commands.acting import _run_again


@frozen
class Again:
    """The job that stands for a run that was submitted again."""

    job_id: str


@frozen
class Over:
    """A job that is over, and what its `rerun` gives or raises."""

    job_id: str
    gives: str | JobsError
    job_name: str = "named"

    def rerun(self, **_: Any) -> Again:
        if isinstance(self.gives, JobsError):
            raise self.gives
        return Again(self.gives)


def run_again(*jobs: Over) -> tuple[list[str], int]:
    new, refused = _run_again(cast(Sequence[Job], jobs), None, {})
    return [job.job_id for job in new], refused


def test_one_that_cannot_be_run_again_keeps_no_other_from_it(capsys: pytest.CaptureFixture[str]) -> None:
    refused = JobSubmissionError("not kept", phase="validate"), PayloadKeyError("no key")
    assert run_again(Over("a", refused[0]), Over("b", "b2"), Over("c", refused[1]), Over("d", "d2")) == (
        ["b2", "d2"],
        2,
    )
    said = capsys.readouterr().err
    assert "named (a): not kept" in said
    assert "named (c): no key" in said


def test_the_error_of_a_single_one_goes_on() -> None:
    with pytest.raises(PayloadKeyError):
        run_again(Over("a", PayloadKeyError("no key")))


def test_a_run_that_has_failed_twice_is_one_job() -> None:
    assert run_again(Over("a", "a3"), Over("a2", "a3")) == (["a3"], 0)


def test_nobody_waits_for_a_backend_that_does_not_answer_once_for_each_job() -> None:
    silent = BackendUnavailableError("it does not answer")
    assert run_again(Over("a", "a2"), Over("b", silent), Over("c", "c2"), Over("d", "d2")) == (["a2"], 3)
