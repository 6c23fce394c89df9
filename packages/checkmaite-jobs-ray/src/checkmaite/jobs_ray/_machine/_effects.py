"""What has to happen outside the machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from checkmaite.jobs_ray._messages import Context, Draft, Stop


class StopJobs(NamedTuple):
    """Tell a controller to end jobs."""

    controller: str
    token: int
    stops: Sequence[Stop]


class AskStore(NamedTuple):
    """Ask the store of a context whether it holds the runs of jobs; `RegistryMachine.settle` takes the answer."""

    context: Context
    drafts: Sequence[Draft]


Effect = StopJobs | AskStore
