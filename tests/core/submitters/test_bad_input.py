"""Whatever is wrong with a configuration or a submission gives one typed error with path, cause and remedy."""

from __future__ import annotations

import functools
import importlib.util
import os
import threading
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from checkmaite.jobs import (
    ConfigurationError,
    JobBackend,
    JobFailedError,
    JobSubmissionError,
    NotConfiguredError,
    Resources,
    Submission,
    configure_job_backend,
    configure_provenance,
    get_provenance_defaults,
    list_jobs,
    shutdown_job_backend,
    submit_capabilities,
    submit_capability,
)
from checkmaite.jobs._shared import discovery, drivers
from checkmaite.jobs._shared.discovery import BACKENDS_GROUP, STORES_GROUP
from checkmaite.jobs._shared.resources import resolve_resources
from checkmaite.jobs._submitters.capability import capability_problems
from checkmaite.jobs.testing import SampleCapability, SampleRun

from tests.refusals import Said, assert_refused, assert_said

NULL = {"backend": "null"}
GOOD = SampleCapability()
MODEL = SimpleNamespace(metadata={"id": "m"})


@pytest.fixture
def active() -> Iterator[JobBackend]:
    yield configure_job_backend("inline", analytics_store=NULL)
    shutdown_job_backend(wait=False)


BAD_CONFIGURATIONS: list[tuple[str, str, dict[str, Any], Said]] = [
    (
        "kind unknown",
        "inlin",
        {"analytics_store": NULL},
        ("kind", "no job backend 'inlin' is installed", "Did you mean 'inline'? Installed:"),
    ),
    (
        "kind far off",
        "kubernetes",
        {"analytics_store": NULL},
        ("kind", "no job backend 'kubernetes' is installed", "Installed: inline"),
    ),
    (
        "kind no text",
        3,
        {"analytics_store": NULL},
        ("kind", "expected the name of a job backend, got int", "Installed: inline"),
    ),  # type: ignore[list-item]
    ("store missing", "inline", {}, ("analytics_store", "is required", "Pass, for example,")),
    (
        "store no mapping",
        "inline",
        {"analytics_store": "./store"},
        ("analytics_store", "expected a mapping, got str", 'Pass, for example, {"backend":'),
    ),
    (
        "store's option no text",
        "inline",
        {"analytics_store": {**NULL, 3: "x"}},
        ("analytics_store[3]", "is no name of an option: names are text", "Take it out"),
    ),
    (
        "store unknown",
        "inline",
        {"analytics_store": {"backend": "nul"}},
        ("analytics_store.backend", "no analytics store 'nul' is installed", "Did you mean 'null'? Installed:"),
    ),
    (
        "store's name no text",
        "inline",
        {"analytics_store": {"backend": 1}},
        ("analytics_store.backend", "expected the name of an analytics store, got int", "null"),
    ),
    (
        "store's option unknown",
        "inline",
        {"analytics_store": {**NULL, "url": "x"}},
        ("analytics_store.url", "unknown option 'url'", "Known: backend"),
    ),
    (
        "option misspelt",
        "inline",
        {"analytics_store": NULL, "max_worker": 1},
        ("max_worker", "unknown option 'max_worker'", "Did you mean 'max_workers'?"),
    ),
    (
        "option of text",
        "inline",
        {"analytics_store": NULL, "max_workers": "3"},
        ("max_workers", "expected a whole number, got the text '3'", "Meaning: jobs that run at"),
    ),
    (
        "option of float",
        "inline",
        {"analytics_store": NULL, "max_workers": 1.5},
        ("max_workers", "expected a whole number, got 1.5", "Meaning: jobs that run at"),
    ),
    (
        "option of bool",
        "inline",
        {"analytics_store": NULL, "max_workers": True},
        ("max_workers", "expected a whole number, got True", "Meaning: jobs that run at"),
    ),
    (
        "option too small",
        "inline",
        {"analytics_store": NULL, "max_workers": 0},
        ("max_workers", "'max_workers' must be >= 1: 0", "Meaning: jobs that run at"),
    ),
    (
        "option infinite",
        "inline",
        {"analytics_store": NULL, "max_workers": float("inf")},
        ("max_workers", "expected a whole number, got inf", "Meaning: jobs that run at"),
    ),
    (
        "option None",
        "inline",
        {"analytics_store": NULL, "max_workers": None},
        ("max_workers", "expected a whole number, got None", "Meaning: jobs that run at"),
    ),
    (
        "option misspelt like a store",
        "inline",
        {"analytics_store": NULL, "artifact_stor": {}},
        ("artifact_stor", "unknown option", "'artifact_store'"),
    ),
    (
        "files of a backend that keeps none",
        "inline",
        {"analytics_store": NULL, "private_files": True},
        ("private_files", "is not an option here", "keeps no files of its own"),
    ),
    ("store misspelt", "inline", {"analytic_store": NULL}, ("analytic_store", "unknown option", "'analytics_store'")),
    (
        "documents no mapping",
        "inline",
        {"analytics_store": NULL, "artifact_store": "./kept"},
        ("artifact_store", "expected a mapping, got str", "Pass, for example"),
    ),
    (
        "documents nowhere",
        "inline",
        {"analytics_store": NULL, "artifact_store": {}},
        ("artifact_store.uri", "is required", "a folder, or an fsspec URL"),
    ),
    (
        "documents' option misspelt",
        "inline",
        {"analytics_store": NULL, "artifact_store": {"uri": "x", "storage_option": {}}},
        ("artifact_store.storage_option", "unknown option", "'storage_options'"),
    ),
    (
        "documents' options no mapping",
        "inline",
        {"analytics_store": NULL, "artifact_store": {"uri": "x", "storage_options": "hunter2"}},
        ("artifact_store.storage_options", "expected a mapping", "options of the fsspec filesystem"),
    ),
    (
        "URI empty",
        "inline",
        {"analytics_store": NULL, "artifact_store": {"uri": " "}},
        ("artifact_store.uri", "is empty", "Pass a folder"),
    ),
    (
        "URI no text",
        "inline",
        {"analytics_store": NULL, "artifact_store": {"uri": 3}},
        ("artifact_store.uri", "expected text, got 3", "a folder, or an fsspec URL"),
    ),
    (
        "URI of an unknown kind",
        "inline",
        {"analytics_store": NULL, "artifact_store": {"uri": "s4://bucket"}},
        ("artifact_store.uri", "no filesystem is known for s4:// URLs", "a folder, or an fsspec URL"),
    ),
    (
        "password in a URI",
        "inline",
        {"analytics_store": NULL, "artifact_store": {"uri": "ftp://ada:hunter2@host/x"}},
        ("artifact_store.uri", "the ftp URL holds credentials", "pass them in storage_options"),
    ),
    (
        "token in a URI",
        "inline",
        {"analytics_store": NULL, "artifact_store": {"uri": "http://host/x?token=hunter2"}},
        ("artifact_store.uri", "the http URL holds credentials", "pass them in storage_options"),
    ),
    ("several at once", "inline", {"max_workers": 0, "x": 1}, ("x", "unknown option", "Known: ")),
]


@pytest.mark.parametrize(
    ("kind", "arguments", "said"),
    [case[1:] for case in BAD_CONFIGURATIONS],
    ids=[case[0] for case in BAD_CONFIGURATIONS],
)
def test_a_bad_configuration(active: JobBackend, kind: str, arguments: dict[str, Any], said: Said) -> None:
    assert_refused(active, kind, arguments, said)


def test_everything_that_is_wrong_is_said_at_once(active: JobBackend) -> None:
    with pytest.raises(ConfigurationError) as caught:
        configure_job_backend("inline", max_workers=0, x=1, artifact_store=3)  # type: ignore[call-arg, arg-type]
    assert [each.path for each in caught.value.problems] == ["x", "max_workers", "analytics_store", "artifact_store"]


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Core stands alone, and one plug-in is broken, whatever is installed here."""
    broken = EntryPoint("broken", "a_module_that_is_not_there:Thing", BACKENDS_GROUP)
    own = {BACKENDS_GROUP: ("inline", broken), STORES_GROUP: ("null",)}

    def installed(group: str) -> dict[str, Any]:
        found = {each.name: each for each in entry_points(group=group)}
        return {str(getattr(each, "name", each)): found.get(str(each), each) for each in own[group]}

    monkeypatch.setattr(discovery, "_entries", installed)
    monkeypatch.setattr(drivers.fsspec, "registry", {})  # what other tests have imported is not there either
    find = importlib.util.find_spec
    monkeypatch.setattr(drivers, "find_spec", lambda name: None if name == "s3fs" else find(name))


@pytest.mark.usefixtures("nothing_installed")
@pytest.mark.parametrize(
    ("kind", "arguments", "said"),
    [
        ("ray", {"analytics_store": NULL}, ("kind", "no job backend 'ray'", 'pip install "checkmaite-jobs[ray]"')),
        (
            "ray-simple",
            {"analytics_store": NULL},
            ("kind", "no job backend 'ray-simple'", 'pip install "checkmaite-jobs[ray-simple]"'),
        ),
        ("rey", {"analytics_store": NULL}, ("kind", "no job backend 'rey'", "Did you mean 'ray'? Install it with")),
        ("broken", {"analytics_store": NULL}, ("kind", "ModuleNotFoundError", "Mend or reinstall")),
        (
            "inline",
            {"analytics_store": {"backend": "parquet", "uri": "x"}},
            ("analytics_store.backend", "no analytics store 'parquet'", 'pip install "checkmaite-jobs[parquet]"'),
        ),
        (
            "inline",
            {"analytics_store": NULL, "artifact_store": {"uri": "s3://bucket"}},
            ("artifact_store.uri", 'need s3fs, which is not installed: pip install "checkmaite-jobs[s3]"', "a folder"),
        ),
    ],
    ids=["ray", "ray-simple", "misspelt and not installed", "broken plug-in", "parquet", "s3"],
)
def test_what_is_not_installed_is_named_with_its_extra(
    active: JobBackend, kind: str, arguments: dict[str, Any], said: Said
) -> None:
    assert_refused(active, kind, arguments, said)


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


class Runs:
    """A capability of any `run`."""

    id = "runs"

    def __init__(self, run: Any) -> None:
        self.run = run


class WithoutUseCache:
    id = "old"

    def run(self, *, models: Any = None, datasets: Any = None, metrics: Any = None, config: Any = None) -> None: ...


class ByPosition:
    id = "positional"

    def run(self, models: Any, datasets: Any, metrics: Any, config: Any, use_cache: bool, /) -> None: ...


class AsksForMore:
    id = "more"

    def run(self, tracker: Any, **given: Any) -> None: ...


class Awaited:
    id = "awaited"

    async def run(self, **given: Any) -> None: ...


class AwaitedWhenCalled:
    async def __call__(self, **given: Any) -> None: ...


class Yields:
    id = "yields"

    def run(self, **given: Any) -> Iterator[int]:
        yield 1


class RaisesWhenAsked:
    """Each of its properties raises."""

    @property
    def id(self) -> str:
        raise RuntimeError("the registry of ids is away")

    @property
    def run(self) -> Any:
        raise RuntimeError("nobody runs this")

    @property
    def default_num_cpus(self) -> int:
        raise RuntimeError("who knows")

    @property
    def num_gpus(self) -> int:
        raise RuntimeError("ask later")


class MethodAsId(NoId):
    def id(self) -> str:
        return "method"


class Named(NoId):
    def __init__(self, given: str) -> None:
        self.id = given


class SurrogateId(NoId):
    id = "caf\udce9"


class Settings:
    limit = 3


class Model:
    metadata = property(lambda self: {"id": "m"})


BAD_SUBMISSIONS: list[tuple[str, dict[str, Any], Said]] = [
    (
        "no run",
        {"capability": NoRun()},
        ("capability", "a NoRun has no run() method", "Pass an object whose run(models=,"),
    ),
    ("no id", {"capability": NoId()}, ("capability.id", "is missing", "Give the capability a stable id")),
    (
        "id no text",
        {"capability": IdOfNumber()},
        ("capability.id", "is 7, not a non-empty text", "Give the capability a stable id"),
    ),
    (
        "a class",
        {"capability": SampleCapability},
        ("capability", "is the class SampleCapability, not an object of it", "Pass SampleCapability(...)"),
    ),
    (
        "None",
        {"capability": None},
        ("capability", "a NoneType has no run() method", "Pass an object whose run(models=,"),
    ),
    (
        "a mapping",
        {"capability": {"capability": GOOD}},
        ("capability", "a dict has no run() method", "submit_capabilities([...]) takes mappings"),
    ),
    (
        "a list",
        {"capability": [GOOD]},
        ("capability", "a list has no run() method", "Pass one capability; submit_capabilities([...])"),
    ),
    (
        "a submission",
        {"capability": Submission(capability=GOOD)},
        ("capability", "a Submission has no run() method", "Pass one capability; submit_capabilities([...])"),
    ),
    (
        "its method",
        {"capability": GOOD.run},
        ("capability", "a method has no run() method", "Pass the object that has the method"),
    ),
    (
        "run without use_cache",
        {"capability": WithoutUseCache()},
        ("capability.run", "unexpected keyword argument 'use_cache'", "Write run(self, *, models=None,"),
    ),
    (
        "run by position",
        {"capability": ByPosition()},
        ("capability.run", "It is run(self, models, datasets, metrics, config, use_cache, /)", "or take **kwargs"),
    ),
    (
        "run that asks for more",
        {"capability": AsksForMore()},
        ("capability.run", "missing a required argument: 'tracker'. It is run(self, tracker, **given)", "or take **"),
    ),
    (
        "run that takes nothing",
        {"capability": Runs(lambda: None)},
        (
            "capability.run",
            "cannot be called as workers do, with models=, datasets=",
            "Write run(self, *, models=None,",
        ),
    ),
    (
        "async run",
        {"capability": Awaited()},
        ("capability.run", "is an async function, which nobody awaits", "asyncio.run(...)"),
    ),
    (
        "async callable",
        {"capability": Runs(AwaitedWhenCalled())},
        ("capability.run", "is an async function, which nobody awaits", "asyncio.run(...)"),
    ),
    (
        "async function, in part",
        {"capability": Runs(partial(Awaited().run, config=1))},
        ("capability.run", "is an async function, which nobody awaits", "asyncio.run(...)"),
    ),
    (
        "run that yields",
        {"capability": Yields()},
        ("capability.run", "is a generator function", "Return the run instead of yielding"),
    ),
    (
        "run that cannot be read",
        {"capability": RaisesWhenAsked()},
        ("capability.run", "cannot be read: RuntimeError: nobody runs this", "Mend the property"),
    ),
    (
        "default that cannot be read",
        {"capability": RaisesWhenAsked()},
        ("resources.num_cpus", "cannot be read: RuntimeError: who knows", "or pass resources={'num_cpus': ...}"),
    ),
    (
        "config's resource that cannot be read",
        {"config": RaisesWhenAsked()},
        ("resources.num_gpus", "cannot be read: RuntimeError: ask later", "or pass resources={'num_gpus': ...}"),
    ),
    (
        "id a method",
        {"capability": MethodAsId()},
        ("capability.id", "is a method, not a text", "Give the capability a stable id"),
    ),
    (
        "id that is blank",
        {"capability": Named(" ")},
        ("capability.id", "is the text ' ', not a non-empty text", "Give the capability a stable id"),
    ),
    (
        "id that nobody sees",
        {"capability": Named("accuracy\n")},
        ("capability.id", "holds a character that nobody sees, '\\n' at 8", "Give the capability a stable id"),
    ),
    (
        "id that is no UTF-8",
        {"capability": SurrogateId()},
        ("capability.id", "'caf\\udce9' holds characters that cannot be written", "Give the capability a stable id"),
    ),
    ("config a class", {"config": Settings}, ("config", "is the class Settings, not an object", "Pass Settings(...)")),
    (
        "config a class of defaults",
        {"config": Resources},
        ("config", "is the class Resources, not an object", "Pass Resources(...)"),
    ),
    (
        "model a class",
        {"models": [Model]},
        ("run_key", "cannot be computed: models[0] is the class Model, not an object", "Pass Model(...)"),
    ),
    (
        "datasets a generator",
        {"datasets": (each for each in [MODEL])},
        ("run_key", "cannot be computed: datasets is an iterator, which can be read only once", "Pass a list"),
    ),
    (
        "use_cache",
        {"use_cache": True},
        ("use_cache", "jobs cannot use the capability's own cache: a worker's", "Leave use_cache out; a run that"),
    ),
    (
        "name too long",
        {"job_name": "n" * 300},
        ("job_name", "is 300 bytes long; at most 255 are allowed", "Shorten it; details belong in the"),
    ),
    (
        "name long in bytes",
        {"job_name": "é" * 150},
        ("job_name", "is 300 bytes long; at most 255 are allowed", "Shorten it; details belong in the"),
    ),
    ("name empty", {"job_name": " "}, ("job_name", "' ' is not a printable name", "Use printable characters, or")),
    (
        "name with line break",
        {"job_name": "a\nb"},
        ("job_name", "'a\\nb' is not a printable name", "Use printable characters, or"),
    ),
    ("name no text", {"job_name": 5}, ("job_name", "expected text, got int", "Pass a string or leave it out")),
    (
        "resources no mapping",
        {"resources": 4},
        ("resources", "expected a mapping or a Resources, got int", "Pass, for example,"),
    ),
    (
        "resource misspelt",
        {"resources": {"num_cpu": 1}},
        ("resources.num_cpu", "unknown resource 'num_cpu'", "Did you mean 'num_cpus'? The"),
    ),
    (
        "resource negative",
        {"resources": {"num_cpus": -1}},
        ("resources.num_cpus", "-1 is not an amount", "Pass a finite number that is 0 or"),
    ),
    (
        "resource infinite",
        {"resources": {"num_gpus": float("inf")}},
        ("resources.num_gpus", "inf is not an amount", "Pass a finite number that is 0 or"),
    ),
    (
        "resource of text",
        {"resources": {"num_gpus": "1"}},
        ("resources.num_gpus", "expected a number, got the text '1'", "Pass a number that is 0 or more"),
    ),
    (
        "a GPU and a half",
        {"resources": {"num_gpus": 1.5}},
        ("resources.num_gpus", "1.5 is neither a share of one GPU nor a whole number", "up to 1, or a whole number"),
    ),
    (
        "config's GPU and a half",
        {"config": {"num_gpus": 1.5}},
        ("config.num_gpus", "1.5 is neither a share of one GPU nor a whole number", "up to 1, or a whole number"),
    ),
    (
        "next to no CPU",
        {"resources": {"num_cpus": 0.00001}},
        ("resources.num_cpus", "1e-05 is less than can be reserved", "Pass 0, or 0.0001 and more"),
    ),
    (
        "next to no custom",
        {"resources": {"custom": {"fpga": 1e-5}}},
        ("resources.custom.fpga", "1e-05 is less than can be reserved", "Pass 0, or 0.0001 and more"),
    ),
    (
        "too much memory",
        {"resources": {"memory": 10**18}},
        ("resources.memory", "1000000000000000000 is more than any cluster has", "Pass at most 1e+14"),
    ),
    (
        "too many CPUs",
        {"resources": Resources(num_cpus=1e15)},
        ("resources.num_cpus", "1000000000000000.0 is more than any cluster has", "Pass at most 1e+14"),
    ),
    (
        "memory of float",
        {"resources": {"memory": 0.5}},
        ("resources.memory", "expected a whole number of bytes, got 0.5", "Pass a number that is 0 or more"),
    ),
    (
        "custom no mapping",
        {"resources": {"custom": ["x"]}},
        ("resources.custom", "expected a mapping of names to amounts, got list", "Pass, for example,"),
    ),
    (
        "custom negative",
        {"resources": {"custom": {"fpga": -1}}},
        ("resources.custom.fpga", "-1 is not an amount", "Pass a finite number that is 0 or"),
    ),
    *(
        (
            f"custom {name}",
            {"resources": {"custom": {name: 1}}},
            (f"resources.custom.{name}", "is no resource of the cluster's own", remedy),
        )
        for name, remedy in [
            ("CPU", "Pass num_cpus beside"),
            ("GPU", "Pass num_gpus beside"),
            ("memory", "Pass memory, in bytes, beside"),
            ("object_store_memory", "Leave it out"),
        ]
    ),
    (
        "resource not a number",
        {"resources": {"num_cpus": float("nan")}},
        ("resources.num_cpus", "nan is not an amount", "Pass a finite number that is 0 or"),
    ),
    (
        "resource too large for a float",
        {"resources": {"memory": 10**400}},
        ("resources.memory", "a number of 1329 bits is not an amount", "Pass a finite number that is 0 or"),
    ),
    (
        "Resources not finite",
        {"resources": Resources(num_cpus=float("inf"))},
        ("resources.num_cpus", "inf is not an amount", "Pass a finite number that is 0 or"),
    ),
    (
        "custom infinite",
        {"resources": {"custom": {"fpga": float("inf")}}},
        ("resources.custom.fpga", "inf is not an amount", "Pass a finite number that is 0 or"),
    ),
    (
        "custom named by a number",
        {"resources": {"custom": {1: 1}}},
        ("resources.custom", "the name 1 is an int, not text", "Pass names as text"),
    ),
    (
        "custom without name",
        {"resources": {"custom": {" ": 1}}},
        ("resources.custom", "' ' is not a printable name", "Name the resource"),
    ),
    (
        "config's resource infinite",
        {"config": {"num_gpus": float("inf")}},
        ("config.num_gpus", "inf is not an amount", "Pass a finite number that is 0 or"),
    ),
    (
        "config's resource",
        {"config": {"num_cpus": "many"}},
        ("config.num_cpus", "expected a number, got the text 'many'", "Pass a number that is 0 or more"),
    ),
    (
        "capability's default",
        {"capability": BadDefaults()},
        ("capability.default_num_gpus", "-1 is not an amount", "Pass a finite number that is 0 or"),
    ),
    ("a process", {"isolation": "process"}, ("isolation", "is not an option here", "in threads of this process")),
    ("retries", {"max_retries": 3}, ("max_retries", "is not an option here", "starts no job again")),
    ("argument misspelt", {"job_nam": "x"}, ("job_nam", "unknown argument 'job_nam'", "Did you mean 'job_name'?")),
    (
        "option of text",
        {"force": "yes"},
        ("force", "expected True or False, got the text 'yes'", "Meaning: True runs again even when"),
    ),
    (
        "threshold too large",
        {"report_threshold": 2},
        ("report_threshold", "2.0 is not between 0 and 1", "Meaning: the threshold"),
    ),
    (
        "threshold not a number",
        {"report_threshold": float("nan")},
        ("report_threshold", "nan is not a finite number", "between 0 and 1"),
    ),
    (
        "threshold too large for a float",
        {"report_threshold": 10**400},
        ("report_threshold", "a number of 1329 bits is not a finite number", "between 0 and 1"),
    ),
    (
        "model without id",
        {"models": [MODEL, object()]},
        ("run_key", "cannot be computed: models[1] has no metadata['id'], so the", "Give every model, dataset and"),
    ),
    (
        "dataset with empty metadata",
        {"datasets": {"d": SimpleNamespace(metadata={})}},
        ("run_key", "cannot be computed: datasets['d'] has no metadata['id'], so", "Give every model, dataset and"),
    ),
    (
        "config without form",
        {"config": {"x": {"y": object()}}},
        ("run_key", "cannot be computed: config['x']['y'] is a bare object, which has no", "Give the capability a"),
    ),
    (
        "config with something under way",
        {"config": {1: (line for line in "ab")}},
        (
            "run_key",
            "cannot be computed: config[1] is a generator, which pickle cannot",
            "Give the capability a run_key()",
        ),
    ),
    (
        "run_key raises",
        {"capability": BrokenKey()},
        ("run_key", "cannot be computed: RuntimeError: the key broke", "Mend the capability's run_key()"),
    ),
    (
        "run_key empty",
        {"capability": EmptyKey()},
        ("run_key", "cannot be computed: capability.run_key() returned ''", "Return a non-empty text"),
    ),
]


@pytest.mark.parametrize(
    ("arguments", "said"), [case[1:] for case in BAD_SUBMISSIONS], ids=[case[0] for case in BAD_SUBMISSIONS]
)
def test_a_bad_submission(active: JobBackend, arguments: dict[str, Any], said: Said) -> None:
    arguments = {"capability": GOOD, "config": {}, **arguments}
    with pytest.raises(JobSubmissionError) as alone:
        submit_capability(**arguments)
    with pytest.raises(JobSubmissionError) as batch:
        submit_capabilities([{"capability": GOOD, "config": {}}, arguments])
    assert_said(alone.value.problems, said)
    assert_said(batch.value.problems, said, below="submissions[1].")
    assert alone.value.phase == batch.value.phase
    assert list_jobs() == [], "nothing of the batch was submitted"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"capability": GOOD}, "list of mappings"),
        (GOOD, "SampleCapability"),
        ([GOOD], "submissions[0]"),
        ([{"models": []}], "submissions[0].capability"),
        ([{"capabilty": GOOD}], "Is 'capabilty' meant to be it?"),
        ([{"capability": GOOD, 3: 4}], "submissions[0][3]: is no name of an option"),
        (None, "expected a sequence of submissions, got NoneType"),
        ((each for each in [3]), "submissions[0]: expected a mapping or a Submission, got int"),
        ([{"capability": GOOD, "options": 3}], "submissions[0].options"),
    ],
    ids=[
        "one mapping",
        "a capability",
        "capabilities",
        "without capability",
        "capability misspelt",
        "key no text",
        "None",
        "a generator of numbers",
        "options no mapping",
    ],
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
        ({"submitted_after_ts": float("nan")}, "submitted_after_ts"),
        ({"job_name": 3}, "job_name"),
        ({"status": "FAILED"}, "status: unknown filter 'status'. Did you mean 'status_filter'"),
        ({"state": "FAILED", "limit": 0}, "(?s)limit.*state: unknown filter 'state'"),
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
    with pytest.raises(ConfigurationError, match=r"user_id: 'caf\\udce9' holds characters"):
        configure_provenance(user_id="caf\udce9")
    assert get_provenance_defaults().user_id is None


def test_provenance_that_no_store_can_write_is_refused(active: JobBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environb, b"CHECKMAITE_PROVENANCE_USER_ID", b"caf\xe9")
    with pytest.raises(JobSubmissionError) as caught:
        submit_capability(GOOD, config={})
    assert_said(
        caught.value.problems,
        ("provenance.user_id", "'caf\\udce9' holds characters", "the variable CHECKMAITE_PROVENANCE_USER_ID"),
    )


def wrapper(run: Any) -> Any:
    @functools.wraps(run)
    def wrapped(*args: Any, use_cache: bool, **given: Any) -> Any:
        return run(*args, **given)

    return wrapped


class Fits:
    """Several ways of writing a `run` that workers can call."""

    id = "fits"

    def plain(self, models: Any, datasets: Any, metrics: Any, config: Any, use_cache: bool = True) -> Any: ...

    @staticmethod
    def static(*, models: Any, datasets: Any, metrics: Any, config: Any, use_cache: bool) -> Any: ...

    @classmethod
    def of_class(cls, **given: Any) -> Any: ...

    adapted = wrapper(WithoutUseCache.run)


@pytest.mark.parametrize(
    "run",
    [
        Fits().plain,
        Fits().static,
        Fits().of_class,
        Fits().adapted,
        partial(AsksForMore().run, 1),
        lambda **given: None,
        Mock(),
        dict,
        max,
    ],
)
def test_a_run_that_can_be_called_is_taken(run: Any) -> None:
    assert capability_problems(Runs(run)) == []


@pytest.mark.parametrize(
    ("amounts", "found"),
    [
        ({"num_cpus": 0, "num_gpus": 0, "memory": 0}, (0, 0, 0)),
        ({"num_cpus": 0.0001, "num_gpus": 1.0, "memory": 1}, (0.0001, 1.0, 1)),
        ({"num_cpus": Fraction(1, 2), "num_gpus": 0.999, "memory": 10**14}, (0.5, 0.999, 10**14)),
        ({"num_cpus": 1.5, "num_gpus": 8, "memory": 2}, (1.5, 8, 2)),
    ],
)
def test_amounts_that_can_be_reserved_are_plain_numbers(amounts: dict[str, Any], found: tuple[float, ...]) -> None:
    resources, problems = resolve_resources({**amounts, "custom": {"fpga": Fraction(1, 4)}})
    assert (problems, resources.custom) == ([], {"fpga": 0.25})
    given = resources.num_cpus, resources.num_gpus, resources.memory
    assert given == found
    assert {type(each) for each in (*given, *resources.custom.values())} <= {int, float}


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


@pytest.mark.parametrize(
    ("value", "cause"),
    [([1, 2], "list"), ({"deep": 1}, "dict"), (object(), "object")],
    ids=["list", "mapping", "object"],
)
def test_a_nested_record_fails_its_job_by_name(active: JobBackend, value: object, cause: str) -> None:
    """Only the worker sees the records; nothing of the run is written."""

    class Nested(SampleCapability):
        def run(self, **_: Any) -> SampleRun:  # type: ignore[override]
            return SampleRun(run_uid="nested", records=[{"table_name": "t", "x": value}])

    error = submit_capability(Nested()).exception(30)
    assert isinstance(error, JobFailedError)
    assert (error.error_type, error.phase) == ("checkmaite.jobs.RecordError", "write")
    assert "records[0].x" in error.error_message
    assert cause in error.error_message
    assert "store on the worker refused" not in str(error), "it is the records that are at fault"
