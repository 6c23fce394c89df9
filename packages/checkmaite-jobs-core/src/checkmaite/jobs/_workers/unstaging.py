"""Puts staged objects in the place of their references while the arguments of a job are loaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, BinaryIO

from checkmaite.jobs._shared.config import StoreSpec
from checkmaite.jobs._shared.errors import StagedObjectError, StoreError
from checkmaite.jobs._shared.staged import Open, Staged, opening
from checkmaite.jobs._shared.staged_content import unpickled
from checkmaite.jobs._shared.staged_objects import StagingPlace, parts_of
from checkmaite.jobs._workers.node_cache import NodeCache, NodeFolder
from checkmaite.jobs._workers.outages import patiently


def opener(store: StoreSpec, folder: NodeFolder | None, say: Callable[[str], object]) -> Open:
    """What gives the objects of references to one job.

    Each reference becomes an object of the job's own, on memory that it shares with others until it writes there.

    Args:
        store: The job's store, beside which its objects were staged.
        folder: Where the node keeps them; None where nothing is said about it.
        say: Is told what is waited for; an empty text at the end.
    """

    def opens(reference: Staged) -> Any:
        place = StagingPlace.of(store)
        if place is None or place.folder.uri != reference.place:
            where = "no place for such objects" if place is None else place.folder.uri
            raise StagedObjectError(f"{reference!r} cannot be read here: this job's backend is configured for {where}.")

        def fetch(file: BinaryIO) -> None:
            say(f"fetching {reference!r}")
            file.writelines(parts_of(place, reference))
            say("")

        def found() -> int:
            return NodeCache(folder).opened(reference.name, reference.size, fetch)

        try:
            descriptor = patiently(found, say)
        except StagedObjectError:
            raise
        except (StoreError, OSError) as error:
            raise StagedObjectError(
                f"{reference!r} could not be brought to this node: {error}", uri=reference.place
            ) from error
        try:
            with opening(opens):  # it may hold references itself
                return unpickled(descriptor)
        finally:
            os.close(descriptor)

    return opens
