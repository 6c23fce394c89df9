"""What cannot be sent to a worker is named by its place in what the user gave; no Ray runs here."""

from __future__ import annotations

import threading

import pytest
from checkmaite.jobs import JobSubmissionError, Provenance, Submission
from checkmaite.jobs._submitters.preparing import RunOptions, prepare
from checkmaite.jobs.testing import SampleCapability
from checkmaite.jobs_ray_simple.cluster.pickling import payloads


class Locked(SampleCapability):
    """Cannot be pickled."""

    def __getstate__(self) -> object:
        return threading.Lock()

    def run_key(self, **given: object) -> str:
        return "key"


@pytest.mark.parametrize(
    ("before", "several", "path"),
    [(0, False, "capability"), (0, True, "submissions[0].capability"), (1, True, "submissions[1].capability")],
)
def test_the_path_says_which_element_of_a_batch(before: int, several: bool, path: str) -> None:
    given = [*[Submission(capability=SampleCapability())] * before, Submission(capability=Locked())]
    prepared = prepare(given, options_type=RunOptions, provenance=Provenance(), several=several)
    with pytest.raises(JobSubmissionError) as caught:
        payloads(prepared)
    assert caught.value.phase == "serialize"
    assert [each.path for each in caught.value.problems] == [path]
