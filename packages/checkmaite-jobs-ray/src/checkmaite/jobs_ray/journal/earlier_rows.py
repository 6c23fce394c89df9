"""Rows of earlier protocols, lifted to those of this one. Nobody writes them any more.

Up to protocol 4 a row had its fields in an order instead of by name, and readers told older ones by their shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import asdict
from checkmaite.jobs import ReuseKind
from checkmaite.jobs.spi import earlier_ref

_LAST_WITHOUT_NAMES = 4


def lifted(rows: Iterable[Any], protocol: int) -> Iterable[Any]:
    """Rows as this protocol writes them, from those of `protocol`.

    Raises:
        ValueError, TypeError, KeyError, IndexError: A row is none of that protocol.
    """
    return map(_named, rows) if protocol <= _LAST_WITHOUT_NAMES else rows


def _named(row: Sequence[Any]) -> list[Any]:
    """A row with its fields by name."""
    word, *values = row
    word = _WORDS.get(word, word)
    if word == "introduced":
        context, *redacted = values
        return ["introduced", {"context": context, "redacted": _redacted(redacted)}]
    if word == "finished":
        return [word, _finished(*values)]
    given = dict(zip(_FIELDS[word], values, strict=True))
    return [word, _with_parts(given)]


_WORDS: Mapping[Any, str] = {
    "context": "introduced",
    "given to": "assigned",
    "stop asked": "stop_asked",
    "given back": "requeued",
}
_FIELDS: Mapping[str, Sequence[str]] = {
    "submitted": ("spec", "at", "supersedes"),
    "adopted": ("spec", "at", "supersedes", "attempt", "losses", "owner"),
    "resumed": ("job_id", "owner"),
    "doubted": ("job_id", "reason"),
    "assigned": ("job_id", "attempt", "owner"),
    "launched": ("job_id", "at"),
    "started": ("job_id", "where"),
    "stop_asked": ("job_id", "then"),
    "requeued": ("job_id", "note", "lost", "attempted"),
    "ended": ("job_id", "ending", "at", "where"),
    "noted": ("job_id", "note"),
    "forgotten": ("job_id",),
    "record": (
        "spec",
        "created_at",
        "state",
        "status",
        "attempt",
        "controller",
        "losses",
        "supersedes",
        "notes",
    ),
}
_STATES: Mapping[str, Sequence[str]] = {
    "waiting": (),
    "doubtful": ("reason", "where"),  # in protocol 1 without a place
    "placed": ("owner",),
    "scheduling": ("owner", "since"),
    "running": ("owner", "where"),
    "stopping": ("owner", "where", "then"),
    "finished": ("ending", "at", "where"),
}
_FAILED = (
    "error_type",
    "error_message",
    "traceback_text",
    "phase",
    "node",
    "pid",
    "exit_cause",
    "lost",
    "remedy",
)


def _with_parts(given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _PARTS[name](said) if said is not None and name in _PARTS else said for name, said in given.items()}


def _by_name(*names: str) -> Callable[[Sequence[Any]], dict[str, Any]]:
    return lambda values: dict(zip(names, values, strict=True))


def _state(row: Sequence[Any]) -> list[Any]:
    word, *values = row
    given = dict(zip(_STATES[word], values, strict=False))
    return [word, _with_parts(given)]


def _spec(row: Sequence[Any]) -> dict[str, Any]:
    job_id, scope, run_key, job_name, capability_id, resources, order, payload, context, policy, basis = row
    return {
        "job_id": job_id,
        "scope": scope,
        "run_key": run_key,
        "job_name": job_name,
        "capability_id": capability_id,
        "resources": _resources(resources),
        "order": _order(*order),
        "payload": dict(zip(("key", "size"), payload, strict=True)) if isinstance(payload, list) else payload,
        "context": context,
        "policy": _policy(policy),
        "basis": _basis(basis),
        "submitted_by": _submitted_by(basis),
    }


def _order(*order: Any) -> list[Any]:
    """An order; up to protocol 3 its fourth value said whether the job was forced."""
    if not order:
        return []
    job_id, at, run_uid, reuse, *rest = order
    return [job_id, at, run_uid, _policy_of_force(reuse) if isinstance(reuse, bool) else reuse, *rest]


def _basis(row: Sequence[Any] | bool) -> dict[str, Any]:
    """A basis; up to protocol 3 there was only whether the job was forced."""
    if isinstance(row, bool):
        return {"policy": _policy_of_force(row)}
    prints, policy, _, former_key, decided = row
    named = {"prints": prints, "policy": policy, "former_key": former_key}
    return {**named, "decided": _reuse(decided)} if decided else named


def _submitted_by(basis: Sequence[Any] | bool) -> Any:
    """Who submitted the job, which protocol 4 said in its basis."""
    return None if isinstance(basis, bool) else basis[2]


def _policy_of_force(force: bool) -> str:
    return "never" if force else "auto"


def _resources(row: Sequence[Any]) -> dict[str, Any]:
    """Up to protocol 3 without `share_gpus`."""
    return dict(zip(("num_cpus", "num_gpus", "memory", "custom", "share_gpus"), row, strict=False))


def _policy(row: Sequence[Any]) -> dict[str, Any]:
    """Up to protocol 3 without `isolation`."""
    names = "max_retries", "max_attempts", "scheduling_timeout_s", "resubmit", "isolation"
    return dict(zip(names, row, strict=False))


def _ending(row: Sequence[Any]) -> list[Any]:
    """How a job ended; up to protocol 3 it was told that the run was stored before, and not whose it was."""
    word, *values = row
    if word == "cancelled":
        return [word, {"reason": values[0]}]
    if word == "failed":
        return [word, dict(zip(_FAILED, values, strict=True))]
    if word != "completed":
        raise ValueError(f"{word!r} is no way to end")
    ref, *told = values
    was_stored = told.pop(0) if isinstance(told[0], bool) else False
    notes, *decided = told
    named = {**_ref(ref), "notes": notes}
    if decided and decided[0]:
        named["reuse"] = _reuse(decided[0])
    elif was_stored and not notes:  # what had a note was the job's own
        named["reuse"] = {"kind": str(ReuseKind.REUSED)}
    return [word, named]


def _ref(row: Mapping[str, Any] | Sequence[Any]) -> Mapping[str, Any]:
    """Up to protocol 3 a ref was a row of five values."""
    if isinstance(row, Mapping):
        return row
    run_uid, capability_id, store_uri, outputs_uri, report = row
    ref = earlier_ref(
        run_uid=run_uid, capability_id=capability_id, store_uri=store_uri, outputs_uri=outputs_uri, report=report
    )
    return asdict(ref)


_reuse = _by_name("kind", "job_id", "at", "by", "differences", "unknown")


def _redacted(row: Sequence[Any]) -> dict[str, Any]:
    """Of protocols before 4 without `code` and `retry_s`; the first ones had no artifacts either."""
    store, *others = row
    names = "backend", "plain", "hidden", "artifacts", "artifacts_hidden", "retry_s"
    named = dict(zip(("facts", "versions", "environment", "code"), others, strict=False))
    return {"store": dict(zip(names, store, strict=False)), **named, "code": named.get("code") or None}


_PARTS: Mapping[str, Callable[[Any], Any]] = {
    "spec": _spec,
    "owner": _by_name("controller", "token"),
    "where": _by_name("node", "pid", "at"),
    "then": _ending,
    "ending": _ending,
    "state": _state,
}

# -- finished jobs, many in one row ------------------------------------------------------------------------------------

_OWN = (
    "spec.job_id",
    "spec.run_key",
    "spec.job_name",
    "spec.capability_id",
    "record.created_at",
    "state.ending",
    "state.at",
    "state.where",
    "record.attempt",
    "record.controller",
    "record.losses",
    "record.supersedes",
    "record.notes",
    "number",
)


def _finished(common: Sequence[Any], columns: Sequence[Sequence[Any]], *tables: Any) -> dict[str, Any]:
    """Up to protocol 3 all jobs of a row had the same basis; then each had the number of its own in a table."""
    scope, resources, context, policy, *force = common
    lengths = {len(column) for column in columns}
    if len(lengths) != 1:
        raise ValueError("columns differ in length")
    named: dict[str, Any] = dict(zip(_OWN, columns, strict=False))
    for path in ("state.ending", "state.where"):
        part = _PARTS[path.removeprefix("state.")]
        named[path] = [None if each is None else part(each) for each in named[path]]
    spec = {"scope": scope, "resources": _resources(resources), "context": context, "policy": _policy(policy)}
    if force:
        spec["basis"] = _basis(*force)
    else:
        texts, bases = tables
        numbers = named.pop("number")
        distinct = [_basis([prints and [texts[each] for each in prints], *others]) for prints, *others in bases]
        named["spec.basis"] = {"distinct": distinct, "numbers": numbers}
        named["spec.submitted_by"] = {"distinct": [_submitted_by(each) for each in bases], "numbers": numbers}
    return {"jobs": lengths.pop(), "common": {"spec": spec, "state": {}, "record": {}}, "columns": named}
