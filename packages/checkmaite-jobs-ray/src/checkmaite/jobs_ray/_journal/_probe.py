"""Whether a store can hold a journal: of those that create an object at the same time, one must win."""

from __future__ import annotations

import secrets
import threading
from concurrent.futures import ThreadPoolExecutor

from checkmaite.jobs import ConfigurationError, Problem
from checkmaite.jobs.spi import ObjectStore

_RACERS = 8
_ROUNDS = 2
_TRIES = 6
_REMEDY = (
    "Pass another journal_uri, on a local or shared disk or in an S3 store that honours If-None-Match, or "
    "journal_uri=None to keep jobs in memory only."
)


def probe(objects: ObjectStore) -> None:
    """Let threads race for the same objects; what they made is deleted.

    Raises:
        ConfigurationError: More than one won, or nobody did: a journal there would lose what was accepted.
        StoreError: The store did not answer, or refused.
    """
    if objects.root.startswith("memory:"):
        raise _refusal(objects, "ends with its process, and lets several creators of one object win")
    conclusive = 0
    for _ in range(_TRIES):
        conclusive += _race(objects)
        if conclusive == _ROUNDS:
            return
    raise _refusal(objects, "did not say who created an object")


def _race(objects: ObjectStore) -> bool:
    """Whether somebody won. After lost replies the winner may not know that it won, which is no fault."""
    key = f"probe/{secrets.token_hex(8)}"
    start = threading.Barrier(_RACERS)

    def run(racer: int) -> bool:
        start.wait()
        return objects.create(key, b"%d" % racer)

    try:
        with ThreadPoolExecutor(_RACERS, "checkmaite-probe") as threads:
            winners = [racer for racer, won in enumerate(threads.map(run, range(_RACERS))) if won]
        if len(winners) > 1:
            raise _refusal(objects, f"let {len(winners)} of {_RACERS} simultaneous creators of one object win")
        if objects.create(key, b"later"):
            raise _refusal(objects, "let an object be created that was there already")
        if winners and objects.read(key) != b"%d" % winners[0]:
            raise _refusal(objects, "kept another object than that of the creator who won")
    finally:
        objects.delete(key)
    return bool(winners)


def _refusal(objects: ObjectStore, what: str) -> ConfigurationError:
    return ConfigurationError(
        "The journal cannot be kept there.",
        [Problem("journal_uri", f"{objects.root} {what}, so accepted jobs could be lost.", _REMEDY)],
    )
