"""Several jobs: a list that shows itself as one table, and follows its jobs where the front end allows."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, SupportsIndex, overload

from checkmaite.jobs._shared.job_info import JobInfo
from checkmaite.jobs._shared.job_protocols import Job
from checkmaite.jobs._submitters.front_end import Bundle, Shown, bundle_of, in_notebook, show
from checkmaite.jobs._submitters.rendering import jobs_html, jobs_text

_REDRAW_S = 1.0


def known_of(jobs: Iterable[Job]) -> list[JobInfo]:
    """The facts of jobs; those that this process has anyway, where a handle can say so."""
    return [getattr(job, "known", None) or job.info for job in jobs]


class JobList(list[Job]):
    """A list of jobs. As the last line of a notebook's cell it is a table, which follows the jobs until all are final.

    It is a list in everything else; a slice of it, and a sum, is one like it.
    """

    @overload
    def __getitem__(self, place: SupportsIndex) -> Job: ...
    @overload
    def __getitem__(self, place: slice) -> JobList: ...
    def __getitem__(self, place: SupportsIndex | slice) -> Job | JobList:
        found = super().__getitem__(place)
        return JobList(found) if isinstance(found, list) else found

    def __add__(self, other: Sequence[Job]) -> JobList:  # type: ignore[override]
        return JobList([*self, *other])

    def __repr__(self) -> str:
        return jobs_text(known_of(self), datetime.now(UTC))

    def _repr_html_(self) -> str:
        return jobs_html(known_of(self), datetime.now(UTC))

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """The table as it is now, for front ends that ask for all forms at once."""
        return dict(self._bundle())

    def _ipython_display_(self) -> None:
        """Show the table, and keep it up to date from a thread while jobs are not final.

        Raises:
            NotImplementedError: There is no notebook; IPython then asks for the forms above.
        """
        if not in_notebook():
            raise NotImplementedError
        bundle = self._bundle()
        shown = show(bundle)
        if not self._is_over():
            follower = threading.Thread(
                target=self._follow, args=(shown, bundle), name="checkmaite-notebook", daemon=True
            )
            follower.start()

    def _bundle(self) -> Bundle:
        known, now = known_of(self), datetime.now(UTC)
        return bundle_of(jobs_html(known, now), jobs_text(known, now))

    def _is_over(self) -> bool:
        return all(job.status.is_final for job in self)

    def _follow(self, shown: Shown, before: Bundle) -> None:
        ended = threading.Event()

        def note(_: Any) -> None:
            ended.set()

        for job in self:
            job.add_done_callback(note)
        is_over = False
        while not is_over:
            ended.wait(_REDRAW_S)
            ended.clear()
            is_over = self._is_over()
            now = self._bundle()
            if now != before:
                shown.update(now, raw=True)
                before = now
