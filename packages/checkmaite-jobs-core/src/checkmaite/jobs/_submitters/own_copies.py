"""A job's own copies of the objects that it was submitted with, for a backend that runs jobs in the user's process.

A worker gets what was pickled, so nobody can change it. Here the objects are the user's, who may go on with them while
the job waits, and several jobs may have one and the same. So each job gets copies. They are made when it begins, since
a thousand jobs that wait must not hold a thousand models; and it begins only with what was submitted.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from checkmaite.jobs._shared.comparing import compared, prints_of
from checkmaite.jobs._shared.errors import JobsError
from checkmaite.jobs._shared.reuse import Prints
from checkmaite.jobs._shared.staged import Open, Staged, opening
from checkmaite.jobs._submitters.fingerprint import Fingerprinter


class EditedObjectError(JobsError):
    """Objects of a job were changed in place while it waited in this process; nothing of the job has run."""


Arguments = tuple[Any, Any, Any, Any, Any]
"""Capability, models, datasets, metrics, config."""


def own_copies(given: Arguments, prints: Prints, opens: Open) -> Arguments:
    """Copies of the objects, as they were when these fingerprints were made. What has no copy is given as it is.

    Args:
        given: The objects.
        prints: The fingerprints.
        opens: Gives what a reference to a staged object stands for.

    Raises:
        EditedObjectError: They are not any more what was submitted.
    """
    met: dict[int, Staged] = {}

    def note(reference: Staged) -> Staged:
        met[id(reference)] = reference
        return reference

    with opening(note):
        copies = _copies(given)
    changed = _changed(copies, prints)
    if not changed:
        return _with_objects(copies, {key: opens(each) for key, each in met.items()}) if met else copies
    # Objects whose copies differ from them, by a __deepcopy__ of their own, are the user's to answer for.
    if any(one is not other for one, other in zip(copies, given, strict=True)) and not _changed(given, prints):
        return given
    raise EditedObjectError(
        f"Changed in this process since this job was submitted: {', '.join(changed)}. That is not what was submitted, "
        "so nothing of the job has run. Wait for a job before you change what it has, or submit a copy: "
        "copy.deepcopy(model)."
    )


def _with_objects(copies: Arguments, objects: Mapping[int, Any]) -> Arguments:
    """Copies in which objects take the place of references, by the id of the reference."""
    with opening(lambda reference: objects[id(reference)]):
        return _copies(copies)


def _changed(given: Arguments, prints: Prints) -> tuple[str, ...]:
    capability, models, datasets, metrics, config = given
    now = Fingerprinter(in_process=True).of(
        capability, models=models, datasets=datasets, metrics=metrics, config=config
    )
    return compared(prints, prints_of(now)).differences


def _copies(given: Arguments) -> Arguments:
    """A copy of each of the five, which share what the originals share; of one that cannot be copied the original."""
    memo: dict[int, Any] = {}
    copies = []
    for each in given:
        extended = dict(memo)
        try:
            copies.append(copy.deepcopy(each, extended))
        except Exception:  # noqa: BLE001 - a lock, a file, no memory, or whatever the user's __deepcopy__ raises
            copies.append(each)
        else:
            memo = extended
    capability, models, datasets, metrics, config = copies
    return capability, models, datasets, metrics, config
