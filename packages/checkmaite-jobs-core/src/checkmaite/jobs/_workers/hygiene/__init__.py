"""Makes a worker process clean after each job, or ends the process.

A job may change anything in its process. What can be put back is put back when it ends; a process that cannot be put
right, or that a failure may have damaged, leaves after the job, so that the next one starts in another.
"""

from checkmaite.jobs._workers.hygiene.accelerators import accelerators_of, hidden_accelerators
from checkmaite.jobs._workers.hygiene.health import suspect
from checkmaite.jobs._workers.hygiene.process import KeptWorld, WorkerProcess, for_one_job
from checkmaite.jobs._workers.hygiene.randomness import from_fresh_entropy

__all__ = [
    "KeptWorld",
    "WorkerProcess",
    "accelerators_of",
    "for_one_job",
    "from_fresh_entropy",
    "hidden_accelerators",
    "suspect",
]
