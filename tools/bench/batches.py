"""A client: for each line that it reads it runs a batch of no-op jobs and says how many seconds that took.

Arguments: the backend's options as JSON, and the number of jobs in a batch.
"""

from __future__ import annotations

import json
import sys
import uuid
import warnings

import work
from checkmaite.jobs import configure_job_backend, shutdown_job_backend, submit_capabilities, wait_all
from figures import seconds

options, count = json.loads(sys.argv[1]), int(sys.argv[2])
warnings.filterwarnings("ignore", message=".* in memory only")  # on purpose
configure_job_backend("ray", **options)


def batch() -> None:
    mine = uuid.uuid4().hex
    wait_all(submit_capabilities([{"capability": work.Nothing(), "config": f"{mine}-{each}"} for each in range(count)]))


for _ in sys.stdin:
    print(seconds(batch), flush=True)
shutdown_job_backend(wait=False)
