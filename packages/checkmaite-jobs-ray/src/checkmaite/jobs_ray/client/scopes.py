"""The scopes of a cluster and of the journals beside it, without becoming a client of any."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from datetime import UTC, datetime

from checkmaite.jobs import JobsError, ScopeSummary, StoreError
from checkmaite.jobs.spi import ObjectStore, StoreSpec
from checkmaite.jobs_ray.client.history import table_in
from checkmaite.jobs_ray.client.registries import calls_to, registries_of
from checkmaite.jobs_ray.config import RayOptions
from checkmaite.jobs_ray.journal.location import JournalLocation
from checkmaite.jobs_ray.journal.walls import walled_scopes
from checkmaite.jobs_ray.wire import ScopeFacts
from checkmaite.jobs_ray_simple.cluster import connect


def read_scopes(options: RayOptions, store: StoreSpec) -> list[ScopeSummary]:
    """See `checkmaite.jobs.list_scopes`."""
    found = _of_cluster(options) if options.address not in (None, "local") else []
    alive = {each.registry for each in found}
    found += _of_journals(options, store, alive)
    return sorted(found, key=lambda each: (each.scope, each.registry))


def _of_cluster(options: RayOptions) -> list[ScopeSummary]:
    connection = connect(options, live_jobs=lambda: 0)
    try:
        found = []
        for registry in registries_of(options.registry_namespace):
            calls = calls_to(registry, options.registry_namespace)
            try:
                node, scopes = calls.ask("scopes", timeout_s=options.registry_update_timeout_s)
            except JobsError as error:  # one that hangs must not hide the others, and its journal tells of it
                warnings.warn(str(error), stacklevel=4)
                continue
            found += [_summary(each, registry, node) for each in scopes]
        return found
    finally:
        connection.release()


def _of_journals(options: RayOptions, store: StoreSpec, alive: Collection[str]) -> list[ScopeSummary]:
    """The scopes of the registries that have a journal here and are not alive."""
    location = JournalLocation.of(options, store)
    if location is None:
        return []
    found = []
    for registry in location.registries(options.registry_namespace):
        if registry not in alive:
            try:
                kept = _kept_in(location.objects(options.registry_namespace, registry))
            except StoreError as error:  # a damaged one must not hide the others
                warnings.warn(f"The scopes of the registry {registry!r} are left out: {error}", stacklevel=4)
                continue
            found += [_summary(each, registry, None) for each in kept]
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
