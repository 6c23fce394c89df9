"""Objects in memory whose every request has a number, and fails at some as a test says: what S3 may do, and a crash.

Below core's own `ObjectStore`: what it makes of a conflict, or of a reply that was lost, is tried too.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import fsspec
from attrs import define, field, frozen
from fsspec import AbstractFileSystem

ROOT = "crashing://store"
FAULTS: Mapping[str, tuple[str, ...]] = {
    "create": (
        "crash",
        "time-out",
        "lost",
        "exists: own",
        "exists: none",
        "conflict: own",
        "conflict: none",
        "busy",
        "meanwhile",
    ),
    "delete": ("crash", "time-out", "lost", "busy", "meanwhile"),
    "read": ("time-out", "busy", "meanwhile"),
    "list": ("time-out", "busy", "meanwhile"),
}
"""By kind of request what may become of it.

``crash``: the process is dead before it. To be dead after it is to be dead before the next one that changes anything.
``time-out``, ``lost``: no reply; nothing is done, or all is. ``exists``: 412, since a retry of the client's met what
the first try had made, or without any reason. ``conflict``: 409; made, or not. ``busy``: 503, for this and two more.
``meanwhile``: nothing goes wrong, but another process has done the same just before.
"""
Kind = Literal["create", "delete", "read", "list"]
_BURST = 3


class Crash(BaseException):
    """The process ends here."""


@frozen
class Fault:
    """What becomes of a request.

    Attributes:
        at: The number of the request, from 1 on.
        what: One of `FAULTS`.
    """

    at: int
    what: str


class _CodedError(Exception):
    """What botocore raises, as far as anybody looks."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}}


def _refusal(code: str) -> OSError:
    """What s3fs makes of it."""
    error = OSError(5, code)
    error.__cause__ = _CodedError(code)
    return error


_BEFORE: Mapping[str, Callable[[str], BaseException]] = {
    "crash": Crash,
    "time-out": TimeoutError,
    "exists: none": lambda _: _refusal("PreconditionFailed"),
    "conflict: none": lambda _: _refusal("ConditionalRequestConflict"),
}
_AFTER: Mapping[str, Callable[[str], BaseException]] = {
    "lost": TimeoutError,
    "exists: own": FileExistsError,
    "conflict: own": lambda _: _refusal("ConditionalRequestConflict"),
}


@define
class Disk:
    """The objects, and what becomes of requests about them.

    Attributes:
        content: By key what is there.
        written: By key when.
        now: The time here, in seconds since the epoch.
        faults: What is yet to go wrong.
        requests: What was asked, since `faults` were given.
        is_dead: Whether the process that asks has crashed; the next one begins with False.
        other: What another process does meanwhile.
    """

    content: dict[str, bytes] = field(factory=dict)
    written: dict[str, float] = field(factory=dict)
    now: float = 1_700_000_000.0
    faults: tuple[Fault, ...] = ()
    requests: list[tuple[Kind, str]] = field(factory=list)
    is_dead: bool = False
    other: Callable[[], object] = lambda: None

    def copy(self) -> Disk:
        """The same objects at the same time."""
        return Disk({**self.content}, {**self.written}, self.now)

    @property
    def state(self) -> frozenset[tuple[str, bytes]]:
        """What tells it from others."""
        return frozenset(self.content.items())

    def request(self, kind: Kind, key: str, act: Callable[[], Any], *, exists: Callable[[], bool] | None = None) -> Any:
        """Do it, or what is to become of it.

        Args:
            kind: What is asked.
            key: The object, or the folder.
            act: Does it.
            exists: Of an exclusive creation, whether the object is there.
        """
        if self.is_dead:
            raise Crash
        self.requests.append((kind, key))
        number = len(self.requests)
        fault = next((each.what for each in self.faults if each.at == number), "")
        if any(each.what == "busy" and each.at <= number < each.at + _BURST for each in self.faults):
            raise _refusal("SlowDown")
        self.is_dead = fault == "crash"
        if fault == "meanwhile":
            ours, self.faults, self.requests = (self.faults, self.requests), (), []
            self.other()
            self.faults, self.requests = ours
        if (error := _BEFORE.get(fault)) is not None:
            raise error(key)
        if exists is not None and exists():
            raise FileExistsError(key)
        done = act()
        if (error := _AFTER.get(fault)) is not None:
            raise error(key)
        return done


class CrashingFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """What is on `disk`, as fsspec has it."""

    protocol = "crashing"
    cachable = False
    disk = Disk()

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: Any) -> None:
        key, disk = _key(path), self.disk
        assert mode == "create", "nothing is ever replaced"

        def create() -> None:
            disk.content[key], disk.written[key] = value, disk.now

        disk.request("create", key, create, exists=lambda: key in disk.content)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_: Any) -> bytes:
        found: bytes = self.disk.request("read", _key(path), lambda: self._there(path))
        return found[start:end]

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        def look() -> dict[str, Any]:
            return {"name": path, "size": len(self._there(path)), "type": "file"}

        found: dict[str, Any] = self.disk.request("read", _key(path), look)
        return found

    def rm_file(self, path: str) -> None:
        key, disk = _key(path), self.disk

        def delete() -> None:
            self._there(path)
            del disk.content[key], disk.written[key]

        disk.request("delete", key, delete)

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[dict[str, Any]]:
        below = f"{key}/" if (key := _key(path)) else ""
        found: list[dict[str, Any]] = self.disk.request("list", key, lambda: self._listed(below))
        return found

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        return io.BytesIO(self.cat_file(path))

    def invalidate_cache(self, path: str | None = None) -> None: ...

    def _there(self, path: str) -> bytes:
        try:
            return self.disk.content[_key(path)]
        except KeyError:
            raise FileNotFoundError(path) from None

    def _listed(self, folder: str) -> list[dict[str, Any]]:
        below = {key.removeprefix(folder): key for key in self.disk.content if key.startswith(folder)}
        if not below:
            raise FileNotFoundError(folder)
        files = [
            {"name": key, "type": "file", "LastModified": datetime.fromtimestamp(self.disk.written[key], UTC)}
            for name, key in below.items()
            if "/" not in name
        ]
        folders = {name.partition("/")[0] for name in below if "/" in name}
        return [*files, *({"name": f"{folder}{name}", "type": "directory"} for name in sorted(folders))]


def _key(path: str) -> str:
    return path.removeprefix("crashing://").removeprefix("store").strip("/")


fsspec.register_implementation("crashing", CrashingFileSystem, clobber=True)
