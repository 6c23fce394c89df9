"""The conformance suites fail for a copy of a backend or store that breaks one promise, whichever it is."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

BACKEND = """
from checkmaite.jobs.testing import _backend_contract, _samples
_samples.WAIT_S = _backend_contract._SOON_S = 2.0
from broken import {defect}
from checkmaite.jobs.testing import JobBackendContract

class TestBroken(JobBackendContract):
    kind = "inline"
    def wrap(self, job):
        return {defect}(job)
"""

STORE = """
from broken import {defect}
from checkmaite.jobs.testing import AnalyticsStoreContract

class TestBroken(AnalyticsStoreContract):
    def make_store(self, folder):
        return {defect}(str(folder / "store"))
    def make_broken_store(self, folder):
        (folder / "a-file").write_text("not a folder")
        return {defect}(str(folder / "a-file" / "store"))
"""


def failed(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, text: str) -> int:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    pytester.makepyfile(text)
    outcomes = pytester.runpytest_subprocess("-q", "-p", "no:cacheprovider").parseoutcomes()
    assert outcomes.get("passed", 0) > 3, "a broken copy breaks one promise, not all"
    assert "errors" not in outcomes
    return outcomes.get("failed", 0)


@pytest.mark.parametrize(
    "defect",
    [
        "GoesBackFromFinal",
        "ResultBeforeTheWrite",
        "SwallowsErrors",
        "LosesCancel",
        "IgnoresTimeouts",
        "ForgetsCallbacks",
        "NeverRunning",
    ],
)
def test_a_backend_with_a_defect_fails(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, defect: str) -> None:
    assert failed(pytester, monkeypatch, BACKEND.format(defect=defect)) > 0


@pytest.mark.parametrize(
    "defect", ["WritesTwice", "ShowsTornRuns", "TakesErrorsForEmpty", "LastWriteWins", "SwallowsBadRecords"]
)
def test_a_store_with_a_defect_fails(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, defect: str) -> None:
    assert failed(pytester, monkeypatch, STORE.format(defect=defect)) > 0
