"""What jobs have printed: kept beside the journal where there is one, else as their controllers remember it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from checkmaite.jobs_ray.config import RegistrySettings
from checkmaite.jobs_ray.registry.cluster import Cluster
from checkmaite.jobs_ray.registry.journal_writer import JournalWriter
from checkmaite.jobs_ray.registry.log_keeper import LogKeeper, Lost
from checkmaite.jobs_ray.registry.model.events import Event
from checkmaite.jobs_ray.registry.model.machine import RegistryMachine
from checkmaite.jobs_ray.registry.session import ControllerSession

_LOOKS = 5
_LOOK_AGAIN_S = 1.0


class JobOutput:
    """The output of one registry's jobs.

    Args:
        settings: The registry's.
        machine: The registry's.
        cluster: Where workers leave what they have not told.
        sessions: With the controllers, by their names.
        journal_writer: Of the journal beside which it is kept; None where there is none.
    """

    def __init__(
        self,
        settings: RegistrySettings,
        machine: RegistryMachine,
        cluster: Cluster,
        sessions: Mapping[str, ControllerSession],
        journal_writer: JournalWriter | None,
    ) -> None:
        self._machine = machine
        self._cluster = cluster
        self._sessions = sessions
        self._since = machine.table.latest_date() - settings.controller_retention_s
        self._keeper = None
        if journal_writer is not None:
            self._keeper = LogKeeper(
                journal_writer.storage,
                journal_writer.logs_before,
                keeps_all=settings.keep_logs == "all",
                most_bytes=settings.max_kept_log_bytes,
                fetch=self._printed,
                records=machine.table.records,
                look_for=self._look_for,
            )

    async def of(self, job_id: str) -> str | None:
        """What a job has printed; None when it is kept no more.

        Raises:
            StoreError: It is kept, and cannot be read.
        """
        return await (self._keeper.read(job_id) if self._keeper else self._printed(job_id))

    def note(self, events: Sequence[Event]) -> Mapping[str, asyncio.Task[None]]:
        """See `LogKeeper.note`."""
        return self._keeper.note(events) if self._keeper else {}

    async def watch(self, gathered: asyncio.Task[None]) -> None:
        """Keep what jobs print while they run, and, once controllers are `gathered`, what nobody got to keep before."""
        if self._keeper is not None:
            await asyncio.shield(gathered)
            self._keeper.catch_up(self._machine.table.records.values(), self._since)
            await self._keeper.watch()

    # -- inside -------------------------------------------------------------------------------------------------------

    async def _printed(self, job_id: str) -> str | None:
        """A job's output, as its controller remembers it; None when it does not, or is not there."""
        record = self._machine.table.records.get(job_id)
        session = self._sessions.get(record.controller or "") if record else None
        return None if session is None else await session.logs(job_id)

    def _look_for(self, job_id: str) -> Lost | None:
        """Have the output of a job looked for on its worker's node: the controller's death ends the worker."""
        record = self._machine.table.records.get(job_id)
        if record is None or record.started is None:
            return None
        node, runtime_env = record.started.node, self._machine.runtime_env_of(record.spec)

        async def found() -> str | None:
            for _ in range(_LOOKS):
                left = await self._cluster.left_output(job_id, node, runtime_env)
                if left is not None:
                    return left.printed.text
                await asyncio.sleep(_LOOK_AGAIN_S)
            return None

        return record.attempt, found()
