"""What processes of this machine have used, from /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def memory_mb(pids: Iterable[int]) -> float:
    """Their memory; what several processes share counts in parts (PSS)."""
    return _rolled_up_mb(pids, "Pss:")


def own_memory_mb(pids: Iterable[int]) -> float:
    """Their memory without files and Ray's object store, of which whoever has looked at a page has a part."""
    return _rolled_up_mb(pids, "Pss_Anon:")


def _rolled_up_mb(pids: Iterable[int], field: str) -> float:
    total_kb = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        total_kb += sum(int(line.split()[1]) for line in lines if line.startswith(field))
    return total_kb / 1024


def cpu_s(pids: Iterable[int]) -> float:
    """Their CPU time so far."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
