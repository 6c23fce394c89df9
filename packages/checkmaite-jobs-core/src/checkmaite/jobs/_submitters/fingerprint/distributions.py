"""Which installed distribution a module comes from.

Reading what is installed takes tens of milliseconds, so it is kept for as long as nothing of it has changed: neither
the folders that this process imports from, which every installer changes, nor the metadata that were read.
"""

from __future__ import annotations

import importlib.metadata
import os
import sys
from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import ClassVar

from checkmaite.jobs._shared.watched import Watched
from checkmaite.jobs._submitters.fingerprint.code import is_installed

_METADATA = ("METADATA", "PKG-INFO", "RECORD")


def distributions_of(module: str) -> dict[str, str]:
    """Version by name of the distribution that an imported module was installed with; empty when it was not."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if not isinstance(file, str) or not _is_installed(file):
        return {}
    folders = tuple(map(os.path.abspath, sys.path))
    known = _Installed.last
    if known is None or not known.holds(folders):
        known = _Installed(folders)
        _Installed.last = known if known.watched.is_settled else None
    return known.distributions_of(module, file)


class _Installed:
    """The distributions below some folders, as they were when this was made."""

    last: ClassVar[_Installed | None] = None

    def __init__(self, folders: tuple[str, ...]) -> None:
        self.watched = Watched()
        for folder in folders:
            self.watched.look(folder)
        self._folders = folders
        self._found: dict[tuple[str, str], tuple[Watched, dict[str, str]]] = {}

    def holds(self, folders: tuple[str, ...]) -> bool:
        """Whether these are the folders, and nothing was installed or removed in them."""
        return folders == self._folders and self.watched.is_unchanged()

    def distributions_of(self, module: str, file: str) -> dict[str, str]:
        """See above."""
        known = self._found.get((module, file))
        if known is None or not known[0].is_unchanged():
            known = self._read(module, file)
            if known[0].is_settled:
                self._found[module, file] = known
        return dict(known[1])

    def _read(self, module: str, file: str) -> tuple[Watched, dict[str, str]]:
        watched = Watched()
        names = self._packages.get(module.partition(".")[0], ())
        found = {name: importlib.metadata.distribution(name) for name in names}
        for each in found.values():
            folder = str(getattr(each, "_path", ""))  # of the distributions that folders hold
            for name in _METADATA:
                watched.look(os.path.join(folder, name))  # noqa: PTH118 - texts, as in `Watched`
        if len(found) > 1:  # a namespace, which several fill
            found = {name: each for name, each in found.items() if _holds(each, Path(file))}
        return watched, {name: each.version for name, each in found.items()}

    @cached_property
    def _packages(self) -> Mapping[str, list[str]]:
        """Names of distributions by top-level package."""
        return {top: sorted(set(names)) for top, names in importlib.metadata.packages_distributions().items()}


@lru_cache(maxsize=1024)
def _is_installed(file: str) -> bool:
    return is_installed(Path(file))


def _holds(distribution: importlib.metadata.Distribution, file: Path) -> bool:
    return any(Path(str(each.locate())) == file for each in distribution.files or () if each.name == file.name)
