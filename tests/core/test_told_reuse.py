"""What a job says of its reuse, when it was decided twice: as it was accepted, and by its worker."""

from __future__ import annotations

import pytest
from checkmaite.jobs import Reuse, ReuseKind
from checkmaite.jobs._reuse import settled

NONE = Reuse()
ON_PURPOSE = Reuse(job_id="before")
REUSED, OTHER = (Reuse(kind=ReuseKind.REUSED, job_id=job_id) for job_id in ("before", "of another scope"))
STALE, STALER = (Reuse(kind=ReuseKind.STALE, job_id="before", differences=(name,)) for name in ("code", "config"))


@pytest.mark.parametrize(
    ("decided", "found", "told"),
    [
        (NONE, NONE, NONE),
        (NONE, REUSED, REUSED),  # the store held what the registry knew nothing of
        (NONE, STALE, STALE),
        (NONE, ON_PURPOSE, ON_PURPOSE),
        (STALE, NONE, STALE),
        (STALE, STALER, STALE),
        (STALE, OTHER, OTHER),  # another scope has made it of the same things since
        (ON_PURPOSE, NONE, ON_PURPOSE),
        (ON_PURPOSE, REUSED, REUSED),
        (REUSED, NONE, REUSED),  # who joined a job is not told what that job was told
        (REUSED, STALE, REUSED),
        (REUSED, OTHER, REUSED),
    ],
)
def test_what_the_worker_has_found_needless_counts_and_else_what_was_decided(
    decided: Reuse, found: Reuse, told: Reuse
) -> None:
    assert settled(decided, found) == told
