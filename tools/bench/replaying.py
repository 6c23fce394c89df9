"""A process that reads a journal as a new registry does: it says how long that took, and what memory at its peak.

Arguments: the journal's folder; without one it only says how much memory the imports need.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs_ray.journal.reading import read_journal
from checkmaite.jobs_ray.journal.replay import table_of
from checkmaite.jobs_ray.journal.runner import leader_here, new_nonce, perform
from checkmaite.jobs_ray.journal.storage import lead

began, jobs = time.perf_counter(), 0
for folder in sys.argv[1:]:
    objects = ObjectStore(folder)
    found = perform(read_journal(folder), objects)
    _, found = perform(lead(folder, leader_here("bench"), new_nonce, found), objects)
    jobs = len(table_of(found).records)
took_s = time.perf_counter() - began
peak_kb = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
print(json.dumps([took_s, int(peak_kb) / 1024, jobs]))  # getrusage would begin with its parent's peak
