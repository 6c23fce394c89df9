"""Stores that refuse what a test says: a file system, a server, a disk that one may not read."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import fsspec
import pytest
from attrs import define, frozen
from fsspec.implementations.local import LocalFileSystem

Verb = Literal["read", "list", "create"]
NOBODY = 65534


@frozen
class Fault:
    """What cannot be done: one kind of request for objects whose keys begin so."""

    verb: Verb
    prefix: str

    def hits(self, verb: str, key: str) -> bool:
        return verb == self.verb and (key + "/").startswith(self.prefix.partition("*")[0]) and self._ends(key)

    def _ends(self, key: str) -> bool:
        _, star, end = self.prefix.partition("*")
        return not star or (key + "/").endswith(end)


@define
class Faults:
    """The fault that a store has now, if any, and how it says so."""

    fault: Fault | None = None
    error: Callable[[str], Exception] = lambda path: OSError(5, "Input/output error", path)

    @contextmanager
    def of(self, verb: Verb, prefix: str, error: Callable[[str], Exception] | None = None) -> Iterator[None]:
        self.fault, before = Fault(verb, prefix), self.error
        self.error = error or before
        try:
            yield
        finally:
            self.fault, self.error = None, before

    def check(self, verb: Verb, key: str) -> None:
        if self.fault is not None and self.fault.hits(verb, key):
            raise self.error(key)


FAULTS = Faults()
"""Those of `FaultyFileSystem`: fsspec makes and keeps its instances itself."""


class FaultyFileSystem(LocalFileSystem):  # type: ignore[misc]
    """A folder that is reached through fsspec, by Arrow too, and fails as `FAULTS` says."""

    protocol = "faulty"
    root = ""
    """The store's folder."""

    def __init__(self, **options: Any) -> None:
        super().__init__(auto_mkdir=True, **options)

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        FAULTS.check("read" if "r" in mode else "create", self._key(path))
        return super()._open(path, mode, **options)

    def ls(self, path: str, detail: bool = False, **options: Any) -> Any:
        FAULTS.check("list", self._key(path))
        return super().ls(path, detail=detail)

    def _key(self, path: str) -> str:
        return str(self._strip_protocol(path)).removeprefix(f"{self.root}/")


fsspec.register_implementation("faulty", FaultyFileSystem, clobber=True)


@contextmanager
def refusing_s3(faults: Faults, folder: str) -> Iterator[None]:
    """Within the block the tests' S3 server refuses objects of a folder as `faults` says."""
    from moto.s3.responses import S3Response

    def unless(verb: Verb, key_of: Callable[[Any], str], answer: Any) -> Any:
        def answered(self: Any, *args: Any, **kwargs: Any) -> Any:
            faults.check(verb, key_of(self).removeprefix(f"{folder}/"))
            return answer(self, *args, **kwargs)

        return answered

    def key(response: Any) -> str:
        return str(response.parse_key_name())

    def prefix(response: Any) -> str:
        return str((response.querystring.get("prefix") or [""])[0]).rstrip("/")

    with pytest.MonkeyPatch.context() as patch:
        for name, verb, key_of in (
            ("put_object", "create", key),
            ("get_object", "read", key),
            ("head_object", "read", key),
            ("list_objects_v2", "list", prefix),
        ):
            patch.setattr(S3Response, name, unless(verb, key_of, getattr(S3Response, name)))  # type: ignore[arg-type]
        yield


def s3_error(code: str, status: int) -> Callable[[str], Exception]:
    """What such a server raises to answer with this."""
    from moto.s3.exceptions import S3ClientError

    made = type("S3Error", (S3ClientError,), {"code": status})
    return lambda _: made(code, "It is refused.")


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter: those of pytest are root's alone."""
    folder = Path(tempfile.mkdtemp(prefix="checkmaite-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)
        shutil.rmtree(folder)


@contextmanager
def refusing_disk(folder: Path, verb: Verb, prefix: str) -> Iterator[None]:
    """Within the block nobody may do this to files below a folder; root is nobody meanwhile.

    A folder that may be listed and not written, a file that may not be read, a folder that may not be entered.
    """
    paths = [path for path in (folder, *folder.rglob("*")) if Fault(verb, prefix).hits(verb, _key(path, folder))]
    chosen = [path for path in paths if path.is_file() == (verb == "read")]
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in chosen}
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o644)
    for path in chosen:
        path.chmod({"read": 0o000, "list": 0o333, "create": 0o555}[verb])
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        for path, mode in modes.items():
            path.chmod(mode)


def _key(path: Path, folder: Path) -> str:
    return "" if path == folder else path.relative_to(folder).as_posix()
