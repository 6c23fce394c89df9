"""What a registry does with what clients ask: `JobRegistry` and `Shell.keep_payloads` in steps."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from checkmaite.jobs import BackpressureError, JobNotFoundError, JobsError, JobSubmissionError
from checkmaite.jobs.spi import JobQuery
from checkmaite.jobs_ray.wire import StoredPayload

from tests.ray_registry.sim_clients import Ask, Refused
from tests.ray_registry.sim_steps import keeping

if TYPE_CHECKING:
    from tests.ray_registry.sim_registry import SimRegistry

LARGE = b"large"
"""How payloads begin that are kept beside the journal."""


class Desk:
    """Where a registry's clients are answered."""

    def __init__(self, registry: SimRegistry) -> None:
        self._registry = registry

    def look_at(self, ask: Ask) -> None:
        """Begin to answer a client."""
        registry, machine = self._registry, self._registry.machine
        try:
            match ask.kind:
                case "submit":
                    self._submit(ask, {})
                case "cancel":
                    done = machine.cancel(ask.scope, ask.job_id, 5.0, registry.now)
                    registry.after()
                    self._tell(ask, done)
                case "get":
                    self._tell(ask, [machine.facts(ask.scope, ask.job_id)])
                case "list":
                    self._tell(ask, machine.list_jobs(ask.scope, JobQuery(limit=100)))
                case "changes":
                    changed, registry.changed = list(registry.changed), {}
                    records = [machine.table.records[each] for each in changed if each in machine.table.records]
                    self._tell(ask, [machine.table.facts(record) for record in records])
                case "offer":
                    machine.offer(ask.scope, ask.contexts[ask.job_id])
                    registry.after()
        except JobNotFoundError as error:
            self._refuse(ask, error)

    def _submit(self, ask: Ask, kept: Mapping[str, StoredPayload]) -> None:
        """Keep large payloads, until all that are needed are kept, then let the jobs in."""
        registry = self._registry
        large = [
            spec
            for spec, decision in zip(ask.specs, registry.machine.decide(ask.specs), strict=True)
            if decision.holder is None and spec.job_id not in kept and spec.payload.startswith(LARGE)
        ]
        if large:
            registry.run(
                "keep payloads",
                keeping(large, registry.around.new_nonce),
                lambda more: self._submit(ask, {**kept, **more}),
                partial(self._refuse, ask),
            )
        else:
            self._admit(ask, kept)

    def _admit(self, ask: Ask, kept: Mapping[str, StoredPayload]) -> None:
        registry, machine = self._registry, self._registry.machine
        specs = [spec._replace(payload=kept.get(spec.job_id, spec.payload)) for spec in ask.specs]
        try:
            admissions = machine.submit(specs, ask.contexts, registry.now)
        except (BackpressureError, JobSubmissionError) as error:
            registry.forget([each.key for each in kept.values()])
            self._refuse(ask, error)
            return
        new = {each.job_id for each in admissions if each.is_new}
        registry.forget([each.key for job_id, each in kept.items() if job_id not in new])
        facts = [machine.table.facts(machine.table.records[each.job_id]) for each in admissions]
        registry.after()
        self._tell(ask, facts)

    def _tell(self, ask: Ask, answer: Any) -> None:
        registry = self._registry
        registry.durable(partial(registry.around.answered, registry, ask, answer), partial(self._refuse, ask))

    def _refuse(self, ask: Ask, error: JobsError) -> None:
        self._registry.around.answered(self._registry, ask, Refused(error))
