"""Which installed distribution a module comes from."""

from __future__ import annotations

import importlib.metadata
import sys
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path

from checkmaite.jobs._submitters.fingerprint.code import is_installed


def distributions_of(module: str) -> dict[str, str]:
    """Version by name of the distribution that an imported module was installed with; empty when it was not."""
    file = getattr(sys.modules.get(module), "__file__", None)
    if not isinstance(file, str) or not _is_installed(file):
        return {}
    names = _packages().get(module.partition(".")[0], ())
    found = {name: importlib.metadata.distribution(name) for name in names}
    if len(found) > 1:  # a namespace, which several fill
        found = {name: each for name, each in found.items() if _holds(each, Path(file))}
    return {name: each.version for name, each in found.items()}


@lru_cache(maxsize=1024)
def _is_installed(file: str) -> bool:
    return is_installed(Path(file))


def _holds(distribution: importlib.metadata.Distribution, file: Path) -> bool:
    return any(Path(str(each.locate())) == file for each in distribution.files or () if each.name == file.name)


@cache
def _packages() -> Mapping[str, list[str]]:
    """Names of distributions by top-level package; reading all of them takes a moment, so once a process."""
    return {top: sorted(set(names)) for top, names in importlib.metadata.packages_distributions().items()}
