"""How news of running jobs reaches this client: one small actor that workers write to and a thread that waits there."""

from __future__ import annotations

import logging
import threading
from typing import Any

import ray

from checkmaite.jobs import JobNotFoundError
from checkmaite.jobs.spi import JobLedger, NewsMailbox, RemotePost

_log = logging.getLogger("checkmaite.jobs")
_PARKED_S = 20.0
"""A call for news waits at most this long in the mailbox, so that an end is noticed."""


class Newsroom:
    """The mailbox of one backend; it is opened with the first job.

    News is a courtesy: when the mailbox is lost, jobs still run and end as they would, with less said on the way.
    """

    def __init__(self, ledger: JobLedger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._mailbox: Any = None
        self._open = True

    def post(self) -> RemotePost:
        """Where a worker posts its news."""
        with self._lock:
            if self._mailbox is None:
                actor = ray.remote(NewsMailbox)
                self._mailbox = actor.options(num_cpus=0, max_restarts=-1, max_task_retries=0).remote()
                threading.Thread(target=self._read, name="checkmaite ray-simple news", daemon=True).start()
            return RemotePost(self._mailbox)

    def close(self) -> None:
        """Read no more, and end the mailbox."""
        with self._lock:
            self._open = False
            if self._mailbox is not None and ray.is_initialized():
                ray.kill(self._mailbox)

    def _read(self) -> None:
        while self._open:
            try:
                letters = ray.get(self._mailbox.take.remote(_PARKED_S))
            except Exception as error:  # noqa: BLE001 - the mailbox may be lost in any of Ray's ways; jobs go on
                if not self._open:
                    return
                _log.warning("news of running jobs is lost, the jobs go on: %s", type(error).__name__)
                if not isinstance(error, ray.exceptions.ActorUnavailableError):
                    return
                continue
            for job_id, news in letters:
                try:
                    job = self._ledger.get(job_id)
                except JobNotFoundError:  # finished and forgotten in the meantime
                    continue
                for each in news:
                    job.apply(each)
