"""The contexts of live jobs: where their results go and how their workers are prepared."""

from __future__ import annotations

from checkmaite.jobs_ray._machine._book import JobBook
from checkmaite.jobs_ray._machine._contexts import context_of, shape_of
from checkmaite.jobs_ray._machine._events import Introduced
from checkmaite.jobs_ray._messages import Context


class Environments:
    """Contexts by id. The book knows their shapes; their secrets are here alone, and gone with this process.

    Args:
        book: The jobs.
    """

    def __init__(self, book: JobBook) -> None:
        self._book = book
        self._known: dict[str, Context] = {}
        self._offered: set[str] = set()
        for name, shape in book.shapes.items():
            if (whole := context_of(shape, None)) is not None:
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
        if name not in self._book.shapes:
            self._book.apply(Introduced(name, shape_of(context)))
        self._known.setdefault(name, context)

    def offer(self, scope: str, context: Context) -> None:
        """Complete the scope's contexts of which the journal has kept the shape alone, where this one fits.

        Of several offers the last one counts: the secrets of an earlier one may have expired.
        """
        lacking = [name for name, _ in self._book.shapes.items() if name not in self._known or name in self._offered]
        if not lacking or scope not in self._book.scopes:
            return
        records, live = self._book.records, self._book.scopes[scope].live.values()
        of_scope = {records[job_id].draft.context for job_id in live}
        for name in of_scope.intersection(lacking):
            if (whole := context_of(self._book.shapes[name], context)) is not None:
                self._known[name] = whole
                self._offered.add(name)

    def placeable(self) -> dict[str, None]:
        """The waiting jobs whose contexts are known, oldest first."""
        waiting, records = self._book.waiting, self._book.records
        if all(name in self._known for name, _ in self._book.shapes.items()):
            return waiting
        return {job_id: None for job_id in waiting if records[job_id].draft.context in self._known}

    def sweep(self) -> None:
        """Forget the contexts that no live job has."""
        for name in [each for each in self._known if each not in self._book.shapes]:
            del self._known[name]
            self._offered.discard(name)
