"""Asks backend and store what would become of submissions, before anything is submitted."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from attrs import evolve
from checkmaite.jobs._shared.comparing import UNCOMPARED, planned
from checkmaite.jobs._shared.errors import StaleResultError
from checkmaite.jobs._shared.job_protocols import JobBackend, PlansReuse
from checkmaite.jobs._shared.problems import Problem
from checkmaite.jobs._shared.reuse import RUN, Reuse, ReuseKind
from checkmaite.jobs._shared.store_protocols import AnalyticsStore, KeepsRevisions
from checkmaite.jobs._submitters.preparing import PreparedSubmission

_THREADS = 16
_UNFORESEEN = ("whether the store holds this run, since its uid is made in run() and found when it is stored",)
_KNOWN_BEFORE = ", or give its run class compute_uid() so that its uid is known before"


def plan(backend: JobBackend, submissions: Sequence[PreparedSubmission]) -> list[Reuse]:
    """What would be decided about each submission, in order.

    Raises:
        BackendUnavailableError: The backend did not answer.
        StoreError: The store cannot say. It is never taken for "holds none".
    """
    known = backend.plan(submissions) if isinstance(backend, PlansReuse) else [None] * len(submissions)
    with ThreadPoolExecutor(_THREADS, "checkmaite-plan") as threads:  # each costs a request or two
        return list(threads.map(partial(_with_store, backend.analytics_store), submissions, known))


def refuse_unless_reused(backend: JobBackend, submissions: Sequence[PreparedSubmission]) -> None:
    """Refuse submissions that require a result that is not there.

    Raises:
        StaleResultError: It names each of them, and what differs.
        BackendUnavailableError, StoreError: See `plan`.
    """
    required = [each for each in submissions if each.reuse == "require"]
    if not required:
        return
    problems = [
        Problem(
            f"{each.path}.reuse" if each.path else "reuse",
            _cause(each, reuse),
            f"Leave it out to have the run made{_KNOWN_BEFORE if reuse.unknown == _UNFORESEEN else ''}.",
        )
        for each, reuse in zip(required, plan(backend, required), strict=True)
        if reuse.kind is not ReuseKind.REUSED
    ]
    if problems:
        raise StaleResultError("Nothing was submitted.", phase="reuse", problems=problems)


def _cause(submission: PreparedSubmission, reuse: Reuse) -> str:
    if reuse.kind is ReuseKind.STALE:
        return f'"require" was asked for, and the result of {submission.job_name!r} is {reuse}.'
    if reuse.unknown == _UNFORESEEN:
        return f'"require" was asked for, and of {submission.job_name!r} it is not known {reuse.unknown[0]}.'
    return f'"require" was asked for, and there is no result of {submission.job_name!r}.'


def _with_store(store: AnalyticsStore, submission: PreparedSubmission, known: Reuse | None) -> Reuse:
    """What the backend knows, unless the store holds a result that the worker would find."""
    run_uid, policy = submission.run_key.run_uid, submission.reuse
    if known is not None and known.kind is ReuseKind.REUSED:
        return known
    if run_uid is None:
        return evolve(RUN, unknown=_UNFORESEEN) if known in (None, RUN) and policy != "never" else known or RUN
    if isinstance(store, KeepsRevisions):
        stored = planned(store.find_run(run_uid), policy, submission.prints)
    elif policy != "never" and store.get_run_uri(run_uid) is not None:
        stored = Reuse(kind=ReuseKind.REUSED, unknown=UNCOMPARED)
    else:
        stored = RUN
    return stored if known is None or stored.kind is ReuseKind.REUSED else known
