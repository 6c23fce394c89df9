"""Which code a worker process runs: its submitter's, and of one submitter and one state of the files only.

A process keeps the modules that it has imported. So whoever starts workers keeps processes for different code apart,
and a worker that was mistaken for another's says so instead of running the wrong code. So does one that starts when the
files have been edited since.
"""

from __future__ import annotations

import hashlib
import sys
from typing import ClassVar

from attrs import frozen
from checkmaite.jobs._errors import JobsError


@frozen
class Code:
    """Which code a job runs.

    Attributes:
        digest: Of the submitter's local modules: their places and contents. Jobs with another digest need another
            process.
        paths: Folders that the submitter's modules are in, to be searched first, in this order.
        files: Modules that the submitter has imported from these folders, each with `content_of` it.
    """

    digest: str
    paths: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()


class WrongProcessError(JobsError):
    """A worker process that has imported one code was given a job of another; nothing of the job has run."""


class EditedCodeError(JobsError):
    """The submitter's files have been edited since a job was submitted; nothing of the job has run."""


class _Process:
    """What this worker process runs, from its first job on."""

    code: ClassVar[Code | None] = None
    own_path: ClassVar[list[str]] = []


def content_of(file: str) -> str:
    """A digest of what a file holds; empty where there is none."""
    try:
        with open(file, "rb") as opened:  # noqa: PTH123 - texts, as in `sys.path`
            return hashlib.sha256(opened.read()).hexdigest()[:16]
    except OSError:
        return ""


def enter(code: Code) -> None:
    """Have this worker process import the code's modules, and nobody else's.

    Raises:
        WrongProcessError: It has run other code before.
        EditedCodeError: It would import what its submitter did not have.
    """
    if _Process.code is None:
        edited = [file for file, content in code.files if content_of(file) not in ("", content)]
        if edited:
            raise EditedCodeError(
                f"{edited[0]} has been edited since this job was submitted, so that it would not have run what was "
                "submitted; nothing of it has run. Submit it again. Code that is to be edited while jobs wait is sent "
                'along with runtime_env={"working_dir": "."}.'
            )
        _Process.code, _Process.own_path = code, list(sys.path)
    elif code != _Process.code:
        raise WrongProcessError(
            "This worker process has imported the code of other jobs, so it cannot run this one; nothing of it has "
            "run. Submit the job again, and report this: workers should have been kept apart."
        )
    sys.path[:] = [*code.paths, *_Process.own_path]
