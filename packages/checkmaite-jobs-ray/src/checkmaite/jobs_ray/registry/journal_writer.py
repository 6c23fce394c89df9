"""The registry's journal: read when it begins, led from then on, and written without holding up its event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from checkmaite.jobs import (
    BackendUnavailableError,
    ConfigurationError,
    JobsError,
    Problem,
    StoreCorruptError,
    StoreError,
    StorePermissionError,
)
from checkmaite.jobs_ray.journal.format import segment_key
from checkmaite.jobs_ray.journal.inputs import INPUTS, all_kept_inputs
from checkmaite.jobs_ray.journal.leader import Leader, SupersededError
from checkmaite.jobs_ray.journal.logs import LOGS
from checkmaite.jobs_ray.journal.reading import read_journal
from checkmaite.jobs_ray.journal.replay import take_over
from checkmaite.jobs_ray.journal.schema import rows_of
from checkmaite.jobs_ray.journal.snapshot import snapshot_rows
from checkmaite.jobs_ray.journal.steps import Exists, Names, Pause, Steps
from checkmaite.jobs_ray.journal.storage import Journal
from checkmaite.jobs_ray.registry.model.events import Event
from checkmaite.jobs_ray.registry.model.job_table import JobTable
from checkmaite.jobs_ray.registry.storage import Storage
from checkmaite.jobs_ray.registry.walls import Walls

_log = logging.getLogger("checkmaite.jobs")
_AGAIN_S = 2.0
_LOOK_S = 0.25
_LED_S = 1.0
_SLOW_S = 2.0
"""A write that takes longer is told of."""
_WHOLE_LOCAL_S = 1.0
_WHOLE_S = 15.0
"""So long the journal is believed to be whole: a look costs two listings."""
_SWEEP_S = 24 * 3600.0
"""After so long it is swept again; first soon after the registry's start."""
_DYING_S = 15.0
"""A registry that led before may take so long to end with its cluster."""


class JournalWriter:
    """One registry's journal. All methods run on one event loop.

    Args:
        storage: Where it is.
        name: The registry's, for errors.
        address: Of the registry's cluster, for whoever meets its journal.
    """

    def __init__(self, storage: Storage, *, name: str, address: str) -> None:
        storage.paused = self._note_pause
        self._storage = storage
        self._name = name
        self._address = address
        self._trouble: StoreError | None = None
        self._journal: Journal | None = None
        self._is_writing = False
        self._writing_since = 0.0
        self._led_at = 0.0
        self._table = JobTable()
        self.walls = Walls(storage)
        self.logs_before: Sequence[str] = ()
        """Names in the folder of kept output, before this registry led the journal: a later leader's are not there."""
        self.inputs_before: Sequence[str] = ()
        """Likewise in the folder of what finished jobs were given."""
        self._snapshot: asyncio.Task[None] | None = None
        self._is_lost = False
        self._sweep_at = 0.0

    @property
    def storage(self) -> Storage:
        """Where it is."""
        return self._storage

    @property
    def trouble(self) -> str:
        """Why the journal cannot be written at the moment; empty when it can."""
        if self._trouble:
            return f"{self._storage.root} cannot be used now: {self._trouble}"
        waited_s = time.monotonic() - self._writing_since if self._is_writing else 0.0
        return f"{self._storage.root} has not answered for {waited_s:.0f} s" if waited_s > _SLOW_S else ""

    @property
    def is_refused(self) -> bool:
        """Whether what this opens the journal with, such as a token, is not accepted at the moment."""
        return isinstance(self._trouble, StorePermissionError)

    @property
    def epoch(self) -> int:
        """Larger than every number that an earlier leader of the journal has given away."""
        assert self._journal is not None, "it has been opened"
        return int(self._journal.leader.started_at * 1_000_000)

    async def open(self) -> JobTable:
        """Take the journal over; what it holds.

        Raises:
            ConfigurationError: It cannot be kept there, or a registry that lives leads it.
            StoreCorruptError: It is damaged.
            IncompatibleVersionError: It was written by a newer version.
        """
        while True:
            try:
                return await self._open()
            except StoreError as error:
                if not error.retryable:
                    raise self._refusal(error) from error
                self._trouble = error
                _log.warning("the journal of registry %s does not answer: %s", self._name, error)
                await asyncio.sleep(_AGAIN_S)

    async def write(self, events: Sequence[Event], *, are_all: bool) -> None:
        """Make events durable, however long that takes.

        Args:
            events: What happened.
            are_all: Whether the table shows these events, and none that come after them.

        Raises:
            BackendUnavailableError: Another registry leads the journal now.
        """
        journal = self._journal
        assert journal is not None, "it has been opened"
        rows = None
        steps = _appended(journal, events)
        if are_all and self._snapshot is None:
            if self._is_lost:
                steps = self._begin_anew(journal, events, snapshot_rows(self._table))
            elif journal.is_snapshot_due(len(self._table.records)):
                rows = snapshot_rows(self._table)
        self._is_writing, self._writing_since = True, time.monotonic()
        try:
            number = await self._storage.write(steps)
        except SupersededError as error:
            raise BackendUnavailableError(
                f"The registry {self._name!r} of this cluster keeps jobs no more: another one has taken over its "
                f"journal, {error.by or 'which is not known'}. Connect to the cluster of that one, or call "
                "configure_job_backend() again to take the journal back."
            ) from error
        finally:
            self._is_writing = False
        self._trouble = None
        self._led_at = time.monotonic()
        if rows is not None:
            self._snapshot = asyncio.get_running_loop().create_task(self._store(journal, number, rows))

    async def watch(self, prove: Callable[[], Awaitable[None]]) -> None:
        """See from time to time that nobody has deleted what the journal said; if so, have it begin anew.

        What registries that were killed have left of objects is deleted each day.

        Args:
            prove: Has something written: then the journal begins anew, with a snapshot of all that is known.
        """
        while True:
            await asyncio.sleep(_WHOLE_LOCAL_S if self._storage.is_local else _WHOLE_S)
            try:
                is_gone = await self._is_gone()
                await self.walls.keep()
                if is_gone:
                    await prove()
                await self._sweep()
            except JobsError as error:  # the next write meets the same, and says so
                _log.info("the journal of registry %s cannot be looked at: %s", self._name, error)

    async def seems_led(self) -> bool:
        """Whether nobody else seems to lead; it is looked up unless that was seen less than a second ago.

        Raises:
            StoreError: The journal cannot be read.
        """
        assert self._journal is not None, "it has been opened"
        if self._is_writing or time.monotonic() - self._led_at < _LED_S:
            return True
        looked_at = time.monotonic()
        taken = await self._storage.ask(Exists(segment_key(self._journal.tail + 1)))
        if not taken:
            self._led_at = looked_at
        return not taken

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _sweep(self) -> None:
        now = time.monotonic()
        if self._storage.is_local and now >= self._sweep_at:
            self._sweep_at = now + _SWEEP_S
            await self._storage.sweep()

    async def _is_gone(self) -> bool:
        journal = self._journal
        assert journal is not None, "it has been opened"
        if not self._is_lost and not await self._storage.run(journal.is_whole()):
            _log.error(
                "somebody has deleted part of the journal of registry %s in %s, or has put a copy in its place: it "
                "begins anew, with all that this registry knows",
                self._name,
                self._storage.root,
            )
            self._is_lost = True
        return self._is_lost

    def _begin_anew(self, journal: Journal, events: Sequence[Event], rows: Iterable[Any]) -> Steps[int]:
        """Write events, and all that is known with them, where what was before is lost: only both can be read."""
        all_rows = list(rows)
        yield from journal.renew()
        number = yield from _appended(journal, events)
        while True:
            try:
                yield from journal.snapshot(number, all_rows)
            except StoreError as error:
                yield Pause(_AGAIN_S, error)
            else:
                self._is_lost = False
                return number

    async def _open(self) -> JobTable:
        found = await self._storage.write(read_journal(self._storage.root))
        if found.leader is None:
            await self._storage.probe()
        else:
            await self._outlive(found.leader)
        self.logs_before = await self._storage.ask(Names(LOGS))
        self.inputs_before = await self._storage.ask(Names(INPUTS))
        kept = {job_id: each.payload for job_id, each in all_kept_inputs(self.inputs_before).items()}
        leader, storage = self._storage.leader(self._address), self._storage
        taken = take_over(storage.root, leader, storage.new_nonce, found, kept)
        self._journal, self._table = await storage.write(taken)
        await self.walls.load()  # now that no other registry can raise one that this one does not learn of
        self._trouble = None
        return self._table

    async def _outlive(self, before: Leader) -> None:
        """Wait for the registry that led before to end with its cluster.

        Raises:
            ConfigurationError: It does not.
        """
        deadline = time.monotonic() + _DYING_S
        while self._storage.is_running(before):
            if time.monotonic() > deadline:
                raise ConfigurationError(
                    f"The journal of the registry {self._name!r} cannot be taken over.",
                    [
                        Problem(
                            "journal_uri",
                            f"a registry that runs on this machine leads {self._storage.root}: {before}.",
                            "Connect to its cluster with address=..., end it, or choose another idempotency_scope.",
                        )
                    ],
                )
            await asyncio.sleep(_LOOK_S)

    async def _store(self, journal: Journal, number: int, rows: Iterable[Any]) -> None:
        try:
            await self._storage.run(journal.snapshot(number, rows))
            await self._storage.run(journal.prune())
        except JobsError as error:  # the journal is as good as before; another one follows
            _log.warning("a snapshot of registry %s was not stored: %s", self._name, error)
        finally:
            self._snapshot = None

    def _note_pause(self, pause: Pause) -> None:
        self._trouble = pause.cause
        _log.warning("the journal of registry %s does not answer: %s", self._name, pause.cause)

    def _refusal(self, error: StoreError) -> JobsError:
        """What a user is told whose journal cannot be opened."""
        if not isinstance(error, StoreCorruptError):
            return ConfigurationError(
                f"The journal of the registry {self._name!r} cannot be kept.",
                [
                    Problem(
                        "journal_uri",
                        str(error),
                        "Pass the journal_uri of a folder or bucket that the registry may write to, or "
                        "journal_uri=None to keep jobs in memory only.",
                    )
                ],
            )
        return error


def _appended(journal: Journal, events: Sequence[Event]) -> Steps[int]:
    """Add events to the journal. Their rows are made where the steps are carried out, not on the event loop."""
    return (yield from journal.append(rows_of(events)))
