"""Keeps `checkmaite.jobs` this project's where the CheckMAITE package's own has been installed into the same folder.

Both distributions own ``checkmaite/jobs/``, and the one that pip installs last overwrites the other. A ``.pth``
file imports this module when Python starts, so it imports next to nothing. Where the ``__init__.py`` in the folder is
ours nothing changes; else the package is taken from a copy that nobody overwrites.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # the module typing is for type checkers here, and slow to import
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_NAME = "checkmaite.jobs"
_MARK = b"checkmaite.jobs.spi"
"""What this project's ``__init__.py`` says in its first lines."""
_GONE = frozenset(f"{_NAME}.{each}" for each in ("_api", "_result", "_store", "_submission", "_worker", "backends"))
"""Modules of the package's own, left in the folder or not, that have no place here."""


class PlaceFinder:
    """Comes before Python's own finders, and answers for two kinds of names only."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The copy's spec for `checkmaite.jobs` where it is needed; None leaves the answer to others."""
        if name == _NAME:
            return None if _is_ours(path or ()) else _copy()
        if name in _GONE:
            raise ModuleNotFoundError(
                f"{name} is of the CheckMAITE package's own checkmaite.jobs, which checkmaite-jobs-core has replaced. "
                "Import what you need from checkmaite.jobs; docs/how-to/checkmaite-migration.md has each name.",
                name=name,
            )
        return None


def _is_ours(path: Sequence[str]) -> bool:
    for folder in path:
        try:
            with open(os.path.join(folder, "jobs", "__init__.py"), "rb") as file:
                return _MARK in file.read(1000)
        except OSError:
            continue
    return False


def _copy() -> ModuleSpec | None:
    from importlib.util import spec_from_file_location

    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_checkmaite_jobs_copy", "jobs")
    file = os.path.join(folder, "__init__.py")
    return spec_from_file_location(_NAME, file, submodule_search_locations=[folder]) if os.path.exists(file) else None


sys.meta_path.insert(0, PlaceFinder)
