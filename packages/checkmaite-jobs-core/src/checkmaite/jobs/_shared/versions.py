"""Whether two processes can understand each other."""

from __future__ import annotations

import sys
from functools import cache

from attrs import frozen
from checkmaite.jobs._shared.errors import IncompatibleVersionError

WORKER_PROTOCOL = 2
"""Number of the language that submitters and workers speak; raised when an older side could misread it."""


@frozen(kw_only=True)
class Versions:
    """What one process runs.

    Attributes:
        protocol: Its `WORKER_PROTOCOL`.
        python: Its Python, ``"3.11"``; pickled code is portable only within one minor version.
        core: Its version of checkmaite-jobs-core; compatible within one ``major.minor``.
    """

    protocol: int
    python: str
    core: str

    def __str__(self) -> str:
        return f"protocol {self.protocol}, Python {self.python}, checkmaite-jobs-core {self.core}"


@cache
def versions_here() -> Versions:
    """The versions of this process."""
    from importlib.metadata import PackageNotFoundError, version  # slow to import, see _discovery

    try:
        core = version("checkmaite-jobs-core")
    except PackageNotFoundError:
        core = "0+unknown"
    return Versions(protocol=WORKER_PROTOCOL, python=f"{sys.version_info.major}.{sys.version_info.minor}", core=core)


def check_versions(there: Versions, *, here: Versions | None = None, this_side: str, other_side: str) -> None:
    """Refuse to go on when the other side's versions do not fit this side's.

    Args:
        there: The other side's versions.
        here: This side's; those of this process when None.
        this_side: What this process is, for the message: ``"worker"``.
        other_side: What the other is: ``"submitter"``.

    Raises:
        IncompatibleVersionError: They do not fit; the message says which side to change.
    """
    here = here or versions_here()
    if there.protocol != here.protocol or _series(there.core) != _series(here.core):
        older = other_side if _order(there) < _order(here) else this_side
        advice = f"Upgrade checkmaite-jobs-core on the {older}."
    elif there.python != here.python:
        advice = f"Run the {this_side} and the {other_side} on the same Python minor version."
    else:
        return
    raise IncompatibleVersionError(
        f"the {other_side} runs {there}, but the {this_side} runs {here}. {advice}",
        here=str(here),
        there=str(there),
    )


def _series(core: str) -> tuple[str, ...]:
    return tuple(core.split(".")[:2])


def _order(versions: Versions) -> tuple[int, tuple[int, ...]]:
    return versions.protocol, tuple(int(part) for part in versions.core.split(".")[:2] if part.isdigit())
