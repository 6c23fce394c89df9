"""What ends jobs has names: the errors, the explanations and the page for users say the same."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest
from checkmaite.jobs import (
    CapabilityRunRef,
    FailureKind,
    IncompatibleVersionError,
    JobFailedError,
    PendingReason,
    RecordError,
    StaleResultError,
    StorePermissionError,
)
from checkmaite.jobs._submitters.handle import JobControls, JobHandle
from checkmaite.jobs._workers.failing import failure
from checkmaite.jobs.spi import Cancelled, Completed, Failed, Outcome, kind_of

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "failures.md"


@pytest.mark.parametrize("kinds", [FailureKind, PendingReason])
def test_the_page_for_users_says_what_the_code_says(kinds: type[FailureKind | PendingReason]) -> None:
    table = "\n".join(f"| `{kind}` | {kind.cause} | {kind.remedy} |" for kind in kinds)
    assert f"|---|---|---|\n{table}\n\n" in PAGE.read_text(), f"docs/how-to/failures.md should have:\n{table}"


@pytest.mark.parametrize("kind", [*FailureKind, *PendingReason])
def test_each_has_a_cause_and_a_remedy(kind: FailureKind | PendingReason) -> None:
    assert str(kind) == kind.value == kind.name.lower().replace("_", "-")
    assert kind.cause.endswith(".")
    assert kind.remedy.endswith(".")
    assert pickle.loads(pickle.dumps(kind)) is kind


def test_a_name_that_a_later_version_gave_is_another() -> None:
    assert FailureKind("invented-later") is FailureKind.OTHER


@pytest.mark.parametrize(
    ("error", "phase", "kind"),
    [
        (ValueError("v"), "run", FailureKind.EXCEPTION),
        (ModuleNotFoundError("m"), "load", FailureKind.CANNOT_LOAD),
        (ModuleNotFoundError("m"), "run", FailureKind.EXCEPTION),
        (IncompatibleVersionError("i", here="1", there="2"), "start", FailureKind.CANNOT_START),
        (StorePermissionError("p", uri="u"), "store", FailureKind.STORE_REFUSED),
        (StorePermissionError("p", uri="u"), "write", FailureKind.STORE_REFUSED),
        (StorePermissionError("p", uri="u"), "run", FailureKind.EXCEPTION),
        (ValueError("of extract()"), "write", FailureKind.EXCEPTION),
        (RecordError("r"), "write", FailureKind.RECORDS_REFUSED),
        (StaleResultError("s", phase="reuse"), "run", FailureKind.RESULT_REQUIRED),
    ],
)
def test_what_a_worker_meets_has_its_name(error: Exception, phase: str, kind: FailureKind) -> None:
    assert failure(error, phase=phase).kind is kind


def _ended(outcome: Outcome) -> JobHandle:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    job = JobHandle(job_id="j", job_name="n", capability_id="c", created_at=at, controls=cast(JobControls, None))
    job.finish(outcome)
    return job


def test_an_error_and_an_explanation_name_it() -> None:
    failed = Failed(error_type="E", error_message="m", kind=FailureKind.WORKER_MEMORY)
    job = _ended(failed)
    error = job.exception()
    assert isinstance(error, JobFailedError)
    assert pickle.loads(pickle.dumps(error)).kind is FailureKind.WORKER_MEMORY
    kind = FailureKind.WORKER_MEMORY
    assert job.explain().endswith(f"\nKind of end: worker-memory. {kind.cause} {kind.remedy}")
    better = _ended(Failed(error_type="E", error_message="m", remedy="Do this.", kind=kind)).explain()
    assert better.endswith(f"\nDo this.\nKind of end: worker-memory. {kind.cause}")


def test_who_was_cancelled_and_who_completed() -> None:
    ref = CapabilityRunRef(run_uid="u", capability_id="c")
    outcomes: list[Outcome] = [Completed(ref=ref), Cancelled(), Failed(error_type="E", error_message="m")]
    assert [kind_of(each) for each in outcomes] == [None, FailureKind.CANCELLED, FailureKind.OTHER]
    assert "Kind of end: cancelled." in _ended(Cancelled()).explain()
    assert "Kind of end" not in _ended(Completed(ref=ref)).explain()
