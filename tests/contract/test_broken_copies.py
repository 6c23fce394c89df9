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
import broken
from checkmaite.jobs.testing import JobBackendContract, _backend_contract, _samples

_samples.WAIT_S = _backend_contract._SOON_S = 2.0  # many of the tests wait in vain
"""
BACKEND_CLASS = """
class Test{defect}(JobBackendContract):
    kind = "inline"
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


def test_backends_with_a_defect_fail(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    classes = [
        BACKEND_CLASS.format(defect=defect, store=STORES.get(defect, {"backend": "null"})) for defect in JOB_DEFECTS
    ]
    assert defects_found(pytester, monkeypatch, "".join([BACKEND_MODULE, *classes])) == set(JOB_DEFECTS)


def test_stores_with_a_defect_fail(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    text = "".join([STORE_MODULE, *(STORE_CLASS.format(defect=defect) for defect in STORE_DEFECTS)])
    assert defects_found(pytester, monkeypatch, text) == set(STORE_DEFECTS)
