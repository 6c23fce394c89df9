"""What the journal's tests are made of: leaders, nonces, headers, and a journal led and read."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs_ray.journal.format import Header, Kind
from checkmaite.jobs_ray.journal.leader import Leader
from checkmaite.jobs_ray.journal.reading import Found, read_journal
from checkmaite.jobs_ray.journal.runner import perform
from checkmaite.jobs_ray.journal.storage import Journal, lead


def leader(name: str = "one") -> Leader:
    return Leader(id=name, host="host", boot_id="", pid=7, started_at=1.5, where="cluster")


def counter(prefix: str = "n") -> Callable[[], str]:
    numbers = itertools.count()
    return lambda: f"{prefix}{next(numbers)}"


def header(kind: Kind = Kind.SEGMENT, number: int = 7, **changed: Any) -> Header:
    return Header(**{"kind": kind, "number": number, "leader": "one", "fence": 1, "nonce": "n", **changed})


def led(objects: ObjectStore, name: str = "one") -> tuple[Journal, Found]:
    return perform(lead(objects.root, leader(name), counter(name)), objects)


def found(objects: ObjectStore) -> Found:
    return perform(read_journal(objects.root), objects)


def rows_of(journal: Found) -> list[Any]:
    """All rows, those of the snapshot first."""
    return [*journal.snapshot_rows(), *itertools.chain.from_iterable(each.rows() for each in journal.segments())]
