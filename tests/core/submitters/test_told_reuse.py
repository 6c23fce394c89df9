"""What a job says of its reuse, when it was decided twice: as it was accepted, and by its worker."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable

import pytest
from checkmaite.jobs import (
    Reuse,
    ReuseKind,
    StaleResultError,
    configure_job_backend,
    plan_capabilities,
    shutdown_job_backend,
    submit_capability,
)
from checkmaite.jobs._shared.comparing import prints_from_text, prints_of, prints_text
from checkmaite.jobs._shared.reuse import RUN, settled
from checkmaite.jobs._submitters.fingerprint import fingerprints_of
from checkmaite.jobs.testing import SampleCapability
from checkmaite.jobs.testing._samples import SampleKnownBefore

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


@pytest.mark.parametrize("travel", [lambda reuse: pickle.loads(pickle.dumps(reuse)), copy.deepcopy])
def test_a_decision_travels_and_the_usual_one_stays_one_object(travel: Callable[[Reuse], Reuse]) -> None:
    other = Reuse(kind=ReuseKind.STALE, job_id="j", differences=("config: threshold",))
    assert travel(other) == other
    assert travel(Reuse()) == RUN
    assert travel(RUN) is RUN


@pytest.mark.parametrize("config", [{"threshold": 0.5, 'said "so"': "é"}, [1, {"config": 2}], None])
def test_fingerprints_are_one_text_in_a_column_whose_names_are_sorted(config: object) -> None:
    prints = prints_of(fingerprints_of(object(), config=config))
    text = prints_text(prints)
    assert text == json.dumps(json.loads(text or ""), sort_keys=True)
    assert prints_from_text(text) == prints


def test_what_is_not_known_is_part_of_what_is_read() -> None:
    reused = Reuse(kind=ReuseKind.REUSED, job_id="before", unknown=("models[0] 'm': it is a generator", "code"))
    assert str(reused) == "REUSED: before; not compared: 2, see unknown"
    assert repr([RUN, reused]) == "[<RUN>, <REUSED: before; not compared: 2, see unknown>]"


def test_a_plan_does_not_claim_that_a_run_without_a_known_uid_was_never_made() -> None:
    configure_job_backend("inline", analytics_store={"backend": "null"})
    submission = {"capability": SampleCapability(), "config": {"run_uid": "u"}}
    known, forced, unknown = plan_capabilities(
        [
            *({**submission, "capability": SampleKnownBefore()}, {**submission, "reuse": "never"}),
            submission,
        ]
    )
    assert known == forced == RUN
    assert unknown.kind is ReuseKind.RUN
    assert str(unknown) == (
        "RUN; not known before: whether the store holds this run, since its uid is made in run() and found when it is "
        "stored"
    )
    with pytest.raises(StaleResultError, match=r"of 'sample' it is not known whether .*compute_uid\(\)"):
        submit_capability(**submission, reuse="require")
    shutdown_job_backend()
