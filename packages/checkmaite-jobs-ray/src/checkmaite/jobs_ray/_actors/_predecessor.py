"""Whether a process that wrote its name into a journal still runs."""

from __future__ import annotations

import os
from pathlib import Path

from checkmaite.jobs_ray._journal._leader import Leader
from checkmaite.jobs_ray._journal._process import leader_here

_TITLE = b"JobRegistry"
_NOT_RUNNING = "ZTXt"
"""States in /proc: a zombie, stopped, dead, traced. A stopped one is fenced when it goes on."""


def is_running(leader: Leader) -> bool:
    """Whether a registry runs on this machine; False where that cannot be told, such as for another machine's."""
    here = leader_here("")
    if (leader.host, leader.boot_id) != (here.host, here.boot_id) or not here.boot_id or leader.pid == os.getpid():
        return False
    process = Path("/proc") / str(leader.pid)
    try:
        state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        return state not in _NOT_RUNNING and _TITLE in (process / "cmdline").read_bytes()
    except OSError:
        return False
