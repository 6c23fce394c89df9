"""What users of ``checkmaite.jobs`` 0.6.1 write, name by name, as docs/how-to/checkmaite-migration.md lists it."""

from __future__ import annotations

import importlib
import json
import pickle
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from attrs import frozen
from checkmaite.jobs import (
    AnalyticsStoreConfig,
    ArtifactStoreConfig,
    BackpressureError,
    ConfigurationError,
    JobBackend,
    JobStatus,
    JobSubmissionError,
    JobTimeoutError,
    NotConfiguredError,
    configure_job_backend,
    configure_provenance,
    get_job_backend,
    get_provenance_defaults,
    list_jobs,
    reset_provenance,
    shutdown_job_backend,
    submit_capability,
)
from checkmaite.jobs._shared import discovery
from checkmaite.jobs._shared.config import option, parse_options
from checkmaite.jobs._shared.discovery import artifact_folder, store_spec
from checkmaite.jobs._shared.provenance import Provenance
from checkmaite.jobs._shared.resources import Resources, resolve_resources
from checkmaite.jobs._submitters.listing import job_query

NULL = {"backend": "null"}
PAGE = Path(__file__).parents[3] / "docs/how-to/checkmaite-migration.md"
NAMES_BEFORE = [
    *("AnalyticsStoreConfig", "ArtifactStoreConfig", "BackpressureError", "CapabilityRunRef"),
    "CapabilityRunRefPayload",
    *("Job", "JobBackend", "JobCancelledError", "JobError", "JobFailedError", "JobStatus", "JobSubmissionError"),
    *("JobTimeoutError", "RayJob", "RayJobBackend", "RaySimpleJob", "RaySimpleJobBackend"),
    *("RunArtifactNotAvailableError", "configure_job_backend", "get_job", "list_jobs", "shutdown_job_backend"),
    "submit_capability",
]
"""What ``checkmaite.jobs`` 0.6.1 exports."""


class Waiting:
    """A capability that waits for the test, and says what it was given."""

    id = "waiting"

    def __init__(self) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.given: Any = None

    def run(self, *, models: Any, datasets: Any, metrics: Any, config: Any, use_cache: bool) -> Any:
        self.given = models, datasets, metrics, config
        self.begun.set()
        assert self.go_on.wait(60)
        return SimpleNamespace(
            run_uid="waited",
            capability_id=self.id,
            dataset_metadata=[],
            model_metadata=[],
            metric_metadata=[],
            extract=list,
        )

    def run_key(self, **_: Any) -> str:
        return "waited"


@pytest.fixture
def inline() -> Iterator[JobBackend]:
    yield configure_job_backend("inline", analytics_store=NULL)
    shutdown_job_backend(wait=True)


@pytest.mark.parametrize("status", JobStatus)
def test_a_status_is_equal_to_its_value_of_before(status: JobStatus) -> None:
    """Their members were no texts, so `job.status.value == "completed"` is what was written."""
    former = str(status).lower()
    other = "completed" if former != "completed" else "failed"
    assert (status.value == former, status == former, former == status, status.value != former) == (*[True] * 3, False)
    assert status.value in ("running", former)
    assert (status.value == other, status == other, status != other) == (False, False, True)
    assert status == str(status) == status.value
    assert JobStatus(former) is status is JobStatus(str(status))


def test_a_status_is_a_text_still() -> None:
    status = JobStatus.FAILED
    assert (json.dumps(status.value), f"{status.value}", str(status)) == ('"FAILED"', "FAILED", "FAILED")
    assert pickle.loads(pickle.dumps(status)) is status
    assert {status: 1}["FAILED"] == {"FAILED": 1}[status] == 1
    assert [each for each in JobStatus if each == status] == [status]
    with pytest.raises(ValueError, match="'done' is not a valid JobStatus"):
        JobStatus("done")


def test_what_is_terminal_is_final() -> None:
    assert [status.is_terminal for status in JobStatus] == [status.is_final for status in JobStatus]
    assert JobStatus.FAILED.is_terminal


def test_a_store_that_is_not_named_is_the_parquet_store() -> None:
    pytest.importorskip("checkmaite.store_parquet")
    spec, problems = store_spec({"uri": "./results"}, remote=False)
    assert (problems, spec and spec.backend) == ([], "parquet")
    _, problems = store_spec({"uri": "./results", "bakend": "null"}, remote=False)
    assert [problem.remedy for problem in problems] == ["Did you mean 'backend'?"]


def test_a_store_that_is_not_named_and_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "_entries", lambda group: {})
    _, problems = store_spec({"uri": "./results"}, remote=False)
    (problem,) = problems
    assert problem.remedy == 'Install it with: pip install "checkmaite-jobs[parquet]". Installed: none.'


def test_stores_can_be_given_as_typed_values() -> None:
    pytest.importorskip("checkmaite.store_parquet")
    typed = AnalyticsStoreConfig(uri="/results", storage_options={"key": "hidden"})
    assert "hidden" not in repr(typed)
    assert store_spec(typed, remote=False) == store_spec(
        {"backend": "parquet", "uri": "/results", "storage_options": {"key": "hidden"}}, remote=False
    )
    folder, problems = artifact_folder(ArtifactStoreConfig(uri="/artifacts"), remote=False)
    assert (problems, folder and folder.uri) == ([], "/artifacts")
    _, problems = store_spec(AnalyticsStoreConfig(uri="/results", backend="null"), remote=False)
    assert [problem.path for problem in problems] == ["analytics_store.uri"]  # the null store takes no options


def test_arguments_may_be_positional(inline: JobBackend) -> None:
    capability = Waiting()
    capability.go_on.set()
    job = submit_capability(capability, ["a model"], ["a dataset"], ["a metric"], {"limit": 3})
    job.result(timeout=60)
    assert capability.given == (["a model"], ["a dataset"], ["a metric"], {"limit": 3})


def test_resources_of_the_clusters_own_may_stand_beside_the_others() -> None:
    with pytest.warns(DeprecationWarning, match=r"resources=\{\"custom\": \{'fpga': 1\}\}") as told:
        found, problems = resolve_resources({"num_cpus": 2, "fpga": 1, "custom": {"tpu": 1}})
    assert (problems, found) == ([], Resources(num_cpus=2, custom={"fpga": 1, "tpu": 1}))
    assert told[0].filename == __file__


@pytest.mark.parametrize("name", ["num_cpu", "NUM_GPUS", "gpus", "GPU", "CPU", "mem"])
def test_a_misspelt_resource_is_no_resource_of_the_clusters_own(name: str) -> None:
    _, problems = resolve_resources({name: 1})
    assert [problem.path for problem in problems] == [f"resources.{name}"]


def test_a_listing_without_limit_has_all() -> None:
    assert job_query(limit=None).limit is None
    with pytest.raises(ConfigurationError, match="or None for all"):
        job_query(limit=0)


def test_all_jobs_are_listed_without_limit(inline: JobBackend) -> None:
    capability = Waiting()
    capability.go_on.set()
    for _ in range(120):
        submit_capability(capability, force=True)
    assert (len(list_jobs()), len(list_jobs(limit=None))) == (100, 120)


def test_scheduling_info_says_how_long_and_where(inline: JobBackend) -> None:
    capability = Waiting()
    job = submit_capability(capability)
    assert capability.begun.wait(60)
    while job.status is not JobStatus.RUNNING:
        job.wait(timeout=0.01)
    info = job.scheduling_info
    assert info.submitted_at == job.created_at
    assert info.started_at is not None
    assert info.wait_s == max(0.0, (info.started_at - job.created_at).total_seconds())
    assert (bool(info.node), bool(info.pid)) == (True, True)
    capability.go_on.set()
    job.result(timeout=60)
    assert job.scheduling_info == info


def test_scheduling_info_of_a_job_that_waits(inline: JobBackend) -> None:
    capability = Waiting()
    jobs = [submit_capability(capability, force=True) for _ in range(3)]  # for two workers
    early, late = jobs[-1].scheduling_info, jobs[-1].scheduling_info
    assert (early.started_at, early.node, early.pid) == (None, None, None)
    assert 0 <= early.wait_s < late.wait_s
    capability.go_on.set()


def test_exception_waits_as_futures_do(inline: JobBackend) -> None:
    """Deliberately different: None says that a job completed, so a live one has none to give."""
    capability = Waiting()
    job = submit_capability(capability)
    with pytest.raises(JobTimeoutError):
        job.exception(timeout=0)
    capability.go_on.set()
    assert job.exception(timeout=60) is None


def test_errors_are_runtime_errors_where_theirs_were() -> None:
    for kind in (NotConfiguredError, JobSubmissionError, BackpressureError):
        assert issubclass(kind, RuntimeError)
    with pytest.raises(RuntimeError, match="no job backend is configured") as caught:
        get_job_backend()
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), NotConfiguredError)


@frozen
class Options:
    speed: int = option("how fast.", default=1)

    @classmethod
    def renamed_options(cls) -> dict[str, str]:
        return {"velocity": "speed"}


def test_an_option_is_taken_by_its_name_of_before() -> None:
    with pytest.warns(DeprecationWarning, match="velocity is taken for speed: write speed") as told:
        found, problems = parse_options(Options, {"velocity": 3})
    assert (found, problems, told[0].filename) == (Options(speed=3), [], __file__)


def test_an_option_cannot_be_given_by_both_names() -> None:
    _, problems = parse_options(Options, {"velocity": 3, "speed": 3})
    assert [str(problem) for problem in problems] == [
        "velocity: is another name of speed, which was given too. Leave it out."
    ]


class Package(ModuleType):
    """Stands for the CheckMAITE package, which keeps provenance of its own."""

    def __init__(self, held: Any) -> None:
        super().__init__("checkmaite")
        self.held = held
        self.__path__: list[str] = list(sys.modules["checkmaite"].__path__)

    def get_provenance_defaults(self) -> Any:
        if isinstance(self.held, Exception):
            raise self.held
        return self.held


@pytest.fixture(autouse=True)
def unsaid_provenance() -> Iterator[None]:
    reset_provenance()
    yield
    reset_provenance()


def test_provenance_given_to_the_package_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = Package(SimpleNamespace(user_id="ada", workspace_id="atlas", environment=None))
    monkeypatch.setitem(sys.modules, "checkmaite", theirs)
    monkeypatch.setenv("CHECKMAITE_PROVENANCE_USER_ID", "of the environment")
    monkeypatch.setenv("CHECKMAITE_PROVENANCE_ENVIRONMENT", "prod")
    configure_provenance(workspace_id="ours")
    assert get_provenance_defaults() == Provenance(user_id="ada", workspace_id="ours", environment="prod")


def test_provenance_that_the_package_cannot_say_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "checkmaite", Package(TypeError("moved")))
    with pytest.warns(RuntimeWarning, match=r"TypeError: moved.*Call checkmaite\.jobs\.configure_provenance"):
        assert get_provenance_defaults() == Provenance()


def test_nothing_is_asked_of_a_namespace_without_the_package() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert get_provenance_defaults() == Provenance()


def test_provenance_may_be_a_mapping() -> None:
    assert Provenance.of({"user_id": "ada", "job_id": None}) == Provenance(user_id="ada")
    with pytest.raises(ConfigurationError) as caught:
        Provenance.of({"user": "ada", "submitted_at": "today", "cluster_id": 3})
    assert [problem.path for problem in caught.value.problems] == [
        "user",
        "provenance.submitted_at",
        "provenance.cluster_id",
    ]


@pytest.mark.parametrize("name", NAMES_BEFORE)
def test_a_name_of_before_is_here_or_on_the_page(name: str) -> None:
    assert hasattr(importlib.import_module("checkmaite.jobs"), name) or f"`{name}`" in PAGE.read_text()


def test_the_protocol_module_of_before_gives_these_types() -> None:
    sys.modules.pop("checkmaite.jobs.protocol", None)
    with pytest.warns(DeprecationWarning, match=r"import from checkmaite\.jobs"):
        protocol = importlib.import_module("checkmaite.jobs.protocol")
    assert protocol.JobStatus is JobStatus
    assert issubclass(protocol.JobTimeoutError, protocol.JobError)
    assert protocol.JobSubmissionError is JobSubmissionError
