"""The contexts of live jobs: where their results go and how their workers are prepared."""

from __future__ import annotations

from checkmaite.jobs_ray.registry.model.contexts import redacted_context, whole_context
from checkmaite.jobs_ray.registry.model.events import Introduced
from checkmaite.jobs_ray.registry.model.job_table import JobTable
from checkmaite.jobs_ray.wire import Context


class KnownContexts:
    """Contexts by id. The table has them redacted; their secrets are here alone, gone with this process.

    Args:
        table: The jobs.
    """

    def __init__(self, table: JobTable) -> None:
        self._table = table
        self._known: dict[str, Context] = {}
        self._offered: set[str] = set()
        for name, redacted in table.redacted_contexts.items():
            if (whole := whole_context(redacted, None)) is not None:
                self._known[name] = whole

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def __getitem__(self, name: str) -> Context:
        return self._known[name]

    def all(self) -> list[Context]:
        """All that are known."""
        return list(self._known.values())

    def introduce(self, name: str, context: Context) -> None:
        """Get to know a context, before a job that has it."""
        if name not in self._table.redacted_contexts:
            self._table.apply(Introduced(name, redacted_context(context)))
        self._known.setdefault(name, context)

    def offer(self, scope: str, context: Context) -> None:
        """Complete the scope's contexts of which the journal has kept the redacted form alone, where this one fits.

        Of several offers the last one counts: the secrets of an earlier one may have expired.
        """
        lacking = [
            name
            for name, _ in self._table.redacted_contexts.items()
            if name not in self._known or name in self._offered
        ]
        if not lacking or scope not in self._table.scopes:
            return
        records, live = self._table.records, self._table.scopes[scope].live.values()
        of_scope = {records[job_id].spec.context for job_id in live}
        for name in of_scope.intersection(lacking):
            if (whole := whole_context(self._table.redacted_contexts[name], context)) is not None:
                self._known[name] = whole
                self._offered.add(name)

    def sweep(self) -> None:
        """Forget the contexts that no live job has: their secrets, and what keeps the code that they name."""
        for name in [each for each in self._known if not self._table.redacted_contexts.is_used(each)]:
            del self._known[name]
            self._offered.discard(name)
