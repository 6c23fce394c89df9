"""What the journal needs to know of the process that it is in; the only clock and the only randomness."""

from __future__ import annotations

import os
import secrets
import socket
import time
from pathlib import Path

from checkmaite.jobs_ray._journal._leader import Leader

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def leader_here(where: str) -> Leader:
    """A new leader: this process, from now on."""
    try:
        boot_id = _BOOT_ID.read_text("ascii").strip()
    except OSError:
        boot_id = ""
    return Leader(
        id=secrets.token_hex(8),
        host=socket.gethostname(),
        boot_id=boot_id,
        pid=os.getpid(),
        started_at=time.time(),
        where=where,
    )


def new_nonce() -> str:
    """What no other object carries."""
    return secrets.token_hex(8)
