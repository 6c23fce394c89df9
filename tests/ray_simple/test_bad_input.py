"""Options that Ray must not even see are refused before Ray is touched."""

from __future__ import annotations

from collections.abc import Iterator
from math import inf, nan
from typing import Any

import pytest
from checkmaite.jobs import JobBackend, configure_job_backend, shutdown_job_backend
from checkmaite.jobs_ray_simple.cluster import ConnectionOptions

from tests.refusals import Said, assert_refused


@pytest.fixture
def active() -> Iterator[JobBackend]:
    yield configure_job_backend("inline", analytics_store={"backend": "null"})
    shutdown_job_backend(wait=False)


STORE = {"backend": "parquet", "uri": "/shared/store"}
NEAR, FAR = {**STORE, "uri": "store"}, "host:6379"
BAD_OPTIONS: list[tuple[str, dict[str, Any], Said]] = [
    ("scope", {"idempotency_scope": "mine"}, Said("idempotency_scope", "is not an option here", '"ray"')),
    ("registry", {"registry_namespace": "mine"}, Said("registry_namespace", "is not an option here", '"ray"')),
    ("journal", {"journal_uri": "x"}, Said("journal_uri", "is not an option here", '"ray"')),
    ("address", {"address": "nowhere"}, Said("address", "'nowhere' is not an address", "host:port")),
    ("address of a number", {"address": 6379}, Said("address", "expected text", "host:port")),
    ("address without port", {"address": "ray://host"}, Said("address", "is not an address", "ray://host:10001")),
    ("password", {"address": "ray://ada:hunter2@host:1"}, Said("address", "no password belong in it", "host:port")),
    ("size of a running Ray", {"address": FAR, "num_cpus": 2}, Said("num_cpus", "has its size already", "Leave it")),
    ("retries", {"max_retries": -2}, Said("max_retries", "-2", "-1 for without limit")),
    ("misspelt", {"num_cpu": 2}, Said("num_cpu", "unknown option", "'num_cpus'")),
    ("environment", {"runtime_env": "hunter2"}, Said("runtime_env", "expected a mapping", "working_dir")),
    (
        "environment misspelt",
        {"runtime_env": {"workingdir": ".", "env_vars": {"TOKEN": "hunter2"}}},
        Said("runtime_env.workingdir", "unknown field 'workingdir'", "Did you mean 'working_dir'?"),
    ),
    (
        "environment of no plugin",
        {"runtime_env": {"quux": 1}},
        Said("runtime_env.quux", "unknown field 'quux'", "RAY_RUNTIME_ENV_PLUGINS"),
    ),
    ("timeout", {"connect_timeout_s": 0}, Said("connect_timeout_s", "> 0", "seconds to reach")),
    ("timeout infinite", {"connect_timeout_s": inf}, Said("connect_timeout_s", "inf is not a finite number", "reach")),
    ("timeout not a number", {"connect_timeout_s": nan}, Said("connect_timeout_s", "nan is not a finite", "reach")),
    ("size infinite", {"num_cpus": inf}, Said("num_cpus", "expected a whole number, got inf", "CPUs of a local Ray")),
    (
        "relative store far away",
        {"address": FAR, "analytics_store": NEAR},
        Said("analytics_store.uri", "'store' means another folder on every machine", "Pass an absolute path"),
    ),
    (
        "relative file URL far away",
        {"address": "ray://host:10001", "analytics_store": {**STORE, "uri": "file://store"}},
        Said("analytics_store.uri", "'store' means another folder on every machine", "Pass an absolute path"),
    ),
    (
        "relative documents far away",
        {"address": "auto", "artifact_store": {"uri": "kept"}},
        Said("artifact_store.uri", "'kept' means another folder on every machine", "Pass an absolute path"),
    ),
]


@pytest.mark.parametrize(("options", "said"), [case[1:] for case in BAD_OPTIONS], ids=[case[0] for case in BAD_OPTIONS])
def test_bad_options(active: JobBackend, options: dict[str, Any], said: Said) -> None:
    assert_refused(active, "ray-simple", {"analytics_store": STORE, **options}, said)


@pytest.mark.parametrize("fields", [("working_dir", "env_vars", "config"), ("_nsight", "nsight", "image_uri")])
def test_what_ray_knows_of_an_environment_is_not_refused(fields: tuple[str, ...]) -> None:
    ConnectionOptions(runtime_env=dict.fromkeys(fields))


def test_a_plugin_may_know_any_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_RUNTIME_ENV_PLUGINS", '[{"class": "site.Quux"}]')
    ConnectionOptions(runtime_env={"quux": 1})
