"""Describes the code that this process's jobs run: where Ray looks for it, and a digest of the files' contents.

The digest is of contents: a client that starts again with the same code meets the workers that have imported it, and an
edited file means other workers. It covers what this process has imported from elsewhere than where packages are
installed, the rest of those packages, and the modules beside the script: a job may import what its client has not.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sys
import sysconfig
import time
from collections.abc import Iterator
from functools import cache
from operator import is_
from stat import S_ISDIR
from typing import Any, ClassVar

import ray
from attrs import frozen
from checkmaite.jobs.spi import SETTLED_NS, Code, Version, Watched, content_of, packed
from checkmaite.jobs_ray_simple.cluster.ray_state import connected, through_client

_log = logging.getLogger("checkmaite.jobs")
_untyped: Any = ray  # the parts of Ray's API that carry no types
_LARGEST = 2_000
"""Entries of a folder beyond which it holds other things than code; what was imported from it counts all the same."""
_MOST_TOLD = 32_768
"""Bytes of what workers are told of files beyond which they are told nothing: that would cost every job too much."""
_INSTALLED = tuple({os.path.join(path, "") for path in sysconfig.get_paths().values()})  # noqa: PTH118 - texts, for speed
_SITE = re.compile(r"[/\\](?:site|dist)-packages[/\\]")
"""In the path of what is installed elsewhere: below the environment that this one was made over, or by the user."""
_NAMESPACE = "checkmaite"
_OURS = (f"{_NAMESPACE}.jobs", f"{_NAMESPACE}.store_")
_installed: dict[str, object] = {}
_own: set[str] = set()
"""Folders that hold this product where it is not installed: its namespace, and its packages."""
_contents: dict[str, tuple[Version, str]] = {}
_listings: dict[str, tuple[Version, tuple[str, ...], tuple[str, ...]]] = {}


def code_here() -> Code:
    """The code of jobs that this process submits now."""
    paths, modules = tuple(_driver_paths()), list(sys.modules.values())
    script = getattr(sys.modules["__main__"], "__file__", None) or ""
    known = _Known.last
    if known is not None and known.holds(paths, script, modules):
        return known.code
    watched = Watched()
    code = _read(paths, script, watched)
    _Known.last = _Known(paths, script, modules, watched, code) if watched.is_settled else None
    return code


@frozen
class _Known:
    """The code that was found last, and the files that it was made from."""

    last: ClassVar[_Known | None] = None

    paths: tuple[str, ...]
    script: str
    modules: list[Any]
    watched: Watched
    code: Code

    def holds(self, paths: tuple[str, ...], script: str, modules: list[Any]) -> bool:
        """Whether it would be found again."""
        same = (
            (paths, script) == (self.paths, self.script)
            and len(modules) == len(self.modules)
            and all(map(is_, modules, self.modules))
        )
        return same and self.watched.is_unchanged()


def _read(paths: tuple[str, ...], script: str, watched: Watched) -> Code:
    imported, packages = _imported()
    beside = {file for folder in {*paths, *packages} for file in _modules_in(folder, watched)}
    # What __main__ defines travels with the job.
    files = sorted({*imported, *beside} - {os.path.abspath(script), os.path.realpath(script)})
    contents = {file: _content_of(file, watched) for file in files}
    digest = hashlib.sha256(repr((paths, contents)).encode(errors="surrogateescape")).hexdigest()[:32]
    folders = tuple(f"{path}/" for path in paths)
    return Code(digest, paths, _told({file: each for file, each in contents.items() if file.startswith(folders)}))


class _Told:
    """What workers were told last of files and their contents."""

    contents: ClassVar[dict[str, str]] = {}
    packed: ClassVar[tuple[tuple[str, str], ...]] = ()


def _told(contents: dict[str, str]) -> tuple[tuple[str, str], ...]:
    if contents != _Told.contents:
        _Told.packed = packed({file: content for file, content in contents.items() if content})
        _Told.contents = contents
    if sum(len(text) for _, text in _Told.packed) > _MOST_TOLD:
        _warn_of_unchecked()
        return ()
    return _Told.packed


@cache
def _warn_of_unchecked() -> None:
    _log.warning(
        "this process has so many modules in its own folders, several thousand, that workers are not told what is in "
        "them: if one is edited while a job waits for its worker, the job runs what is there then. Where that may "
        'happen, send the code along with runtime_env={"working_dir": "."}.'
    )


def _driver_paths() -> Iterator[str]:
    """The folders that Ray puts first on the `sys.path` of this driver's own tasks, in that order.

    Through ``ray://`` there are none, because the client's folders are another machine's. Where a working_dir is sent,
    that is on the path instead.
    """
    if connected() is None or through_client():
        return
    config = _untyped._private.worker.global_worker.core_worker.get_job_config()
    yield from dict.fromkeys(reversed(config.py_driver_sys_path))
    for path in reversed(config.code_search_path):
        yield os.path.dirname(path) if os.path.isfile(path) else path  # noqa: PTH113, PTH120 - as Ray does


def _imported() -> tuple[set[str], set[str]]:
    """The files of the modules here that are not installed, and the folders of the packages among them."""
    files: set[str] = set()
    folders: set[str] = set()
    for name, module in list(sys.modules.items()):
        if _installed.get(name) is module or name == "__main__":
            continue
        file, path = _places_of(module)
        local = [each for each in (file, *path) if not (each.startswith(_INSTALLED) or _SITE.search(each))]
        is_namespace = name == _NAMESPACE and not file  # in which each of its packages is ours
        if not any(local) or is_namespace or name.startswith(_OURS):
            _installed[name] = module
            if name.startswith(_OURS):
                _own.update(os.path.dirname(each) for each in local)  # noqa: PTH120 - texts, for speed
            continue
        files.update(each for each in local if each == file and each)
        folders.update(each for each in local if each != file)
    return files, folders - _own


def _places_of(module: object) -> tuple[str, list[str]]:
    """A module's file and, of a package, its folders."""
    try:
        file, path = getattr(module, "__file__", None), getattr(module, "__path__", None) or ()
        return file if isinstance(file, str) else "", [each for each in path if isinstance(each, str)]
    except Exception:  # noqa: BLE001 - any object may stand in sys.modules: torch.classes has all attributes, and none works
        return "", []


def _modules_in(folder: str, watched: Watched) -> Iterator[str]:
    """The modules in a folder, and in the packages that are in it."""
    waiting, left = [folder], _LARGEST
    while waiting and left > 0:
        modules, folders = _listed(waiting.pop(), watched)
        left -= len(modules) + len(folders)
        yield from modules
        waiting += [each for each in folders if watched.look(f"{each}/__init__.py") is not None]


def _listed(folder: str, watched: Watched) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The Python files and the subfolders that may be packages, as long as the folder is not too large."""
    version, known = watched.look(folder), _listings.get(folder)
    if version is None:  # it is not there: then nothing is imported from it
        return (), ()
    if known is not None and known[0] == version:
        return known[1:]
    try:
        with os.scandir(folder) as entries:
            modules: list[str] = []
            folders: list[str] = []
            for number, entry in enumerate(entries):
                if number == _LARGEST:
                    return (), ()
                if entry.name.endswith(".py"):
                    modules.append(entry.path)
                elif entry.name.isidentifier() and S_ISDIR(entry.stat().st_mode):
                    folders.append(entry.path)
    except OSError:  # it is not to be read: then nothing is imported from it
        return (), ()
    found = version, tuple(modules), tuple(folders)
    if version[0] < time.time_ns() - SETTLED_NS:
        _listings[folder] = found
    return found[1:]


def _content_of(file: str, watched: Watched) -> str:
    """Core's `content_of`, read anew when the file has changed."""
    version, known = watched.look(file), _contents.get(file)
    if version is None:
        return ""
    if known is not None and known[0] == version:
        return known[1]
    content = content_of(file)
    if version[0] < time.time_ns() - SETTLED_NS:
        _contents[file] = version, content
    return content
