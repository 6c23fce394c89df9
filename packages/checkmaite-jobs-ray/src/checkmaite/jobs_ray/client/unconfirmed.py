"""Submissions of which it is not known whether they arrived: made again, they are the same jobs."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Sequence

from checkmaite.jobs.spi import PreparedSubmission, Prints, new_job_id
from checkmaite.jobs_ray.wire import JobSpec

_Run = tuple[str, Prints | None, str]
"""Run key, fingerprints and reuse policy: what a submission that is made again has in common with the first."""


class Unconfirmed:
    """The ids that jobs were proposed with, for as long as it is not known whether they were accepted. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ids: defaultdict[_Run, deque[str]] = defaultdict(deque)

    def ids_for(self, submissions: Sequence[PreparedSubmission]) -> list[str]:
        """An id for each: that of an earlier proposal of the same run, or a new one."""
        if not self._ids:
            return [new_job_id() for _ in submissions]
        used: Counter[_Run] = Counter()
        found: list[str] = []
        with self._lock:
            for each in submissions:
                run = each.run_key.value, each.prints, each.reuse
                known = self._ids.get(run, ())
                found.append(known[used[run]] if used[run] < len(known) else new_job_id())
                used[run] += 1
        return found

    def note(self, specs: Iterable[JobSpec]) -> None:
        """It is not known whether these were accepted."""
        with self._lock:
            for spec in specs:
                ids = self._ids[spec.run_key, spec.basis.prints, spec.basis.policy]
                if spec.job_id not in ids:
                    ids.append(spec.job_id)

    def settle(self, specs: Iterable[JobSpec]) -> None:
        """It is known what became of these."""
        if not self._ids:
            return
        with self._lock:
            for spec in specs:
                run = spec.run_key, spec.basis.prints, spec.basis.policy
                if run in self._ids and spec.job_id in self._ids[run]:
                    self._ids[run].remove(spec.job_id)
                    if not self._ids[run]:
                        del self._ids[run]
