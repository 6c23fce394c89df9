"""What a client remembers of calls of which nobody has said whether they were carried out."""

from __future__ import annotations

from typing import Any

import pytest
from checkmaite.jobs import JobStatus, UnconfirmedError
from checkmaite.jobs.spi import Cancelled, Completed
from checkmaite.jobs_ray.client.job import RayJob
from checkmaite.jobs_ray.client.unconfirmed import Unconfirmed
from checkmaite.jobs_ray.wire import JobFacts

from tests.ray_registry.making import completed, spec


class Prepared:
    """What a submission has in common with the spec that is made of it."""

    def __init__(self, of: Any) -> None:
        self.run_key = type("Key", (), {"value": of.run_key})
        self.prints = of.basis.prints
        self.reuse = of.basis.policy


def ids(unconfirmed: Unconfirmed, *specs: Any) -> list[str]:
    return unconfirmed.ids_for([Prepared(each) for each in specs])  # type: ignore[misc]


def test_a_submission_that_is_made_again_proposes_the_same_jobs() -> None:
    unconfirmed = Unconfirmed()
    specs = [spec("a", "run", force=True), spec("b", "run", force=True), spec("c", "other")]
    unconfirmed.note(specs)
    unconfirmed.note(specs)
    assert ids(unconfirmed, *specs) == ["a", "b", "c"]
    assert ids(unconfirmed, specs[2]) == ["c"]
    third = ids(unconfirmed, specs[0], specs[0], specs[0])
    assert third[:2] == ["a", "b"]
    assert third[2] not in ("a", "b")
    assert ids(unconfirmed, spec("d", "run"))[0] not in ("a", "b"), "not forced, it is another submission"


def test_once_it_is_known_what_became_of_them_others_are_new() -> None:
    unconfirmed = Unconfirmed()
    specs = [spec("a", force=True), spec("b", force=True)]
    unconfirmed.note(specs)
    unconfirmed.settle(specs[:1])
    found = ids(unconfirmed, *specs)
    assert found[0] != "a"
    assert found[1] == "b"


class Registry:
    """A registry that does not answer the first time."""

    def __init__(self, trouble: str = "") -> None:
        self.asked = 0
        self.trouble = trouble

    def ask_to_cancel(self, job_id: str, grace_s: float) -> bool:
        self.asked += 1
        if self.asked == 1:
            raise UnconfirmedError("no answer", job_ids=[job_id])
        return True

    def explanation(self, job_id: str) -> tuple[str, str]:
        return self.trouble, "It is number 1 in the queue."


def a_job(registry: Registry) -> RayJob:
    facts = JobFacts("job", "name", "capability", 1.0, JobStatus.PENDING, 0, None, None, None, None)
    return RayJob(facts, registry)  # type: ignore[arg-type]


@pytest.mark.parametrize(("ended", "cancelled"), [(Cancelled(), True), (completed(), False), (None, True)])
def test_a_cancellation_that_is_asked_for_again_says_whether_the_first_came_true(
    ended: Cancelled | Completed | None, cancelled: bool
) -> None:
    job = a_job(Registry())
    with pytest.raises(UnconfirmedError):
        job.cancel()
    if ended is not None:
        job.finish(ended, None)
    assert job.cancel() is cancelled


def test_a_job_that_is_known_to_be_cancelled_is_not_cancelled_once_more() -> None:
    job = a_job(Registry())
    job.finish(Cancelled(), None)
    assert not job.cancel()


def test_an_explanation_begins_with_what_keeps_all_jobs_from_going_on() -> None:
    assert a_job(Registry("The journal is away.")).explain().startswith("The journal is away. name (job) is PENDING.")
    assert a_job(Registry()).explain().startswith("name (job) is PENDING.")
