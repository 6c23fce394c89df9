"""What rows are made of: specs, states and endings of jobs, as JSON values. See `schema`."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from sys import intern
from typing import Any

from attrs import asdict, astuple
from checkmaite.jobs import CapabilityRunRef, Resources, Reuse, ReuseKind
from checkmaite.jobs.spi import RUN, Cancelled, Completed, Failed, earlier_ref
from checkmaite.jobs_ray.registry.model.contexts import RedactedContext, RedactedStore
from checkmaite.jobs_ray.registry.model.record import (
    Doubtful,
    Ending,
    Finished,
    Owner,
    Placed,
    Running,
    Scheduling,
    State,
    Stopping,
    Success,
    Waiting,
    ending_of,
)
from checkmaite.jobs_ray.wire import Basis, JobSpec, Policy, StoredPayload, Where

Row = list[Any]


def spec_row(spec: JobSpec) -> Row:
    """A spec as the journal keeps it."""
    (job_id, scope, run_key, job_name, capability_id, resources, order, payload, context, policy, basis) = spec
    return [
        job_id,
        scope,
        run_key,
        job_name,
        capability_id,
        _resources_row(resources),
        order,
        _payload_row(payload),
        context,
        policy,
        basis_row(basis),
    ]


def spec_from(row: Row) -> JobSpec:
    """What `spec_row` wrote. Texts that many jobs have in common are kept once, as in the other parts."""
    job_id, scope, run_key, job_name, capability_id, resources, order, payload, context, policy, basis = row
    return JobSpec(
        job_id,
        intern(scope),
        run_key,
        job_name,
        intern(capability_id),
        _resources_from(resources),
        _order_from(*order),
        _payload_from(payload),
        intern(context),
        _policy(*policy),
        basis_from(basis),
    )


def _order_from(*order: Any) -> tuple[Any, ...]:
    """An order; up to protocol 3 its fourth value said whether the job was forced."""
    if not order:
        return ()
    job_id, at, run_uid, reuse, *rest = order
    return job_id, at, run_uid, _policy_of_force(reuse) if isinstance(reuse, bool) else intern(reuse), *rest


def basis_row(basis: Basis) -> Row:
    """A basis as the journal keeps it."""
    *others, decided = basis
    return [*others, _reuse_row(decided)]


def basis_from(row: Row | bool) -> Basis:
    """A basis, from a row of its fields; up to protocol 3 there was only whether the job was forced."""
    if isinstance(row, bool):
        return Basis(policy=_policy_of_force(row))
    prints, policy, by, former_key, decided = row
    return Basis(
        tuple(map(intern, prints)) if isinstance(prints, list) else prints,  # a tuple's texts are interned
        intern(policy),
        by and intern(by),
        former_key,
        _reuse_from(decided),
    )


def _policy_of_force(force: bool) -> str:
    return "never" if force else "auto"


def common_row(scope: str, resources: Resources, context: str, policy: Policy) -> Row:
    """What specs have in common, as the journal keeps it."""
    return [scope, _resources_row(resources), context, policy]


def common_from(row: Row) -> tuple[str, Resources, str, Policy, Basis | None]:
    """What `common_row` wrote; up to protocol 3 the same basis was said for all of them."""
    scope, resources, context, policy, *force = row
    basis = basis_from(*force) if force else None
    return intern(scope), _resources_from(resources), intern(context), _policy(*policy), basis


def _resources_row(resources: Resources) -> Row:
    return list(astuple(resources))


def _resources_from(row: Row) -> Resources:
    """What `_resources_row` wrote; up to protocol 4 it had no `share_gpus`."""
    num_cpus, num_gpus, memory, custom, *shares = row
    return _resources(num_cpus, num_gpus, memory, tuple(custom.items()), *shares)


@lru_cache(maxsize=256)
def _resources(
    num_cpus: float,
    num_gpus: float,
    memory: int | None,
    custom: tuple[tuple[str, float], ...],
    share_gpus: bool = False,
) -> Resources:
    return Resources(num_cpus=num_cpus, num_gpus=num_gpus, memory=memory, custom=dict(custom), share_gpus=share_gpus)


_policy = lru_cache(maxsize=256)(Policy)


def _payload_row(payload: Any) -> str | Row | None:
    if payload is None:
        return None
    if isinstance(payload, StoredPayload):
        return [payload.key, payload.size]
    return b64encode(payload).decode() if isinstance(payload, bytes) else None  # a reference dies with its owner


def _payload_from(row: str | Row | None) -> bytes | StoredPayload | None:
    if row is None:
        return None
    return b64decode(row) if isinstance(row, str) else StoredPayload(*row)


def redacted_from(row: Iterable[Any]) -> RedactedContext:
    """A redacted context, from a row of its fields."""
    (backend, plain, hidden, *artifacts), facts, (protocol, python, core), environment, *rest = row
    store = RedactedStore(backend, plain, tuple(hidden), *artifacts)
    code = None
    if rest and rest[0]:  # protocols before 4 have none
        digest, paths, files = rest[0]
        code = digest, tuple(paths), tuple((file, content) for file, content in files)
    return RedactedContext(store, facts, (protocol, python, core), environment, code)


def state_row(state: State) -> Row:
    """A state as the journal keeps it."""
    match state:
        case Waiting():
            return ["waiting"]
        case Doubtful():
            return ["doubtful", state.reason, state.where]
        case Placed():
            return ["placed", state.owner]
        case Scheduling():
            return ["scheduling", state.owner, state.since]
        case Running():
            return ["running", state.owner, state.where]
        case Stopping():
            return ["stopping", state.owner, state.where, ending_row(state.then)]
        case Finished():
            return ["finished", ending_row(state.ending), state.at, state.where]


_STATES: Mapping[str, Callable[..., State]] = {
    "waiting": Waiting,
    "doubtful": lambda reason, where=None: Doubtful(reason, where_from(where)),  # protocol 1 has no place
    "placed": lambda owner: Placed(Owner(*owner)),
    "scheduling": lambda owner, since: Scheduling(Owner(*owner), since),
    "running": lambda owner, where: Running(Owner(*owner), Where(*where)),
    "stopping": lambda owner, where, then: Stopping(Owner(*owner), where_from(where), stopping_from(then)),
}


def state_from(row: Row) -> State:
    """What `state_row` wrote."""
    if row[0] == "finished":  # most are
        _, ending, at, where = row
        return Finished(ending_from(ending), at, where_from(where))
    return _STATES[row[0]](*row[1:])


def where_from(row: Row | None) -> Where | None:
    """A worker, from a row of its fields."""
    if row is None:
        return None
    node, pid, at = row
    return Where(intern(node), pid, at)


def ending_row(ending: Ending) -> Row:
    """How a job ended as the journal keeps it."""
    match ending:
        case Success():
            return ["completed", _ref_row(ending), ending.notes, _reuse_row(ending.reuse)]
        case Failed():
            return ["failed", *astuple(ending)]
        case Cancelled():
            return ["cancelled", ending.reason]


def ending_from(row: Row) -> Ending:
    """What `ending_row` wrote; up to protocol 3 it was told that the run was stored before, and not whose it was."""
    if row[0] != "completed":
        return stopping_from(row)
    _, ref, *told = row
    was_stored = told.pop(0) if isinstance(told[0], bool) else False
    notes, *reuse = told
    found = _reuse_from(*reuse) if reuse else RUN
    if was_stored and not notes and found == RUN:  # what had a note was the job's own
        found = _OF_ANOTHER
    if not notes and isinstance(ref, dict) and ref.keys() <= _TEXTS_OF_REF:  # most: without the objects in between
        where = ref.get("store_uri"), ref.get("commit_uri"), ref.get("outputs_uri"), None
        named = ref["run_uid"], ref.get("revision", 1), intern(ref["capability_id"])
        return Success(*named, *where, (), found)
    return ending_of(Completed(ref=_ref_from(ref), notes=tuple(notes), reuse=found))


_OF_ANOTHER = Reuse(kind=ReuseKind.REUSED)
"""That a result was used again of which nothing is told."""


def _reuse_row(reuse: Reuse) -> Row | None:
    """What was decided; nothing of a run that was made because there was no result."""
    if reuse is RUN or reuse == RUN:
        return None
    at = None if reuse.at is None else reuse.at.timestamp()
    return [reuse.kind, reuse.job_id, at, reuse.by, reuse.differences, reuse.unknown]


def _reuse_from(row: Row | None) -> Reuse:
    if row is None:
        return RUN
    kind, job_id, at, by, differences, unknown = row
    return Reuse(
        kind=ReuseKind(kind),
        job_id=job_id,
        at=None if at is None else datetime.fromtimestamp(at, UTC),
        by=by,
        differences=tuple(differences),
        unknown=tuple(unknown),
    )


_FIELDS_OF_REF = ("run_uid", "revision", "capability_id", "store_uri", "commit_uri", "outputs_uri")
_TEXTS_OF_REF = frozenset(_FIELDS_OF_REF)


def _ref_row(ending: Success) -> Mapping[str, Any]:
    """A success's ref by the names of its fields; those that say nothing are left out."""
    row = {name: value for name in _FIELDS_OF_REF if (value := getattr(ending, name)) is not None}
    return row if ending.report is None else {**row, "report": asdict(ending.report)}


def _ref_from(row: Mapping[str, Any] | Row) -> CapabilityRunRef:
    """What `_ref_row` wrote; up to protocol 3 a ref was a row of five values."""
    if isinstance(row, Mapping):
        return CapabilityRunRef(**{**row, "capability_id": intern(row["capability_id"])})
    run_uid, capability_id, store_uri, outputs_uri, report = row
    return earlier_ref(
        run_uid=run_uid,
        capability_id=intern(capability_id),
        store_uri=store_uri,
        outputs_uri=outputs_uri,
        report=report,
    )


def stopping_from(row: Row) -> Cancelled | Failed:
    """What `ending_row` wrote of a job that did not complete."""
    kind, *values = row
    if kind == "cancelled":
        return Cancelled(reason=values[0])
    if kind != "failed":
        raise ValueError(f"{kind!r} is no way to end")
    error_type, error_message, traceback_text, phase, node, pid, exit_cause, lost, remedy = values
    return Failed(
        error_type=error_type,
        error_message=error_message,
        traceback_text=traceback_text,
        phase=phase,
        node=node,
        pid=pid,
        exit_cause=exit_cause,
        lost=lost,
        remedy=remedy,
    )
