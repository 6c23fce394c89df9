"""The scopes of a cluster and of the journals beside it, without becoming a client of any."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

from checkmaite.jobs import JobsError, ScopeSummary
from checkmaite.jobs.spi import ObjectStore, StoreSpec
from checkmaite.jobs_ray.client.cluster import Calls
from checkmaite.jobs_ray.client.history import table_in
from checkmaite.jobs_ray.cluster import actor_names, find
from checkmaite.jobs_ray.config import RayOptions
from checkmaite.jobs_ray.journal.location import JournalLocation
from checkmaite.jobs_ray.journal.walls import walled_scopes
from checkmaite.jobs_ray.wire import ScopeFacts
from checkmaite.jobs_ray_simple.cluster import connect

_log = logging.getLogger("checkmaite.jobs")
_CONTROLLER = re.compile(r"(.+)-controller-\d+")


def read_scopes(options: RayOptions, store: StoreSpec) -> list[ScopeSummary]:
    """See `checkmaite.jobs.list_scopes`."""
    found = _of_cluster(options) if options.address not in (None, "local") else []
    alive = {each.registry for each in found}
    found += _of_journals(options, store, alive)
    return sorted(found, key=lambda each: (each.scope, each.registry))


def registries_of(namespace: str) -> list[str]:
    """Names of the registries in a namespace, by those of all actors there."""
    names = actor_names(namespace)
    pools = {pool[1] for name in names if (pool := _CONTROLLER.fullmatch(name))}
    return sorted(name for name in names if name in pools)


def calls_to(registry: str, namespace: str) -> Calls:
    """Calls to a registry that is there; it is not made."""

    def found() -> Any:
        actor = find(registry, namespace)
        if actor is None:
            raise ConnectionError("it has ended")
        return actor

    return Calls(registry, found)


def _of_cluster(options: RayOptions) -> list[ScopeSummary]:
    connection = connect(options, live_jobs=lambda: 0)
    try:
        found = []
        for registry in registries_of(options.registry_namespace):
            calls = calls_to(registry, options.registry_namespace)
            try:
                node, scopes = calls.ask("scopes", timeout_s=options.registry_update_timeout_s)
            except JobsError as error:  # one that hangs must not hide the others; its journal tells of it
                _log.warning("%s", error)
                continue
            found += [_summary(each, registry, node) for each in scopes]
        return found
    finally:
        connection.release()


def _of_journals(options: RayOptions, store: StoreSpec, alive: Collection[str]) -> list[ScopeSummary]:
    """The scopes of the registries that have a journal here and are not alive.

    Raises:
        StoreError: A journal cannot be read, or is damaged.
    """
    location = JournalLocation.of(options, store)
    if location is None:
        return []
    found = []
    for registry in location.registries(options.registry_namespace):
        if registry not in alive:
            objects = location.objects(options.registry_namespace, registry)
            found += [_summary(each, registry, None) for each in _kept_in(objects)]
    return found


def _kept_in(objects: ObjectStore) -> list[ScopeFacts]:
    return table_in(objects).summaries(walled_scopes(objects))


def _summary(facts: ScopeFacts, registry: str, node: str | None) -> ScopeSummary:
    return ScopeSummary(
        scope=facts.scope,
        registry=registry,
        is_alive=node is not None,
        node=node,
        has_key=facts.has_key,
        jobs=facts.jobs,
        last_activity_at=None if facts.last_at is None else datetime.fromtimestamp(facts.last_at, UTC),
    )
