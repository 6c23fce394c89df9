"""The table of jobs as browsers follow it: what has changed since they last asked."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from checkmaite.jobs_cli.spi import JobSummary
from checkmaite.jobs_ui.facts import JobDetail, row_of

_LOOK_S = 0.5
_REST = 4.0
"""How many times as long as a look has taken until the next one: a slow source is asked less often."""


class JobSource(Protocol):
    """Where jobs are known."""

    @property
    def is_live(self) -> bool:
        """Whether what it knows is as it is now; False of a journal."""
        ...

    def summaries(self) -> Iterable[JobSummary]:
        """All jobs, in any order. It is asked twice a second while somebody looks."""
        ...

    def detail(self, job_id: str, *, with_log: bool = True) -> JobDetail:
        """All that is known of one job; what it has printed only on demand, where that has to be fetched.

        Raises:
            JobNotFoundError: Nobody knows it.
        """
        ...

    def occupancy(self) -> list[dict[str, Any]] | None:
        """What the cluster has and how much of it is taken; None where nobody can say."""
        ...


class Board:
    """Rows by job, each with the number of the change that brought it. Thread-safe.

    They are kept as JSON: ten thousand are asked for at once, by each tab that opens.

    Nothing happens while nobody asks: the thread that asks looks at the source, for all others too.
    """

    def __init__(self, source: JobSource) -> None:
        self._source = source
        self._lock = threading.Lock()
        self._rows: dict[str, tuple[int, JobSummary, str]] = {}
        self._gone: dict[str, int] = {}
        self._version = 0
        self._looked_at = float("-inf")

    def changes(self, after: int, wait_s: float, is_over: Callable[[], bool] = lambda: False) -> str:
        """What has changed after a version; as JSON, once something has or `wait_s` seconds have passed.

        Args:
            after: The version that the caller has; 0 for none. A version that this board has never had, since it
                belongs to one before, counts as none.
            wait_s: See there.
            is_over: Whether waiting makes no sense any more.
        """
        until = time.monotonic() + wait_s
        while True:
            with self._lock:
                self._look()
                known = after if after <= self._version else 0
                if self._version > known or not after or is_over() or time.monotonic() >= until:
                    return self._since(known)
            time.sleep(min(_LOOK_S, max(0.0, until - time.monotonic())))

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < _LOOK_S:
            return
        found = {each.job_id: each for each in self._source.summaries()}
        took = time.monotonic() - now
        self._looked_at = time.monotonic() + _REST * took
        changed = [each for each in found.values() if self._known(each.job_id) is not each]
        changed = [each for each in changed if self._known(each.job_id) != each]
        left = self._rows.keys() - found.keys()
        if not changed and not left and self._version:
            return
        self._version += 1
        for summary in changed:
            self._rows[summary.job_id] = (self._version, summary, json.dumps(row_of(summary)))
            self._gone.pop(summary.job_id, None)
        for job_id in left:
            del self._rows[job_id]
            self._gone[job_id] = self._version

    def _known(self, job_id: str) -> JobSummary | None:
        return self._rows[job_id][1] if job_id in self._rows else None

    def _since(self, after: int) -> str:
        rows = ", ".join([row for version, _, row in self._rows.values() if version > after])
        gone = [job_id for job_id, version in self._gone.items() if version > after] if after else []
        head = json.dumps({"version": self._version, "whole": after == 0, "gone": gone})
        return f'{head[:-1]}, "jobs": [{rows}]}}'
