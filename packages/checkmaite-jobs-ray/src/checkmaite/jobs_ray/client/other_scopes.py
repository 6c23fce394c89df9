"""The jobs of the other scopes of a cluster, for who looks after all of them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

from checkmaite.jobs import Job, JobsError
from checkmaite.jobs.spi import JobQuery
from checkmaite.jobs_ray.client.again import ContextsHere
from checkmaite.jobs_ray.client.job import RayJob
from checkmaite.jobs_ray.client.registries import calls_to, registries_of
from checkmaite.jobs_ray.client.scope_client import ScopeClient
from checkmaite.jobs_ray.client.subscription import Subscription
from checkmaite.jobs_ray.config import RayOptions


class OtherScopes:
    """What this process knows of scopes that it does not submit to; of one that has a key, nothing.

    Args:
        options: Of the backend.
        contexts: Those of this process, for jobs that it has run again.
        idle: Called when the last live job of one of them is final.
    """

    def __init__(self, options: RayOptions, contexts: ContextsHere, idle: Callable[[], object]) -> None:
        self._options = options
        self._contexts = contexts
        self._idle = idle
        self._clients: dict[tuple[str, str], ScopeClient] = {}

    def list_jobs(self, query: JobQuery) -> list[Job]:
        """The jobs that match; those of a registry that does not answer are left out, with a warning."""
        options, found = self._options, list[Job]()
        for registry in registries_of(options.registry_namespace):
            try:
                _, scopes = calls_to(registry, options.registry_namespace).ask(
                    "scopes", timeout_s=options.registry_update_timeout_s
                )
                for each in scopes:
                    is_own = (registry, each.scope) == (options.registry_name, options.idempotency_scope)
                    if not (each.has_key or is_own):
                        client = self._client(registry, each.scope)
                        found += client.followed("list_jobs", each.scope, query)
            except JobsError as error:
                warnings.warn(f"The jobs of the registry {registry!r} are left out: {error}", stacklevel=4)
        return found

    def live(self) -> Iterator[RayJob]:
        """A handle of each job that is not final."""
        for each in list(self._clients.values()):
            yield from each.subscription.live()

    def fall_silent(self) -> None:
        """See `Subscription.fall_silent`."""
        for each in list(self._clients.values()):
            each.subscription.fall_silent()

    def close(self, why: str) -> None:
        """See `Subscription.close`."""
        for each in list(self._clients.values()):
            each.subscription.close(why)

    def _client(self, registry: str, scope: str) -> ScopeClient:
        known = self._clients.get((registry, scope))
        if known is None:
            patience_s = self._options.registry_update_timeout_s
            calls = calls_to(registry, self._options.registry_namespace)
            subscription = Subscription(calls, scope, None, patience_s=patience_s, idle=self._idle)
            home = f"'ray' with idempotency_scope={scope!r} and registry_actor_name={registry!r}"
            known = ScopeClient(
                scope,
                calls,
                subscription,
                None,
                home,
                contexts=self._contexts,
                payload_key=self._options.payload_key,
                timeout_s=patience_s,
            )
            self._clients[registry, scope] = known
        return known
