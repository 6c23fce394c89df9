"""A result of "inline" stands for what computed it: the code as this process imported it, the config as submitted."""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from checkmaite.jobs import ReuseKind, configure_job_backend, shutdown_job_backend, submit_capability
from checkmaite.jobs._submitters.fingerprint import fingerprints_of
from checkmaite.jobs.testing import SampleRecord, SampleRun
from checkmaite.store_parquet import ParquetStore

NAME = "edited_capability"
MODULE = """
from checkmaite.jobs.testing import SampleRecord, SampleRun

NUMBER = {number}


class Capability:
    id = "edited"

    def run(self, **given):
        return SampleRun(run_uid="edited", capability_id=self.id, records=[SampleRecord("model", NUMBER)])
"""

Edit = Callable[[float], None]


@pytest.fixture
def edit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Edit:
    """Writes the module; each time later than before, as the file system sees it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    later = iter(range(1_000_000_000, 2_000_000_000, 60))

    def edit(number: float) -> None:
        file = tmp_path / f"{NAME}.py"
        file.write_text(MODULE.format(number=number))
        at = next(later)
        os.utime(file, (at, at))

    return edit


@pytest.fixture
def imported(edit: Edit) -> Iterator[ModuleType]:
    edit(1.0)
    yield importlib.import_module(NAME)
    del sys.modules[NAME]


@pytest.fixture
def store(tmp_path: Path, imported: ModuleType) -> Iterator[ParquetStore]:
    uri = str(tmp_path / "store")
    configure_job_backend("inline", analytics_store={"backend": "parquet", "uri": uri})
    yield ParquetStore(uri)
    shutdown_job_backend()


def submitted(module: ModuleType, store: ParquetStore) -> tuple[ReuseKind, float]:
    """What was decided, and the number that the store holds afterwards."""
    job = submit_capability(module.Capability())
    job.result(timeout=60)
    assert job.reuse is not None
    return job.reuse.kind, store.read_table("sample_scores").column("score").to_pylist()[0]


def test_an_edited_file_is_new_code_only_once_it_is_reloaded(
    store: ParquetStore, imported: ModuleType, edit: Edit
) -> None:
    assert submitted(imported, store) == (ReuseKind.RUN, 1.0)
    edit(2.0)
    assert submitted(imported, store) == (ReuseKind.REUSED, 1.0)
    importlib.reload(imported)
    assert submitted(imported, store) == (ReuseKind.STALE, 2.0)


@pytest.mark.usefixtures("store")
def test_a_file_edited_before_the_first_submission_is_not_taken_for_what_runs(
    store: ParquetStore, imported: ModuleType, edit: Edit
) -> None:
    edit(2.0)
    assert submitted(imported, store) == (ReuseKind.RUN, 1.0)
    importlib.reload(imported)
    assert submitted(imported, store) == (ReuseKind.STALE, 2.0)


def test_what_inline_says_of_unedited_code_is_what_every_backend_says(
    store: ParquetStore, imported: ModuleType
) -> None:
    submitted(imported, store)
    kept = store.find_run("edited")
    assert kept is not None
    assert fingerprints_of(imported.Capability()).code.parts[f"{NAME}.py"] in str(kept.provenance.fingerprints)


def test_a_config_that_is_changed_after_submitting_is_run_as_it_was_submitted(store: ParquetStore) -> None:
    began, changed = threading.Event(), threading.Event()

    class Reads:
        id = "reads"

        def run(self, *, config: dict[str, list[int]], **_: object) -> SampleRun:
            began.set()
            assert changed.wait(60)
            return SampleRun(
                run_uid="reads", capability_id=self.id, records=[SampleRecord("model", float(config["numbers"][0]))]
            )

    config = {"numbers": [1]}
    job = submit_capability(Reads(), config=config)
    assert began.wait(60)
    config["numbers"][0] = 2
    changed.set()
    job.result(timeout=60)
    assert store.read_table("sample_scores").column("score").to_pylist() == [1.0]


def test_what_counts_as_equal_is_said_also_when_the_run_is_found_at_the_write(store: ParquetStore) -> None:
    class Lines:
        metadata = {"id": "lines"}

        def __init__(self) -> None:
            self.lines = (line for line in "ab")

    class Reads:
        id = "reads"

        def run(self, **_: object) -> SampleRun:
            return SampleRun(run_uid="reads", capability_id=self.id)

    submit_capability(Reads(), datasets=[Lines()]).result(timeout=60)
    job = submit_capability(Reads(), datasets=[Lines()])
    job.result(timeout=60)
    assert job.reuse is not None
    assert (job.reuse.kind, len(job.reuse.unknown)) == (ReuseKind.REUSED, 1)
    assert "it is a generator" in job.explain()
