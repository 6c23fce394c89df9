"""A cluster of another Ray or Python version: which side to change, and how."""

from __future__ import annotations

import re

from checkmaite.jobs import IncompatibleVersionError
from checkmaite.jobs_ray_simple.cluster.addresses import CLIENT

_VERSIONS = re.compile(r"Ray: (\S+)\s+Python: (\S+)")


def is_mismatch(error: Exception) -> bool:
    """Whether Ray refused to connect because of versions."""
    return "Version mismatch" in str(error) and len(_VERSIONS.findall(str(error))) == 2


def incompatible(address: str, mismatch: Exception) -> IncompatibleVersionError:
    """The error that says what to change.

    Args:
        address: As the user gave it.
        mismatch: What Ray raised: it shows two pairs of versions, the cluster's and this process's.
    """
    theirs, ours = _VERSIONS.findall(str(mismatch))
    # A driver must match to the patch release of Python; through the client server the minor one is enough.
    digits = 2 if address.startswith(CLIENT) else 3
    their_python, our_python = (".".join(python.split(".")[:digits]) for _, python in (theirs, ours))
    changes = [f'pip install "ray[client]=={theirs[0]}"'] * (theirs[0] != ours[0])
    changes += [f"run it with Python {their_python}"] * (their_python != our_python)
    there, here = (f"Ray {version}, Python {python}" for version, python in (theirs, ours))
    return IncompatibleVersionError(
        f"The cluster at address={address!r} runs {there}; this process runs {here}. Change this process to what the "
        f"cluster has ({'; '.join(changes)}), or start the cluster anew with what this process has.",
        here=here,
        there=there,
    )
