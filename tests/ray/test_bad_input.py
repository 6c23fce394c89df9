"""Options of ``"ray"`` that are refused before Ray is touched."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, nan
from typing import Any

import attrs
import pytest
from checkmaite.jobs import (
    JobBackend,
    JobSubmissionError,
    Submission,
    configure_job_backend,
    shutdown_job_backend,
)
from checkmaite.jobs._shared.provenance import Provenance
from checkmaite.jobs._submitters.preparing import prepare
from checkmaite.jobs.testing import SampleCapability
from checkmaite.jobs_ray.client import payload_limits
from checkmaite.jobs_ray.config import RayOptions, RayRunOptions

from tests.refusals import Said, assert_refused, assert_said


@pytest.fixture
def active() -> Iterator[JobBackend]:
    yield configure_job_backend("inline", analytics_store={"backend": "null"})
    shutdown_job_backend(wait=False)


GOOD: dict[str, Any] = {
    "idempotency_scope": "mine",
    "analytics_store": {"backend": "parquet", "uri": "/shared/store"},
}
BAD_OPTIONS: list[tuple[str, dict[str, Any], Said]] = [
    ("scope empty", {"idempotency_scope": " "}, Said("idempotency_scope", "not a printable name", "shares jobs")),
    ("scope of a number", {"idempotency_scope": 1}, Said("idempotency_scope", "expected text", "shares jobs")),
    ("scope misspelt", {"idempotency_scop": "x"}, Said("idempotency_scop", "unknown", "'idempotency_scope'")),
    ("address", {"address": "nowhere"}, Said("address", "is not an address", "host:port")),
    ("pool", {"controller_pool_size": 0}, Said("controller_pool_size", ">= 1", "controllers, whatever")),
    ("bound", {"registry_max_pending_calls": 0.5}, Said("registry_max_pending_calls", "0.5", "BackpressureError")),
    ("recovery", {"recovery": "retry"}, Said("recovery", "neither 'resubmit' nor 'fail'", "JobLostError")),
    ("resource", {"registry_resources": {"a": -1}}, Said("registry_resources", "not an amount", "custom resources")),
    ("lease", {"lease_ttl_s": 4.0}, Said("lease_ttl_s", "not longer than heartbeat_interval_s=5", "several times")),
    ("journal in memory", {"journal_uri": "memory://x"}, Said("journal_uri", "memory:// ends", "journal")),
    ("journal nowhere", {"journal_uri": "nosuch://x"}, Said("journal_uri", "no filesystem is known", "journal")),
    ("journal's secret", {"journal_uri": "s3://k:hunter2@b/j"}, Said("journal_uri", "credentials", "storage_options")),
    ("payload", {"max_payload_bytes": 0}, Said("max_payload_bytes", ">= 1", "bytes of the largest")),
    ("payload infinite", {"max_payload_bytes": inf}, Said("max_payload_bytes", "got inf", "bytes of the largest")),
    ("resource infinite", {"controller_resources": {"a": inf}}, Said("controller_resources", "inf, which", "custom")),
    ("resource not a number", {"registry_resources": {"a": nan}}, Said("registry_resources", "nan, which", "custom")),
    ("resource without name", {"registry_resources": {"": 1}}, Said("registry_resources", "printable name", "custom")),
    (
        "next to no CPU",
        {"registry_num_cpus": 1e-5},
        Said("registry_num_cpus", "less than can be reserved", "CPUs that"),
    ),
    ("too many CPUs", {"controller_num_cpus": 1e15}, Said("controller_num_cpus", "more than any cluster", "CPUs that")),
    ("memory", {"registry_memory": 10**18}, Said("registry_memory", "more than any cluster has", "bytes of memory")),
    ("memory of all", {"controller_memory": 10**15}, Said("controller_memory", "more than any", "bytes of memory")),
    ("resource tiny", {"registry_resources": {"a": 1e-5}}, Said("registry_resources", "'a': 1e-05 is less", "custom")),
    ("resource of Ray", {"controller_resources": {"CPU": 1}}, Said("controller_resources", "'CPU': is no", "custom")),
    (
        "relative journal far away",
        {"address": "ray://host:10001", "journal_uri": "jobs"},
        Said("journal_uri", "'jobs' means another folder on every machine", "Pass an absolute path"),
    ),
    (
        "relative documents far away",
        {"address": "ray://host:10001", "artifact_store": {"uri": "kept"}},
        Said("artifact_store.uri", "'kept' means another folder on every machine", "Pass an absolute path"),
    ),
]


@pytest.mark.parametrize(("options", "said"), [case[1:] for case in BAD_OPTIONS], ids=[case[0] for case in BAD_OPTIONS])
def test_bad_options(active: JobBackend, options: dict[str, Any], said: Said) -> None:
    assert_refused(active, "ray", {**GOOD, **options}, said)


NUMBERS: dict[str, str] = {
    "connect_timeout_s": "seconds to reach",
    "registry_num_cpus": "CPUs that the registry reserves",
    "registry_startup_timeout_s": "answer for the first time",
    "registry_update_timeout_s": "answer any later call",
    "controller_num_cpus": "CPUs that each controller reserves",
    "controller_retention_s": "1e9 are 30 years",
    "terminal_job_retention_s": "1e9 are 30 years",
    "heartbeat_interval_s": "5 when left out",
    "lease_ttl_s": "30 when left out",
    "scheduling_timeout_s": "without limit when left out or None",
}


def test_every_number_is_among_those_that_must_be_finite() -> None:
    numbers = {
        each.name for each in attrs.fields(attrs.resolve_types(RayOptions)) if each.type in (float, float | None)
    }
    assert numbers == NUMBERS.keys()


@pytest.mark.parametrize("number", [inf, -inf, nan, 10**400], ids=["inf", "-inf", "nan", "huge"])
@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_is_finite(active: JobBackend, name: str, number: float) -> None:
    assert_refused(active, "ray", {**GOOD, name: number}, Said(name, "is not a finite number", NUMBERS[name]))


@pytest.mark.parametrize("number", [inf, nan], ids=["inf", "nan"])
def test_a_number_of_one_job_is_finite(number: float) -> None:
    """The journal cannot hold another one, and the registry is everybody's."""
    submission = Submission(capability=SampleCapability(), config={}, options={"scheduling_timeout_s": number})
    with pytest.raises(JobSubmissionError) as caught:
        prepare([submission], options_type=RayRunOptions, provenance=Provenance(), several=False)
    said = Said("scheduling_timeout_s", "is not a finite number", "the backend's scheduling_timeout_s when left out")
    assert_said(caught.value.problems, said)


@pytest.mark.parametrize(
    ("sizes", "most", "said"),
    [
        ([11], 10, Said("submission", "have 11 bytes, pickled; at most 10", "raise max_payload_bytes")),
        ([1, 11], 10, Said("submissions[1]", "have 11 bytes, pickled; at most 10", "raise max_payload_bytes")),
        ([9, 9, 9], 10, Said("submissions", "have 27 bytes, pickled; at most 20", "or submit it in several calls")),
        ([30, 11], 40, Said("submissions", "have 41 bytes, pickled; at most 40", "or submit it in several calls")),
    ],
    ids=["one job", "one of several", "all together", "more than a large job"],
)
def test_too_many_bytes(monkeypatch: pytest.MonkeyPatch, sizes: list[int], most: int, said: Said) -> None:
    monkeypatch.setattr(payload_limits, "MOST_BATCH_BYTES", 20)
    with pytest.raises(JobSubmissionError) as caught:
        payload_limits.refuse_large([bytes(size) for size in sizes], most)
    assert_said(caught.value.problems, said)
    assert caught.value.phase == "serialize"


@pytest.mark.parametrize(("sizes", "most"), [([], 10), ([10, 10], 10), ([40], 40), ([20, 20], 40)])
def test_bytes_that_may_be_sent(monkeypatch: pytest.MonkeyPatch, sizes: list[int], most: int) -> None:
    monkeypatch.setattr(payload_limits, "MOST_BATCH_BYTES", 20)
    payload_limits.refuse_large([bytes(size) for size in sizes], most)


def test_a_scope_is_required(active: JobBackend) -> None:
    said = Said("idempotency_scope", "is required", 'For example "team-a-notebooks"')
    assert_refused(active, "ray", {"analytics_store": GOOD["analytics_store"]}, said)
