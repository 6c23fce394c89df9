"""What a registry hands to controllers for a job to start from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from checkmaite.jobs import StoreNotFoundError
from checkmaite.jobs_ray._messages import Draft, Kept
from checkmaite.jobs_ray._ray._objects import is_elsewhere, keep_payload

_TRIES = 10
"""A payload that is nowhere but in a process's memory is lost when no controller could fetch it so many times."""


class Payloads:
    """Gives the payloads of drafts, from the journal where Ray has lost them.

    Args:
        load: Reads one from the journal; None when there is none.
        is_live: Whether a job is one still.
    """

    def __init__(self, load: Callable[[Kept], Awaitable[bytes]] | None, is_live: Callable[[str], bool]) -> None:
        self._load = load
        self._is_live = is_live
        self._missed: Counter[str] = Counter()

    async def of(self, draft: Draft) -> Any:
        """A draft's payload as a controller takes it.

        Raises:
            StoreError: It cannot be had; see `StoreError.retryable`.
        """
        payload, missed = draft.payload, self._missed[draft.job_id]
        if isinstance(payload, Kept):
            if payload.ref is not None and not missed:
                return payload.ref
            assert self._load is not None, "only a journal keeps payloads"
            return keep_payload(await self._load(payload))
        if payload is None or (missed >= _TRIES and is_elsewhere(payload)):
            raise StoreNotFoundError("what the job needs to start was lost with the process that had accepted it.")
        return payload

    def note(self, given: Collection[str], taken: Collection[str]) -> None:
        """A controller was given these jobs, and has taken those: the others' payloads did not come."""
        missed = [job_id for job_id in given if job_id not in taken]
        if self._missed or missed:
            for job_id in taken:
                self._missed.pop(job_id, None)
            self._missed.update(missed)
            for job_id in [each for each in self._missed if not self._is_live(each)]:
                del self._missed[job_id]
