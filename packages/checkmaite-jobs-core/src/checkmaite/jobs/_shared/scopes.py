"""What is known of a scope as a whole: whoever configures it shares its jobs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import field, frozen
from checkmaite.jobs._shared.status import JobStatus


@frozen(kw_only=True)
class ScopeSummary:
    """One scope of a cluster, or of a journal.

    Attributes:
        scope: Its ``idempotency_scope``.
        registry: Name of the registry that keeps its jobs; several scopes may share one.
        is_alive: Whether that registry answers on the cluster; False where its journal alone was read.
        node: Host that the registry is on, while it is alive.
        has_key: Whether it has a ``scope_key``: nothing more is told of its jobs then.
        jobs: How many jobs are listed, by status; without those that are none.
        last_activity_at: When a job was accepted, began or ended last (UTC); None where there is none, and of a scope
            that has a key.
    """

    scope: str
    registry: str
    is_alive: bool
    node: str | None = None
    has_key: bool = False
    jobs: Mapping[JobStatus, int] = field(factory=dict)
    last_activity_at: datetime | None = None
