"""What a journal says has happened, while it is read: records only, which are filed once when all is known."""

from __future__ import annotations

from collections.abc import Iterable

from checkmaite.jobs_ray._machine._events import (
    Adopted,
    Ended,
    Event,
    Forgotten,
    GivenTo,
    Introduced,
    Resumed,
    Submitted,
)
from checkmaite.jobs_ray._machine._record import Finished, Owner, Record
from checkmaite.jobs_ray._machine._shapes import Shapes
from checkmaite.jobs_ray._machine._transitions import accepted, after


class Past:
    """The records that rows and events make, in order.

    Attributes:
        records: Every job by its id: those that are final in the order in which they became so, those that live in
            that in which they were accepted.
        shapes: The contexts of live jobs.
        last_at: When the last of the forgotten jobs was accepted.
        last_token: The largest token of a lease that an event has named.
    """

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.shapes = Shapes()
        self.last_at = 0.0
        self.last_token = 0

    def restore(self, records: Iterable[Record]) -> None:
        """Take in records as they were."""
        for record in records:
            draft = record.draft
            self.records[draft.job_id] = record
            if not isinstance(record.state, Finished):
                self.shapes.use(draft.context)

    def apply(self, event: Event) -> None:
        """Change what the event says.

        Raises:
            KeyError, AssertionError: It cannot follow those before it.
        """
        records = self.records
        match event:
            case Introduced():
                self.shapes.introduce(event.context, event.shape)
            case Submitted():
                self.restore([accepted(event)])
            case Ended():
                record = records.pop(event.job_id)
                records[event.job_id] = after(record, event)
                self.shapes.drop(record.draft.context)
            case Adopted() if event.job_id not in records:
                self.restore([accepted(event)])
                self._note_token(event.owner)
            case Forgotten():
                record = records.pop(event.job_id)
                assert not record.is_live, f"{event.job_id} was forgotten while it was live"
                self.last_at = max(self.last_at, record.created_at)
            case _:
                records[event.job_id] = after(records[event.job_id], event)
                if isinstance(event, GivenTo | Resumed | Adopted):
                    self._note_token(event.owner)

    def _note_token(self, owner: Owner) -> None:
        self.last_token = max(self.last_token, owner.token)
