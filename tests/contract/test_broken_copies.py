"""The conformance suites fail for a copy of a backend or store that breaks one promise, whichever it is."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent
SAMPLES = HERE.parent / "plugins"

HEAD = """
import broken_jobs, broken_stores, sample_backend
from checkmaite.jobs.testing import AnalyticsStoreContract, JobBackendContract
"""
JOB_CLASS = """
class Test{name}(JobBackendContract):
    kind = "inline"
    patience_s = 0.5  # it waits in vain
    analytics_store = {{"backend": "parquet", "uri": "{{folder}}/store"}}
    def wrap(self, job):
        return broken_jobs.{name}(job)
"""
BACKEND_CLASS = """
class Test{name}(JobBackendContract):
    kind = "{name}"
    patience_s = {patience_s}
    analytics_store = {{"backend": "parquet", "uri": "{{folder}}/store"}}
"""
STORE_CLASS = """
class Test{name}(AnalyticsStoreContract):
    def make_store(self, folder):
        return broken_stores.{name}(str(folder / "store"))
    def make_broken_store(self, folder):
        (folder / "a-file").write_text("not a folder")
        return broken_stores.{name}(str(folder / "a-file" / "store"))
"""
FAULTS_OF_A_COPY = ("AttributeError", "ImportError", "NameError", "TypeError")
"""Errors that would say that the copy does not work at all."""


def defects_of(module: ModuleType) -> Iterator[tuple[str, type]]:
    for name, each in inspect.getmembers(module, inspect.isclass):
        if "found_by" in vars(each):
            yield name, each


def modules(monkeypatch: pytest.MonkeyPatch) -> tuple[ModuleType, ModuleType]:
    folders = [str(HERE), *(str(each) for each in SAMPLES.glob("*/src"))]
    for folder in folders:
        monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([".", *folders]), prepend=os.pathsep)
    import broken_jobs
    import broken_stores

    return broken_jobs, broken_stores


def test_each_defect_is_found_by_the_test_of_its_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs, stores = modules(monkeypatch)
    text, entry_points, wanted = [HEAD], ["[checkmaite.jobs.backends]"], {}
    for name, defect in [*defects_of(jobs), *defects_of(stores)]:
        if defect.__module__ == stores.__name__:
            text.append(STORE_CLASS.format(name=name))
        elif issubclass(defect, jobs.BrokenJob):
            text.append(JOB_CLASS.format(name=name))
        else:
            text.append(BACKEND_CLASS.format(name=name, patience_s=getattr(defect, "patience_s", 0.5)))
            entry_points.append(f"{name} = broken_jobs:{name}")
        assert name not in wanted
        wanted[name] = defect.found_by
    made_up = tmp_path / "broken-0.dist-info"
    made_up.mkdir()
    (made_up / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 0\n")
    (made_up / "entry_points.txt").write_text("\n".join(entry_points))
    monkeypatch.setenv("COLUMNS", "500")  # the summary says the whole reason
    (tmp_path / "test_broken.py").write_text("".join(text))
    tests = [f"test_broken.py::Test{name}::{test}" for name, test in wanted.items()]
    options = ["-rA", "--tb=line", "--durations=9", "-p", "no:cacheprovider"]
    # A process of its own, and not pytest's fixture for it: that takes modules back which cannot be imported again.
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    said = re.findall(r"^(\w+) \S+?::Test(\w+)::.*?(?: - (.*))?$", run.stdout, re.MULTILINE)
    assert {name for _, name, _ in said} == set(wanted)
    assert [(name, wanted[name]) for word, name, _ in said if word != "FAILED"] == []
    assert [(name, why) for _, name, why in said if why.startswith(FAULTS_OF_A_COPY)] == []
