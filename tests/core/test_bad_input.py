"""Whatever is wrong with a configuration or a submission gives one typed error with path, cause and remedy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from checkmaite.jobs import (
    ConfigurationError,
    JobBackend,
    JobSubmissionError,
    NotConfiguredError,
    configure_job_backend,
    configure_provenance,
    get_job_backend,
    list_jobs,
    shutdown_job_backend,
    submit_capabilities,
    submit_capability,
)
from checkmaite.jobs.testing import SampleCapability

NULL = {"backend": "null"}
GOOD = SampleCapability()
MODEL = SimpleNamespace(metadata={"id": "m"})


@pytest.fixture
def active() -> Iterator[JobBackend]:
    yield configure_job_backend("inline", analytics_store=NULL)
    shutdown_job_backend(wait=False)


BAD_CONFIGURATIONS: list[tuple[str, str, dict[str, Any], list[str]]] = [
    ("kind unknown", "inlin", {"analytics_store": NULL}, ["kind", "'inline'"]),
    ("kind far off", "kubernetes", {"analytics_store": NULL}, ["kind", "Installed:"]),
    ("kind no text", 3, {"analytics_store": NULL}, ["kind", "int"]),  # type: ignore[list-item]
    ("store missing", "inline", {}, ["analytics_store", "required"]),
    ("store no mapping", "inline", {"analytics_store": "./store"}, ["analytics_store", "mapping"]),
    ("store without backend", "inline", {"analytics_store": {"uri": "x"}}, ["analytics_store.backend", "required"]),
    ("store unknown", "inline", {"analytics_store": {"backend": "nul"}}, ["analytics_store.backend", "'null'"]),
    ("store's name no text", "inline", {"analytics_store": {"backend": 1}}, ["analytics_store.backend", "int"]),
    ("store's option unknown", "inline", {"analytics_store": {**NULL, "url": "x"}}, ["analytics_store.url", "unknown"]),
    ("option misspelt", "inline", {"analytics_store": NULL, "max_worker": 1}, ["max_worker", "'max_workers'"]),
    ("option of text", "inline", {"analytics_store": NULL, "max_workers": "3"}, ["max_workers", "whole number"]),
    ("option of float", "inline", {"analytics_store": NULL, "max_workers": 1.5}, ["max_workers", "whole number"]),
    ("option of bool", "inline", {"analytics_store": NULL, "max_workers": True}, ["max_workers", "whole number"]),
    ("option too small", "inline", {"analytics_store": NULL, "max_workers": 0}, ["max_workers", ">= 1"]),
    ("option None", "inline", {"analytics_store": NULL, "max_workers": None}, ["max_workers", "None"]),
    ("several at once", "inline", {"max_workers": 0, "x": 1}, ["analytics_store:", "max_workers:", "x:"]),
]


@pytest.mark.parametrize(
    ("kind", "arguments", "said"),
    [case[1:] for case in BAD_CONFIGURATIONS],
    ids=[case[0] for case in BAD_CONFIGURATIONS],
)
def test_a_bad_configuration(active: JobBackend, kind: str, arguments: dict[str, Any], said: list[str]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configure_job_backend(kind, **arguments)
    for text in said:
        assert text in str(caught.value)
    for problem in caught.value.problems:
        assert problem.path
        assert problem.cause
        assert problem.remedy
    assert get_job_backend() is active, "the earlier backend stays active"


class NoRun:
    id = "no-run"


class NoId:
    def run(self, **_: Any) -> None: ...


class IdOfNumber(NoId):
    id = 7


class BrokenKey(SampleCapability):
    def run_key(self, **_: Any) -> str:
        raise RuntimeError("the key broke")


class EmptyKey(SampleCapability):
    def run_key(self, **_: Any) -> str:
        return ""


class BadDefaults(SampleCapability):
    default_num_gpus = -1


BAD_SUBMISSIONS: list[tuple[str, dict[str, Any], list[str]]] = [
    ("no run", {"capability": NoRun()}, ["capability", "run()"]),
    ("no id", {"capability": NoId()}, ["capability.id", "missing"]),
    ("id no text", {"capability": IdOfNumber()}, ["capability.id", "7"]),
    ("a class", {"capability": SampleCapability}, ["capability", "class"]),
    ("None", {"capability": None}, ["capability", "NoneType"]),
    ("use_cache", {"use_cache": True}, ["use_cache", "cache"]),
    ("name too long", {"job_name": "n" * 300}, ["job_name", "300 bytes"]),
    ("name long in bytes", {"job_name": "é" * 150}, ["job_name", "300 bytes"]),
    ("name empty", {"job_name": " "}, ["job_name", "printable"]),
    ("name with line break", {"job_name": "a\nb"}, ["job_name", "printable"]),
    ("name no text", {"job_name": 5}, ["job_name", "int"]),
    ("resources no mapping", {"resources": 4}, ["resources", "int"]),
    ("resource misspelt", {"resources": {"num_cpu": 1}}, ["resources.num_cpu", "'num_cpus'"]),
    ("resource negative", {"resources": {"num_cpus": -1}}, ["resources.num_cpus", "-1"]),
    ("resource infinite", {"resources": {"num_gpus": float("inf")}}, ["resources.num_gpus", "inf"]),
    ("resource of text", {"resources": {"num_gpus": "1"}}, ["resources.num_gpus", "'1'"]),
    ("memory of float", {"resources": {"memory": 0.5}}, ["resources.memory", "bytes"]),
    ("custom no mapping", {"resources": {"custom": ["x"]}}, ["resources.custom", "list"]),
    ("custom negative", {"resources": {"custom": {"fpga": -1}}}, ["resources.custom.fpga", "-1"]),
    ("config's resource", {"config": {"num_cpus": "many"}}, ["config.num_cpus", "'many'"]),
    ("capability's default", {"capability": BadDefaults()}, ["capability.default_num_gpus", "-1"]),
    ("argument misspelt", {"job_nam": "x"}, ["job_nam", "'job_name'"]),
    ("option of text", {"force": "yes"}, ["force", "True or False"]),
    ("threshold too large", {"report_threshold": 2}, ["report_threshold", "between 0 and 1"]),
    ("model without id", {"models": [MODEL, object()]}, ["run_key", "models[1]", "metadata['id']"]),
    ("dataset with empty metadata", {"datasets": {"d": SimpleNamespace(metadata={})}}, ["run_key", "datasets['d']"]),
    ("config without form", {"config": {"x": {"y": object()}}}, ["run_key", "config.x.y", "object"]),
    ("config keyed by numbers", {"config": {1: 2}}, ["run_key", "config", "1"]),
    ("run_key raises", {"capability": BrokenKey()}, ["run_key", "the key broke"]),
    ("run_key empty", {"capability": EmptyKey()}, ["run_key", "''"]),
]


@pytest.mark.parametrize(
    ("arguments", "said"), [case[1:] for case in BAD_SUBMISSIONS], ids=[case[0] for case in BAD_SUBMISSIONS]
)
def test_a_bad_submission(active: JobBackend, arguments: dict[str, Any], said: list[str]) -> None:
    arguments = {"capability": GOOD, "config": {}, **arguments}
    with pytest.raises(JobSubmissionError) as alone:
        submit_capability(**arguments)
    with pytest.raises(JobSubmissionError) as batch:
        submit_capabilities([{"capability": GOOD, "config": {}}, arguments])
    for text in said:
        assert text in str(alone.value)
        assert text in str(batch.value)
    assert all(problem.path.startswith("submissions[1].") for problem in batch.value.problems)
    assert all(problem.remedy for problem in batch.value.problems)
    assert alone.value.phase == batch.value.phase
    assert list_jobs() == [], "nothing of the batch was submitted"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"capability": GOOD}, "list of mappings"),
        (GOOD, "SampleCapability"),
        ([GOOD], "submissions[0]"),
        ([{"models": []}], "submissions[0].capability"),
        ([{"capability": GOOD, "options": 3}], "submissions[0].options"),
    ],
    ids=["one mapping", "a capability", "capabilities", "without capability", "options no mapping"],
)
def test_a_bad_batch(active: JobBackend, given: Any, said: str) -> None:
    with pytest.raises(JobSubmissionError, match="Nothing was submitted") as caught:
        submit_capabilities(given)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"status_filter": "DONE"}, "status_filter"),
        ({"status_filter": [3]}, "status_filter"),
        ({"submitted_before_ts": "now"}, "submitted_before_ts"),
        ({"job_name": 3}, "job_name"),
    ],
)
def test_a_bad_listing(active: JobBackend, arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        list_jobs(**arguments)


def test_bad_provenance_changes_nothing() -> None:
    with pytest.raises(ConfigurationError, match=r"user_ids.*user_id"):
        configure_provenance(user_ids="ada")
    with pytest.raises(ConfigurationError, match="user_id"):
        configure_provenance(user_id=3)  # type: ignore[arg-type]


def test_nothing_is_configured() -> None:
    with pytest.raises(NotConfiguredError, match="configure_job_backend"):
        submit_capability(GOOD)


def test_an_empty_batch_is_no_jobs(active: JobBackend) -> None:
    assert submit_capabilities([]) == []


def test_an_error_names_no_secret(active: JobBackend) -> None:
    lock = threading.Lock()
    with pytest.raises(ConfigurationError) as caught:
        configure_job_backend("inline", analytics_store={**NULL, "storage_options": {"secret": "hunter2", "x": lock}})
    assert "hunter2" not in str(caught.value)
