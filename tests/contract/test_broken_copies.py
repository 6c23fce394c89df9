"""The conformance suites fail for a copy of a backend or store that breaks one promise, whichever it is."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

JOB_DEFECTS = (
    "GoesBackFromFinal",
    "ResultBeforeTheWrite",
    "SwallowsErrors",
    "LosesCancel",
    "IgnoresTimeouts",
    "ForgetsCallbacks",
    "NeverRunning",
    "KeepsReuseToItself",
)
STORE_DEFECTS = (
    "WritesTwice",
    "ShowsTornRuns",
    "TakesErrorsForEmpty",
    "LastWriteWins",
    "SwallowsBadRecords",
    "DropsSecondResults",
    "KeepsNoReports",
    "ForgetsWhoWrote",
    "ForgetsWhatItStandsOn",
)

BACKEND_MODULE = """
import broken, pytest
from checkmaite.jobs.testing import JobBackendContract, _backend_contract, _samples

_samples.WAIT_S = _backend_contract._SOON_S = {soon_s}

@pytest.fixture(scope="session", autouse=True)
def ray():
    if {kind!r} == "inline":
        yield
        return
    import ray
    ray.init(address="local", num_cpus=2, include_dashboard=False, object_store_memory=100_000_000,
             _node_ip_address="127.0.0.1", log_to_driver=False)
    yield
    ray.shutdown()
"""
BACKEND_CLASS = """
class Test{defect}(JobBackendContract):
    kind = {kind!r}
    analytics_store = {store!r}
    def wrap(self, job):
        return broken.{defect}(job)
"""
STORES = {"KeepsReuseToItself": {"backend": "parquet", "uri": "{folder}/store"}}
"""For the defects that show only where results are kept."""
STORE_MODULE = """
import broken
from checkmaite.jobs.testing import AnalyticsStoreContract
"""
STORE_CLASS = """
class Test{defect}(AnalyticsStoreContract):
    def make_store(self, folder):
        return broken.{defect}(str(folder / "store"))
    def make_broken_store(self, folder):
        (folder / "a-file").write_text("not a folder")
        return broken.{defect}(str(folder / "a-file" / "store"))
"""


def defects_found(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, text: str) -> set[str]:
    """The classes of which some tests failed and some, because one promise is broken and not all, passed."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    pytester.makepyfile(text)
    result = pytester.runpytest_subprocess("-rfp", "--tb=native", "-p", "no:cacheprovider")  # its own parses code
    assert "errors" not in result.parseoutcomes()
    failed, passed = (
        set(re.findall(rf"^{word} \S+::Test(\w+)::", str(result.stdout), re.MULTILINE)) for word in ("FAILED", "PASSED")
    )
    return failed & passed


@pytest.mark.timeout(600)  # 161 tests, many of which wait in vain
@pytest.mark.parametrize(("kind", "soon_s"), [("inline", 2.0), ("ray-simple", 5.0)])
def test_backends_with_a_defect_fail(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, kind: str, soon_s: float
) -> None:
    classes = [
        BACKEND_CLASS.format(kind=kind, defect=defect, store=STORES.get(defect, {"backend": "null"}))
        for defect in JOB_DEFECTS
    ]
    text = "".join([BACKEND_MODULE.format(kind=kind, soon_s=soon_s), *classes])
    assert defects_found(pytester, monkeypatch, text) == set(JOB_DEFECTS)


def test_stores_with_a_defect_fail(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join([STORE_MODULE, *(STORE_CLASS.format(defect=defect) for defect in STORE_DEFECTS)])
    assert defects_found(pytester, monkeypatch, text) == set(STORE_DEFECTS)
