"""A worker process runs the code of one submitter, from where that submitter has it."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import pytest
from checkmaite.jobs import JobsError
from checkmaite.jobs import _code as code_module
from checkmaite.jobs._code import EditedCodeError, WrongProcessError, content_of, enter
from checkmaite.jobs.spi import Code, StoreSpec, Terms


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


def test_a_process_that_begins_after_an_edit_refuses_the_job_and_may_take_the_next(
    path: list[str], tmp_path: Path
) -> None:
    file, gone = str(tmp_path / "module.py"), str(tmp_path / "gone.py")
    Path(file).write_text("VERSION = 1")
    files = ((file, content_of(file)), (gone, "where the folder is not shared"))
    enter(Code("one", ("folder",), files))
    Path(file).write_text("VERSION = 2")
    enter(Code("one", ("folder",), files))  # it has imported the first version
    code_module._Process.code = None
    with pytest.raises(EditedCodeError, match=r"module\.py has been edited since"):
        enter(Code("one", ("folder",), files))
    enter(Code("two", ("folder",), ((file, content_of(file)),)))


@pytest.mark.parametrize("code", [None, Code("digest", ("folder",), (("file", "content"),))])
def test_the_code_travels_with_the_terms(code: Code | None) -> None:
    terms = Terms(store=StoreSpec("null", {}), facts={"user_id": "me"}, code=code)
    assert Terms.read(terms.written) == terms


def test_terms_of_an_older_submitter_have_no_code() -> None:
    terms = Terms(store=StoreSpec("null", {}), facts={}, code=Code("digest"))
    header, _, rest = terms.written.partition(b"\n")
    assert json.loads(header)
    first = pickle.loads(rest)  # all that older readers read
    assert Terms.read(header + b"\n" + pickle.dumps(first)).code is None
