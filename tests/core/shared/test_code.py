"""A worker process runs the code of one submitter, from where that submitter has it."""

from __future__ import annotations

import importlib
import importlib.util
import json
import pickle
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from attrs import field, frozen
from checkmaite.jobs import CapabilityRun, JobsError, WriteReceipt
from checkmaite.jobs._null_store import NullStore
from checkmaite.jobs._shared import code as code_module
from checkmaite.jobs._shared.code import EditedCodeError, WrongProcessError, check_imports, content_of, enter, packed
from checkmaite.jobs._shared.news import Reporter
from checkmaite.jobs._shared.provenance import SHARED_FIELDS, Provenance
from checkmaite.jobs._workers.execution import carry_out
from checkmaite.jobs._workers.interrupt import Interrupt
from checkmaite.jobs.spi import Code, Completed, Failed, StoreSpec, Terms, WorkOrder


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """`sys.path` of a worker process that has had no job."""
    monkeypatch.setattr(sys, "path", ["its own"])
    monkeypatch.setattr(code_module._Process, "code", None)
    return sys.path


def test_the_submitters_folders_come_first_and_stay_for_one_job_only(path: list[str]) -> None:
    mine = Code("digest", ("folder", "script"))
    for _ in range(2):
        enter(mine)
        assert path == ["folder", "script", "its own"]
        path.insert(0, "left by a job")


@pytest.mark.parametrize("other", [Code("other", ("folder",)), Code("digest", ("elsewhere",))])
def test_a_process_of_one_code_refuses_another(path: list[str], other: Code) -> None:
    enter(Code("digest", ("folder",)))
    with pytest.raises(WrongProcessError, match="nothing of it has run") as refused:
        enter(other)
    assert isinstance(refused.value, JobsError)
    assert path == ["folder", "its own"]


Enter = Callable[[], None]
"""The next job of one submitter begins in a worker process."""


@pytest.fixture
def submitted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Enter]:
    """A worker process of a submitter that had imported these modules from its folder."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", sys.path[:])
    monkeypatch.setattr(sys, "meta_path", sys.meta_path[:])
    monkeypatch.setattr(code_module._Process, "code", None)
    monkeypatch.setattr(code_module._Process, "imports", code_module._Process.imports)
    files = ["mycaps.py", "lazily.py", "plots.py", "mypackage/__init__.py", "mypackage/inside.py"]
    for name in (*files, "gone.py"):
        write(tmp_path / name, 1)
    contents = {str(tmp_path / name): content_of(str(tmp_path / name)) for name in (*files, "gone.py")}
    (tmp_path / "gone.py").unlink()  # as where the folder is not shared
    yield lambda: enter(Code("one", (str(tmp_path),), packed(contents)))
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(file: Path, version: int) -> None:
    """Of another length for each version: Python takes its copy of a file of the same size and second for that."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"VERSION = {version}" + "#" * version)


def imported(name: str) -> int:
    version: int = importlib.import_module(name).VERSION
    return version


def test_an_edit_of_what_a_job_does_not_import_does_no_harm(submitted: Enter, tmp_path: Path) -> None:
    write(tmp_path / "plots.py", 2)
    submitted()
    assert imported("mycaps") == 1
    check_imports()


@pytest.mark.parametrize("name", ["mycaps", "mypackage", "mypackage.inside"])
def test_an_edited_file_is_not_imported(submitted: Enter, tmp_path: Path, name: str) -> None:
    file = tmp_path / f"{name.replace('.', '/')}{'/__init__' * (name == 'mypackage')}.py"
    write(file, 2)
    submitted()
    with pytest.raises(EditedCodeError, match=f"{re.escape(str(file))} has been edited since"):
        imported(name)
    assert name not in sys.modules
    with pytest.raises(EditedCodeError):
        check_imports()  # also where the capability has caught it
    write(file, 1)
    submitted()
    assert imported(name) == 1, "it has not been imported, so the process is as good as new"
    check_imports()


def test_what_was_imported_may_be_edited_at_once(submitted: Enter, tmp_path: Path) -> None:
    submitted()
    assert imported("mycaps") == imported("lazily") == 1
    write(tmp_path / "mycaps.py", 2)
    check_imports()
    write(tmp_path / "lazily.py", 2)
    submitted()
    assert imported("mycaps") == imported("lazily") == 1
    check_imports()


def test_a_module_imported_by_other_means_is_compared_and_spoils_the_process(submitted: Enter, tmp_path: Path) -> None:
    write(tmp_path / "mycaps.py", 2)
    write(tmp_path / "lazily.py", 2)
    submitted()
    for name in ("mycaps", "lazily"):
        spec = importlib.util.spec_from_file_location(f"loaded_{name}", tmp_path / f"{name}.py")
        assert spec
        assert spec.loader
        sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[spec.name])
    with pytest.raises(EditedCodeError, match=r"lazily\.py, .*mycaps\.py have been edited"):
        check_imports()
    write(tmp_path / "mycaps.py", 1)
    write(tmp_path / "lazily.py", 1)
    submitted()
    with pytest.raises(EditedCodeError, match="have been edited"):
        check_imports()


def test_what_stands_before_it_is_outrun_by_the_next_job(submitted: Enter, tmp_path: Path) -> None:
    submitted()
    first = sys.meta_path[0]
    sys.meta_path.insert(0, PathFinder)
    submitted()
    assert sys.meta_path[0] is first
    assert sys.meta_path.count(first) == 1


class _Lazy(ModuleType):
    @property
    def __dict__(self) -> dict[str, object]:  # type: ignore[override]
        raise AssertionError("looked at, it would import more")


class _LikeCompiledByCffi:
    """What `cryptography` puts into `sys.modules`: no module, though it says so."""

    __class__ = ModuleType  # type: ignore[assignment]


def test_whatever_stands_in_for_a_module_is_left_alone(submitted: Enter, monkeypatch: pytest.MonkeyPatch) -> None:
    submitted()
    for number, odd in enumerate((None, object(), _Lazy("lazy"), _LikeCompiledByCffi())):
        monkeypatch.setitem(sys.modules, f"odd_{number}", odd)
    check_imports()


CAPABILITY = """
class Versioned:
    id = "versioned"
    def run(self, **_):
        try:
            import lazily
        except Exception:
            pass
        from checkmaite.jobs.testing import SampleRun
        return SampleRun(run_uid="a-run", capability_id=self.id)
"""


@frozen
class RecordingStore(NullStore):
    written: list[str] = field(factory=list)

    def write_with_receipt(self, run: CapabilityRun, *, provenance: Provenance | None = None) -> WriteReceipt:
        self.written.append(run.run_uid)
        return super().write_with_receipt(run, provenance=provenance)


@pytest.mark.parametrize(("edited", "phase"), [("plots", None), ("mycaps", "load"), ("lazily", "run")])
def test_a_job_fails_only_by_an_edit_of_what_it_imports(
    submitted: Enter, tmp_path: Path, edited: str, phase: str | None
) -> None:
    (tmp_path / "mycaps.py").write_text(CAPABILITY)
    sys.path.insert(0, str(tmp_path))
    payload = pickle.dumps((importlib.import_module("mycaps").Versioned(), None, None, None, {}))
    del sys.modules["mycaps"]
    files = [str(tmp_path / f"{name}.py") for name in ("mycaps", "lazily", "plots")]
    code = Code("one", (str(tmp_path),), tuple((file, content_of(file)) for file in files))
    with (tmp_path / f"{edited}.py").open("a") as file:
        file.write("# edited")
    order = WorkOrder(
        job_id="job-1",
        submitted_at=datetime(2026, 1, 2, tzinfo=UTC),
        run_uid=None,
        reuse="auto",
        prints=None,
        report_threshold=0.5,
        terms=Terms(store=StoreSpec("null"), facts=dict.fromkeys(SHARED_FIELDS), code=code),
    )
    store: Any = RecordingStore()
    enter(code)
    outcome = carry_out(
        order,
        load=lambda _: pickle.loads(payload),
        open_store=lambda: store,
        reporter=Reporter(order.job_id, None),
        interrupt=Interrupt(),
    )
    if phase is None:
        assert isinstance(outcome, Completed)
        assert store.written == ["a-run"]
    else:
        assert isinstance(outcome, Failed)
        assert outcome.error_type.endswith("EditedCodeError")
        assert f"{edited}.py has been edited" in outcome.error_message
        assert outcome.phase == phase
        assert store.written == []


@pytest.mark.parametrize("code", [None, Code("digest", ("folder",), (("file", "content"),))])
def test_the_code_travels_with_the_terms(code: Code | None) -> None:
    terms = Terms(store=StoreSpec("null", {}), facts={"user_id": "me"}, code=code)
    assert Terms.read(terms.written) == terms


@pytest.mark.parametrize("name", ["module.py", "späte module.py", "not-\udcff-text.py", "new\nline.py"])
def test_files_and_their_contents_are_packed_whole(name: str) -> None:
    files = {f"/folder/{name}": "0123456789abcdef", "/folder/other.py": "fedcba9876543210"}
    assert Code("digest", (), packed(files)).contents == files
    assert Code("digest", (), tuple(files.items())).contents == files, "as earlier versions wrote them"
    assert packed({}) == ()


def test_terms_in_a_journal_of_before_are_read() -> None:
    """Their classes are named by the modules that they were in."""
    terms = Terms(store=StoreSpec("null", {"a": 1}), facts={"user_id": "me"}, code=Code("digest"))
    header, _, parts = terms.written.partition(b"\n")
    assert b"checkmaite.jobs._shared.config" in parts
    # Protocol 0 is text, without lengths of names.
    first = pickle.dumps((terms.store, terms.facts), 0).replace(
        b"checkmaite.jobs._shared.config", b"checkmaite.jobs._config"
    )
    code = pickle.dumps(terms.code, 0).replace(b"checkmaite.jobs._shared.code", b"checkmaite.jobs._code")

    assert Terms.read(header + b"\n" + first + code) == terms


def test_terms_of_an_older_submitter_have_no_code() -> None:
    terms = Terms(store=StoreSpec("null", {}), facts={}, code=Code("digest"))
    header, _, rest = terms.written.partition(b"\n")
    assert json.loads(header)
    first = pickle.loads(rest)  # all that older readers read
    assert Terms.read(header + b"\n" + pickle.dumps(first)).code is None
