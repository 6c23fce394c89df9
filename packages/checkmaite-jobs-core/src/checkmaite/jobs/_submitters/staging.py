"""Publishes large objects once, so that submissions carry references to them; and deletes them again.

Its functions import what they need: this is imported wherever users import anything.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from checkmaite.jobs._shared.errors import ConfigurationError, JobSubmissionError, StagedObjectError
from checkmaite.jobs._shared.problems import Problem
from checkmaite.jobs._shared.staged import Staged, shown_size
from checkmaite.jobs._submitters.active import active, get_job_backend

if TYPE_CHECKING:
    from checkmaite.jobs._shared.job_protocols import Job
    from checkmaite.jobs._shared.staged_content import StagedContent
    from checkmaite.jobs._shared.staged_objects import StagingPlace

_SHOWN_JOBS = 5
_jobs_with: dict[str, list[Job]] = {}
"""Jobs that this process has submitted with a reference and that were not final, by the name of what it stands for."""


def stage(obj: Any) -> Staged:
    """Publish an object once, and get a small reference that stands for it in any number of submissions.

    What is above ``max_payload_bytes``, or is given to many jobs, travels so: it is written once, each node of the
    cluster fetches it once, and each job gets an object of its own, whose arrays share memory until it writes to them.
    The reference may stand wherever the object may: as a model, dataset or metric, in a list, a mapping or an attribute
    of one, in the config, in the capability. Run keys and fingerprints are those of the object itself.

    It is written to the artifact store, if there is one, else into the analytics store's folder, under ``_staged/``; it
    stays there until `unstage`. An object with the same content that is there already is not written again.

    Args:
        obj: The object, as it is now: later changes of it change nothing of what is staged.

    Returns:
        The reference. It may be pickled, kept, and used by other processes with the same stores.

    Raises:
        NotConfiguredError: No backend is active.
        ConfigurationError: The stores of the active backend keep no such objects.
        JobSubmissionError: It cannot be pickled.
        StoreError: The store did not take it.
    """
    import pickle

    from checkmaite.jobs._shared.staged_objects import content_digest, publish
    from checkmaite.jobs._submitters.fingerprint import Pace, staged_prints

    if isinstance(obj, Staged):
        return obj
    backend, place = get_job_backend(), _place()
    content = _content_of(obj, getattr(backend, "dumps", pickle.dumps))
    digests = content.digests()
    digest = content_digest(content.size, digests)
    metadata = getattr(obj, "metadata", None)
    kind = type(obj)
    progress = _Progress(kind.__qualname__, content.size)
    pace = Pace(progress.say)
    pace.doing = kind.__qualname__
    reference = Staged(
        digest=digest,
        size=content.size,
        kind=kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}",
        place=place.folder.uri,
        name=place.name_of(digest),
        metadata=dict(metadata) if isinstance(metadata, Mapping) else None,
        prints=staged_prints(obj, pace),
    )
    publish(place, reference.name, size=content.size, digests=digests, part=content.part, tick=progress.tick)
    return reference


def unstage(reference: Staged) -> bool:
    """Delete what `stage` has published. Jobs that have begun keep what they have.

    Jobs that name it and have not loaded it will fail, and say so. While this process knows of some that it has
    submitted itself, nothing is deleted; of other processes' jobs it knows nothing.

    Args:
        reference: What `stage` gave.

    Returns:
        Whether anything was there.

    Raises:
        StagedObjectError: Jobs of this process that are not final need it, or it is not where the active backend's
            stores are.
        StoreError: The store did not delete it.
    """
    from checkmaite.jobs._shared.staged_objects import remove

    get_job_backend()
    place = _place()
    if reference.place != place.folder.uri:
        raise StagedObjectError(
            f"{reference!r} is not in {place.folder.uri}, where the active backend stages. Configure the backend with "
            "the stores that it was staged with, then unstage it."
        )
    waiting = [job for job in _jobs_with.get(reference.name, ()) if not job.status.is_final]
    if waiting:
        shown = ", ".join(job.job_id for job in waiting[:_SHOWN_JOBS])
        more = f" and {len(waiting) - _SHOWN_JOBS} more" if len(waiting) > _SHOWN_JOBS else ""
        raise StagedObjectError(
            f"{reference!r} was not deleted: {shown}{more} are not final and name it. wait_all() for them, or cancel "
            "them, then unstage it."
        )
    _jobs_with.pop(reference.name, None)
    return remove(place, reference.name)


def note_jobs(references: Iterable[Staged], jobs: Sequence[Job]) -> None:
    """Remember that these jobs name these objects, until they are final."""
    for each in references:
        live = [job for job in _jobs_with.get(each.name, ()) if not job.status.is_final]
        _jobs_with[each.name] = [*live, *jobs]


def staged_problems(references: Iterable[Staged], place: StagingPlace | None) -> list[Problem]:
    """What keeps the workers of a backend from reading what was staged.

    Args:
        references: References in one submission.
        place: Where the backend's workers read.
    """
    problems = []
    for each in references:
        remedy = "Stage the object again: stage(obj) writes it where the active backend's workers read."
        if place is None or each.place != place.folder.uri:
            where = "nowhere" if place is None else f"in {place.folder.uri}"
            problems.append(Problem("submission", f"holds {each!r}; workers of this backend read {where}.", remedy))
        elif place.key is not None and each.name != place.name_of(each.digest):
            cause = f"holds {each!r}, which was not encrypted with the key in {place.key}."
            problems.append(Problem("submission", cause, remedy))
    return problems


def _place() -> StagingPlace:
    if active.place is None:
        cause = "is not configured, and the analytics store has no folder that other processes can read."
        remedy = 'Pass artifact_store={"uri": "s3://bucket/folder"} to configure_job_backend(), or a shared folder.'
        raise ConfigurationError("Nothing can be staged.", [Problem("artifact_store", cause, remedy)])
    return active.place


def _content_of(obj: Any, dumps: Any) -> StagedContent:
    from checkmaite.jobs._shared.staged_content import StagedContent
    from checkmaite.jobs._shared.staged_objects import PART_BYTES

    try:
        return StagedContent(obj, dumps, PART_BYTES)
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        problem = Problem(
            "obj",
            f"a {type(obj).__qualname__} cannot be sent to a worker: {type(error).__name__}: {first}.",
            "Open files, connections, locks and generators inside run() instead of keeping them in the object; define "
            "its class and functions at the top level of a module.",
        )
        raise JobSubmissionError("Nothing was staged.", phase="serialize", problems=[problem]) from error


class _Progress:
    """Says once a second how much is written, from the first second on."""

    def __init__(self, what: str, size: int) -> None:
        self._what, self._size = what, size
        self._lock = threading.Lock()
        self._done = 0
        self._next_at = time.monotonic() + 1

    def tick(self, written: int) -> None:
        with self._lock:
            self._done += written
            now = time.monotonic()
            if now >= self._next_at:
                self._next_at = now + 1
                self.say(f"Staging {self._what}: {shown_size(self._done)} of {shown_size(self._size)}.")

    def say(self, message: str) -> None:
        """Tell the user what takes long, as a progress bar would."""
        print(message, file=sys.stderr, flush=True)  # noqa: T201 - writing gigabytes must not look stuck
