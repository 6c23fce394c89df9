"""``"ray"``: jobs that a registry on the cluster keeps, so that clients share them and they outlive clients."""

from __future__ import annotations

import secrets
import threading
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any, ClassVar

from checkmaite.jobs import (
    AnalyticsStore,
    BackendUnavailableError,
    ConfigurationError,
    Job,
    JobsError,
    JobSubmissionError,
    Reuse,
    ScopeSummary,
    UnconfirmedError,
)
from checkmaite.jobs.spi import (
    BackendContext,
    Code,
    Deadline,
    HookReport,
    JobQuery,
    Metric,
    PreparedSubmission,
    ResourceUse,
    Terms,
    labels_for,
    new_job_id,
    open_store,
    terms_of,
)
from checkmaite.jobs_ray.client.again import ContextsHere
from checkmaite.jobs_ray.client.cluster import Calls, create_cleanly, runtime_env_here
from checkmaite.jobs_ray.client.other_scopes import OtherScopes
from checkmaite.jobs_ray.client.payload_limits import refuse_large
from checkmaite.jobs_ray.client.scope_client import ScopeClient
from checkmaite.jobs_ray.client.subscription import Subscription
from checkmaite.jobs_ray.client.unconfirmed import Unconfirmed
from checkmaite.jobs_ray.cluster import find, get_or_create, withdraw_unplaced
from checkmaite.jobs_ray.config import RayOptions, RayRunOptions, RegistrySettings
from checkmaite.jobs_ray.handshake import client_hello
from checkmaite.jobs_ray.journal.location import JournalLocation
from checkmaite.jobs_ray.journal.walls import proof_of
from checkmaite.jobs_ray.names import controller_name
from checkmaite.jobs_ray.wire import Basis, Context, JobSpec, Order, Policy
from checkmaite.jobs_ray_simple.cluster import Connection, carried, code_here, connect, dumps, occupancy, payloads

_IN_MEMORY = (
    "The jobs of scope {scope!r} are kept in memory only: they are forgotten when the registry or its cluster ends. "
    "Pass journal_uri, a folder or URL that outlives the cluster, to keep them."
)
_CANCEL_WAIT_S = 10.0
_HOOKS_S = 5.0
"""What hooks have to be told of the last jobs, where this process's Ray ends."""
_START_S = 10.0
"""What the start of the registry's process may take of the time that it has to answer for the first time."""
_MOST_CONTEXTS = 256


def _import_actors() -> None:
    """Import what a new registry needs of this process. While Ray starts, this process mostly waits."""
    import checkmaite.jobs_ray.registry.actor  # noqa: F401


@lru_cache(maxsize=64)
def _once(policy: Policy) -> Policy:
    """The same object for equal ones: what many jobs have in common travels once."""
    return policy


class RayBackend:
    """Runs jobs on a Ray cluster through a registry that every client of the scope shares."""

    config_type: ClassVar[type[RayOptions]] = RayOptions
    run_options_type: ClassVar[type[RayRunOptions]] = RayRunOptions
    name = "ray"
    dumps = staticmethod(dumps)

    def __init__(self, options: RayOptions, context: BackendContext) -> None:
        options.check_payload_key()
        self._options = options
        hooks = {each.name: dict(each.options) for each in context.hooks}
        self._asked = {**options.asked, **({"hooks": hooks} if hooks else {})}
        self.default_reuse = options.reuse
        self._scope = options.idempotency_scope
        home = f"{self.name!r} with idempotency_scope={self._scope!r} and address={options.address!r}"
        self._proof = proof_of(options)
        self._store_spec = context.store
        self._store = open_store(context.store)
        self._journal = JournalLocation.of(options, context.store)
        self._closed = False
        self._contexts: dict[bytes, tuple[str, Context]] = {}
        self._unconfirmed = Unconfirmed()
        threading.Thread(target=_import_actors, name="checkmaite-imports", daemon=True).start()
        self._connection: Connection = connect(options, live_jobs=self._would_be_lost, fall_silent=self._fall_silent)
        self._calls = Calls(options.registry_name, self._find_registry)
        try:
            self._runtime_env = runtime_env_here()
            here = Context(Terms(store=context.store, facts={}), self._runtime_env)
            contexts = ContextsHere(here)
            self._others = OtherScopes(options, contexts, self._release_when_idle)
            patience_s = options.registry_update_timeout_s
            self._subscription = Subscription(
                self._calls, self._scope, here, self._proof, patience_s=patience_s, idle=self._release_when_idle
            )
            self._own = ScopeClient(
                self._scope,
                self._calls,
                self._subscription,
                self._proof,
                home,
                contexts=contexts,
                payload_key=options.payload_key,
                timeout_s=patience_s,
            )
            is_kept = self._handshake()
            self._own.ask("offer", self._scope, here)
        except BaseException:
            self._connection.release()
            raise
        if not is_kept:
            warnings.warn(_IN_MEMORY.format(scope=self._scope), stacklevel=3)

    @classmethod
    def read_history(cls, options: RayOptions, context: BackendContext) -> Any:
        """The jobs of a scope as a table; see `checkmaite.jobs.read_job_history`."""
        from checkmaite.jobs_ray.client.history import read_history

        return read_history(options, context.store)

    @classmethod
    def read_logs(cls, options: RayOptions, context: BackendContext, job_id: str) -> str:
        """What a job has printed, as it is kept; see `checkmaite.jobs.read_job_logs`."""
        from checkmaite.jobs_ray.client.history import read_kept_log

        return read_kept_log(options, context.store, job_id)

    @classmethod
    def read_scopes(cls, options: RayOptions, context: BackendContext) -> list[ScopeSummary]:
        """The scopes of a cluster, and of journals that are no cluster's; see `checkmaite.jobs.list_scopes`."""
        from checkmaite.jobs_ray.client.scopes import read_scopes

        return read_scopes(options, context.store)

    def __repr__(self) -> str:
        where = f"scope {self._scope!r} at address {self._options.address!r}"
        return f"<JobBackend {self.name!r}, {where}, store {self._store.uri}>"

    @property
    def analytics_store(self) -> AnalyticsStore:
        """The store that jobs write to."""
        return self._store

    def submit(self, submissions: Sequence[PreparedSubmission]) -> list[Job]:
        """Have the registry accept all of them; see `JobBackend.submit`.

        Raises:
            BackpressureError: The registry is full; nothing was accepted.
            JobSubmissionError: The batch is too large for it at any time; nothing was accepted.
            BackendUnavailableError: The registry cannot accept anything now; nothing was accepted.
            UnconfirmedError: The registry did not say in time whether they are accepted; made again, they are the same
                jobs.
        """
        if self._closed:
            raise JobSubmissionError("This ray backend was shut down; configure one again.", phase="connect")
        pickled = payloads(submissions)
        refuse_large(pickled, self._options.max_payload_bytes)
        contexts: dict[str, Context] = {}
        code = code_here()
        ids = self._unconfirmed.ids_for(submissions)
        specs = [
            self._spec(each, payload, code, contexts, job_id)
            for each, payload, job_id in zip(submissions, pickled, ids, strict=True)
        ]
        try:
            jobs = self._own.followed("submit", specs, contexts, job_ids=ids)
        except UnconfirmedError:
            self._unconfirmed.note(specs)
            raise
        self._unconfirmed.settle(specs)
        return jobs

    def plan(self, submissions: Sequence[PreparedSubmission]) -> list[Reuse | None]:
        """What the registry would decide about each; see `PlansReuse`.

        Raises:
            BackendUnavailableError: The registry did not answer.
        """
        code = code_here()
        specs = [self._spec(each, b"", code, {}, new_job_id())._replace(order=()) for each in submissions]
        found: list[Reuse | None] = self._own.ask("plan", specs)
        return found

    def get_job(self, job_id: str) -> Job:
        """A job of the scope, whoever submitted it; see `JobBackend.get_job`."""
        known = self._subscription.handle(job_id)
        return known or self._own.followed("get", self._scope, job_id)[0]

    def list_jobs(self, query: JobQuery) -> list[Job]:
        """Jobs of the scope that match, whoever submitted them, newest first; see `JobQuery` for those of others."""
        found = self._own.followed("list_jobs", self._scope, query)
        if not query.all_scopes:
            return found
        every = [*found, *self._others.list_jobs(query)]
        return sorted(every, key=lambda job: job.created_at, reverse=True)[: query.limit]

    def occupancy(self) -> Sequence[ResourceUse]:
        """See `TellsOccupancy`; nothing once Ray has ended."""
        return occupancy() if self._connection.is_alive() else ()

    def metrics(self) -> Sequence[Metric]:
        """See `TellsMetrics`.

        Raises:
            BackendUnavailableError: The registry does not answer.
        """
        found: list[Metric] = self._own.ask("metrics", self._scope)
        return found

    def hook_reports(self) -> Sequence[HookReport]:
        """See `TellsHooks`.

        Raises:
            BackendUnavailableError: The registry, or the process of its hooks, does not answer.
        """
        found: list[HookReport] = self._own.ask("hook_reports", self._scope)
        return found

    def hand_over(self) -> None:
        """Accept nothing more; jobs go on, and handles given out before stay up to date."""
        self._closed = True
        self._release_when_idle()

    def shutdown(self, *, wait: bool = True) -> None:
        """Stop using the registry. Jobs on a cluster go on without this process.

        Jobs on a Ray of this process's own end with it, so they are waited for; or cancelled, if that Ray ends now.
        """
        self._closed = True
        connection = self._connection
        if connection.ends_with_process and (wait or connection.ends_with_its_users):
            jobs = self._subscription.live()
            if not wait:
                for job in jobs:
                    job.cancel(grace=0)
            deadline = Deadline.after(None if wait else _CANCEL_WAIT_S)
            for job in jobs:
                job.wait(deadline.remaining_s())
            if wait and "hooks" in self._asked:
                self._settle_hooks()
        for each in (self._subscription, self._others):
            each.close("this process has shut its job backend down; the job itself goes on where a cluster runs it")
        self._connection.release()

    # -- inside -------------------------------------------------------------------------------------------------------

    def _settle_hooks(self) -> None:
        """Let hooks be told of the last jobs before their Ray ends."""
        with suppress(JobsError):
            self._own.ask("settle_hooks", self._scope, _HOOKS_S)

    def _find_registry(self) -> Any:
        options = self._options
        named = {"name": options.registry_name, "namespace": options.registry_namespace}
        found = find(**named)
        if found is not None:
            return found
        from checkmaite.jobs_ray.registry.actor import JobRegistry

        actor: dict[str, Any] = {
            **named,
            "settings": {
                **RegistrySettings(**self._asked).wire(),
                **named,
                "journal": self._journal.to_text() if self._journal else None,
                "journal_uri": self._journal.uri if self._journal else None,
                "where": self._connection.address,
            },
            "num_cpus": options.registry_num_cpus,
            "memory": options.registry_memory,
            "resources": options.registry_resources,
        }
        if self._runtime_env:
            told = {"actor_class": f"{JobRegistry.__module__}:{JobRegistry.__name__}", **actor}
            create_cleanly(self._connection.address, told, timeout_s=options.registry_startup_timeout_s)
            return get_or_create(JobRegistry, **actor)
        made = get_or_create(JobRegistry, **actor)
        if self._connection.ends_with_process:
            self._make_controllers()
        return made

    def _make_controllers(self) -> None:
        """Make the controllers of a registry that has just been made, beside it instead of after it.

        Only on a Ray of this process's own, where no other client may have made the registry with other settings.
        """
        from checkmaite.jobs_ray.registry.cluster import Cluster

        options = self._options
        settings = RegistrySettings(**options.asked)
        cluster = Cluster(options.registry_namespace, settings)
        for number in range(settings.controller_pool_size):
            cluster.controller(controller_name(options.registry_name, number))

    def _handshake(self) -> bool:
        """Agree with the registry; whether it keeps a journal."""
        timeout_s = self._options.registry_startup_timeout_s
        patience_s = max(timeout_s / 2, timeout_s - _START_S)
        said = client_hello(self._asked, patience_s=patience_s, scope=self._scope, proof=self._proof)
        try:
            return self._calls.ask("hello", said, timeout_s=timeout_s)["journal_uri"] is not None
        except BackendUnavailableError as error:
            options = self._options
            if withdraw_unplaced(options.registry_name, options.registry_namespace):
                raise ConfigurationError(
                    f"The registry {options.registry_name!r} found no node within {timeout_s:g} s: none has what "
                    "registry_num_cpus, registry_memory and registry_resources ask for. It was withdrawn; change these "
                    "options, or start a node that has it."
                ) from error
            raise ConfigurationError(f"{error} registry_startup_timeout_s bounds this first call.") from error

    def _spec(
        self, prepared: PreparedSubmission, payload: bytes, code: Code, contexts: dict[str, Context], job_id: str
    ) -> JobSpec:
        terms = terms_of(prepared.provenance, backend=self.name, store=self._store_spec, scope=self._scope, code=code)
        name, contexts[name] = self._context(terms)
        return JobSpec(
            job_id=job_id,
            scope=self._scope,
            run_key=prepared.run_key.value,
            **labels_for(prepared),
            tags=prepared.tags,
            trace=prepared.trace,
            resources=prepared.resources,
            order=Order(time.time(), prepared.run_key.run_uid, prepared.options.report_threshold),
            payload=carried(self._options.sealed(payload, job_id)),
            context=name,
            policy=self._policy(prepared.options),
            basis=Basis(
                prints=prepared.prints,
                policy=prepared.reuse,
                former_key=prepared.run_key.former_value,
            ),
        )

    def _context(self, terms: Terms) -> tuple[str, Context]:
        """The context with these terms, and its id. Each change of the provenance makes another one."""
        known = self._contexts.get(terms.written)
        if known is None:
            if len(self._contexts) >= _MOST_CONTEXTS:
                self._contexts.clear()
            known = self._contexts[terms.written] = secrets.token_hex(8), Context(terms, self._runtime_env)
        return known

    def _policy(self, asked: Any) -> Policy:
        given = self._options

        def chosen(name: str) -> Any:
            own = getattr(asked, name)
            return getattr(given, name) if own is None else own

        policy = Policy(
            max_retries=chosen("max_retries"),
            max_attempts=chosen("max_attempts"),
            scheduling_timeout_s=chosen("scheduling_timeout_s"),
            resubmit=given.recovery == "resubmit",
            isolation=chosen("isolation"),
        )
        return _once(policy)

    def _fall_silent(self) -> None:
        self._subscription.fall_silent()
        self._others.fall_silent()

    def _would_be_lost(self) -> int:
        return len(self._subscription.live()) if self._connection.ends_with_process else 0

    def _release_when_idle(self) -> None:
        if self._closed and not self._subscription.live() and not any(self._others.live()):
            self._connection.release()
