"""What has to happen outside the machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from checkmaite.jobs_ray._messages import Stop


class StopJobs(NamedTuple):
    """Tell a controller to end jobs."""

    controller: str
    token: int
    stops: Sequence[Stop]


Effect = StopJobs
