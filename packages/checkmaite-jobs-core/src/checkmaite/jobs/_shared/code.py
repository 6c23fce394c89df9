"""Sees to it that a worker process runs the code of one submitter, in one state of its files.

A process keeps the modules that it has imported. So whoever starts workers keeps processes for different code apart,
and a worker that was mistaken for another's says so instead of running the wrong code. A file that has been edited
since the submission is not imported: the job that needs it fails, and others go on.
"""

from __future__ import annotations

import base64
import hashlib
import sys
import zlib
from collections.abc import Mapping, Sequence
from importlib.machinery import PathFinder
from types import ModuleType
from typing import ClassVar

from attrs import frozen
from checkmaite.jobs._shared.errors import JobsError

_PACKED = ""
"""Stands for a file in the place of all, whose text is then in the place of a content."""
_DIGITS = 16


@frozen
class Code:
    """Which code a job runs.

    Attributes:
        digest: Of the submitter's local modules: their places and contents. Jobs with another digest need another
            process.
        paths: Folders that the submitter's modules are in, to be searched first, in this order.
        files: Modules in these folders, each with `content_of` it, or what `packed` made of them.
    """

    digest: str
    paths: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()

    @property
    def contents(self) -> dict[str, str]:
        """The content by file, unpacked."""
        found = dict(self.files)
        if _PACKED in found:
            text = zlib.decompress(base64.b85decode(found.pop(_PACKED))).decode(errors="surrogateescape")
            found |= {each[_DIGITS:]: each[:_DIGITS] for each in text.split("\0")}
        return found


def packed(files: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Files and their contents for `Code`, in a fifth of the room, since they travel with each job."""
    if not files:
        return ()
    text = "\0".join(f"{content}{file}" for file, content in files.items())
    squeezed = zlib.compress(text.encode(errors="surrogateescape"))
    return ((_PACKED, base64.b85encode(squeezed).decode()),)


class WrongProcessError(JobsError):
    """A worker process that has imported one code was given a job of another; nothing of the job has run."""


class EditedCodeError(JobsError):
    """Files that a job imports have been edited since it was submitted; nothing of the job is stored."""


_attributes = vars(ModuleType)["__dict__"].__get__


class _Imports:
    """Compares the submitter's files with what it had when this process imports them.

    Stands on `sys.meta_path`, where it is asked before each import, because the time of the import is what counts: a
    file may be edited later without harm. It finds no module itself.
    """

    def __init__(self, contents: dict[str, str]) -> None:
        self._contents = contents
        self._names = {_module_name(file) for file in self._contents}
        self._as_submitted: set[str] = set()
        self._edited: set[str] = set()  # and imported, so that this process cannot be used for them any more
        self._refused: set[str] = set()  # in this job
        self._seen = 0

    def begin(self) -> None:
        """Forget what the previous job was refused, and take the first place on `sys.meta_path`."""
        self._refused.clear()
        if self._contents and sys.meta_path[0] is not self:
            sys.meta_path[:] = [self, *(each for each in sys.meta_path if each is not self)]

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:
        """Refuse to import an edited file; leave every other file to the next finder."""
        if name.rpartition(".")[2] not in self._names:
            return
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.origin not in self._contents:
            return
        if self._is_edited(spec.origin):
            self._refused.add(spec.origin)
            raise _edited([spec.origin])
        self._as_submitted.add(spec.origin)

    def check(self) -> None:
        """Fail where an edited file was imported, whoever imported it and how, or the refusal was caught."""
        if self._contents and len(sys.modules) != self._seen:
            self._seen = len(sys.modules)
            imported = self._contents.keys() & _imported_files()
            self._edited.update(filter(self._is_edited, imported - self._as_submitted))
            self._as_submitted |= imported - self._edited
        if edited := self._edited | self._refused:
            raise _edited(sorted(edited))

    def _is_edited(self, file: str) -> bool:
        """An absent file is no edit: folders of the submitter's may be on another machine."""
        return content_of(file) not in ("", self._contents[file])


class _Process:
    """What this worker process runs, from its first job on."""

    code: ClassVar[Code | None] = None
    own_path: ClassVar[list[str]] = []
    imports: ClassVar[_Imports] = _Imports({})


def content_of(file: str) -> str:
    """A digest of what a file holds; empty where there is none."""
    try:
        with open(file, "rb") as opened:  # noqa: PTH123 - texts, as in `sys.path`
            return hashlib.sha256(opened.read()).hexdigest()[:_DIGITS]
    except OSError:
        return ""


def enter(code: Code) -> None:
    """Have this worker process import the code's modules, and nobody else's.

    Raises:
        WrongProcessError: It has run other code before.
    """
    if _Process.code is None:
        _Process.code, _Process.own_path, _Process.imports = code, list(sys.path), _Imports(code.contents)
    elif code != _Process.code:
        raise WrongProcessError(
            "This worker process has imported the code of other jobs, so it cannot run this one; nothing of it has "
            "run. Submit the job again, and report this: workers should have been kept apart."
        )
    _Process.imports.begin()
    sys.path[:] = [*code.paths, *_Process.own_path]


def check_imports() -> None:
    """Make sure that what this process has imported is what the submitter of its jobs had.

    Raises:
        EditedCodeError: It was edited in between.
    """
    _Process.imports.check()


def _imported_files() -> set[str]:
    """The files of all modules, without asking a module for them: one that is lazy would import more.

    Nor by what a module says that it is: a library that cffi has compiled says that it is one, and has no attributes.
    """
    modules = [module for module in list(sys.modules.values()) if issubclass(type(module), ModuleType)]
    return {file for module in modules if isinstance(file := _attributes(module).get("__file__"), str)}


def _module_name(file: str) -> str:
    """The last part of the name that a file is imported by."""
    *_, folder, name = ["", *file.split("/")]
    name = name.partition(".")[0]
    return folder if name == "__init__" else name


def _edited(files: Sequence[str]) -> EditedCodeError:
    have = "has" if len(files) == 1 else "have"
    return EditedCodeError(
        f"{', '.join(files)} {have} been edited since this job was submitted, and it imports what is there now: "
        "that is not what was submitted. Nothing of the job is stored. Submit it again. Code to be edited while "
        'jobs wait is sent along with runtime_env={"working_dir": "."}.'
    )
