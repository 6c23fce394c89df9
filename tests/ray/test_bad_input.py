"""Options of ``"ray"`` that are refused before Ray is touched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from checkmaite.jobs import JobBackend, configure_job_backend, shutdown_job_backend

from tests.refusals import Said, assert_refused


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


def test_a_scope_is_required(active: JobBackend) -> None:
    said = Said("idempotency_scope", "is required", 'For example "team-a-notebooks"')
    assert_refused(active, "ray", {"analytics_store": GOOD["analytics_store"]}, said)
