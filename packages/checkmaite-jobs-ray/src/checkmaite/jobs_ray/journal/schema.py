"""What the journal's rows mean: the fields of everything, and events; `snapshot` has what they amount to.

Every row is a word and the fields of what it names, see `fields`; the classes in `wire` and `registry.model` say which
these are. Older protocols are lifted to this one by `earlier_rows`. Nothing here is ever unpickled; payloads are bytes
to everybody but workers.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from sys import intern
from typing import Any

from checkmaite.jobs import FailureKind, JobStatus, Report, Resources, Reuse, ReuseKind
from checkmaite.jobs.spi import RUN, Cancelled, Failed, Started, Tags, Used, usable_trace
from checkmaite.jobs_ray.journal.declared import checked_mapping, count, instant, seconds, text, texts
from checkmaite.jobs_ray.journal.earlier_rows import lifted
from checkmaite.jobs_ray.journal.fields import TEXT, TEXTS, Fields, Part, Plain, Row, Several, Unknown, one_of, read
from checkmaite.jobs_ray.journal.format import JOURNAL_PROTOCOL
from checkmaite.jobs_ray.registry.model.contexts import RedactedContext, RedactedStore
from checkmaite.jobs_ray.registry.model.events import (
    Adopted,
    Assigned,
    Ended,
    Event,
    Extended,
    Forgotten,
    Introduced,
    Launched,
    Noted,
    OwnerLost,
    Requeued,
    Resumed,
    StopAsked,
    Submitted,
    WorkerStarted,
)
from checkmaite.jobs_ray.registry.model.record import (
    Final,
    Owner,
    Placed,
    Running,
    Scheduling,
    Stopping,
    Success,
    Unresolved,
    Waiting,
)
from checkmaite.jobs_ray.wire import Basis, JobSpec, Order, PastAttempt, Policy, StoredPayload

_EARLIER_ORDER = 5


PAYLOADS = "payload"
"""The folder of payloads that lie beside the journal."""

# -- the fields of everything ------------------------------------------------------------------------------------------


class _Payload:
    """Bytes as base64, or where they are kept. A reference in Ray's object store dies with its owner."""

    is_shared = False
    _stored = Fields(StoredPayload, {"key": TEXT}, without=("ref",))

    def row(self, value: Any) -> Any:
        if isinstance(value, StoredPayload):
            return self._stored.row(value)
        return b64encode(value).decode() if isinstance(value, bytes) else None

    def value(self, row: Any) -> Any:
        if isinstance(row, str):
            return b64decode(row)
        kept: StoredPayload = self._stored.value(row)
        folder, *rest = kept.key.split("/")
        if folder != PAYLOADS or not rest or not {"", ".", ".."}.isdisjoint(rest):  # it is read, and then deleted
            raise ValueError(f"{kept.key!r} is no payload")
        return kept

    def separated(self, row: Any) -> tuple[Any, Unknown]:
        return (row, {}) if isinstance(row, str) else self._stored.separated(row)

    def merged(self, row: Any, unknown: Unknown) -> Any:
        return row if isinstance(row, str) else self._stored.merged(row, unknown)


def _order(said: Any) -> Order | tuple[()]:
    """An order. Earlier rows said in it too what its spec says: first the job's id, and fourth the reuse policy."""
    if not isinstance(said, list):
        raise ValueError(f"{said!r:.80} is no order")
    if len(said) == _EARLIER_ORDER:
        _, submitted_at, run_uid, _, report_threshold = said
        return Order(submitted_at, run_uid, report_threshold)
    return Order(*said) if said else ()


def _code(said: Sequence[Any]) -> tuple[Any, ...]:
    digest, paths, files = said
    return text(digest), texts(paths), tuple(texts((file, content)) for file, content in files)


def _versions(said: Sequence[Any]) -> tuple[Any, ...]:
    protocol, *others = said
    return int(protocol), *texts(others)


def _tags(said: Any) -> Tags:
    if type(said) is not dict:
        raise ValueError(f"{said!r:.80} is no mapping of tags")
    return tuple(sorted((text(name), text(value)) for name, value in said.items()))


_COUNT = Plain(count)
_SECONDS = Plain(seconds)
_INSTANT = Plain(instant, datetime.timestamp)
_REUSE = Fields(Reuse, {"kind": Plain(ReuseKind), "at": _INSTANT, "differences": TEXTS, "unknown": TEXTS}, nothing=RUN)
_BASIS = Fields(Basis, {"prints": TEXTS, "policy": TEXT, "decided": _REUSE}, is_shared=True)
_LABELS = Plain(checked_mapping(frozenset({str})))
PARTS_OF_SPEC: Mapping[str, Part] = {
    "scope": TEXT,
    "capability_id": TEXT,
    "resources": Fields(Resources, {"fallback": Several(_LABELS)}, is_shared=True),
    "order": Plain(_order),
    "payload": _Payload(),
    "context": TEXT,
    "policy": Fields(Policy, {"isolation": TEXT}, is_shared=True),
    "basis": _BASIS,
    "submitted_by": TEXT,
    "tags": Plain(_tags, dict, is_shared=True),
    "trace": Plain(usable_trace, list, is_shared=True),
}
SPEC = Fields(JobSpec, PARTS_OF_SPEC, absent={"order": (), "payload": None})
_OWNER = Fields(Owner, {"controller": TEXT})
_STARTED = Fields(
    Started,
    {"node": TEXT, "at": _INSTANT},
    absent={"node": "", "pid": 0, "at": datetime.fromtimestamp(0, UTC)},
)
_WORDS = {"started": "where"}
"""What rows call it."""
_PAST = Several(Fields(PastAttempt, {"number": _COUNT, "started": _STARTED, "ended_at": _SECONDS}, words=_WORDS))
_FAILED = Fields(Failed, {"kind": Plain(FailureKind, str)})
_CANCELLED = Fields(Cancelled)
_STOPPING = one_of(failed=_FAILED, cancelled=_CANCELLED)
_SUCCESS = Fields(
    Success,
    {"revision": _COUNT, "capability_id": TEXT, "report": Fields(Report), "notes": TEXTS, "reuse": _REUSE},
    absent={
        "revision": 1,
        "store_uri": None,
        "commit_uri": None,
        "outputs_uri": None,
        "report": None,
        "notes": (),
        "reuse": RUN,
    },
)
ENDING = one_of(completed=_SUCCESS, failed=_FAILED, cancelled=_CANCELLED)
_USED = Fields(Used, {"memory_bytes": _COUNT, "gpu_memory_bytes": _COUNT})
FINAL = Fields(
    Final,
    {"ending": ENDING, "at": _SECONDS, "started": _STARTED, "counted_s": _COUNT, "used": _USED},
    words=_WORDS,
)
_STATE = one_of(
    waiting=Fields(Waiting),
    doubtful=Fields(Unresolved, {"started": _STARTED}, words=_WORDS),
    placed=Fields(Placed, {"owner": _OWNER}),
    scheduling=Fields(Scheduling, {"owner": _OWNER}),
    running=Fields(Running, {"owner": _OWNER, "started": _STARTED}, words=_WORDS),
    stopping=Fields(
        Stopping,
        {"owner": _OWNER, "started": _STARTED, "then": _STOPPING},
        absent={"started": None},
        words=_WORDS,
    ),
    finished=FINAL,
)
PARTS_OF_RECORD: Mapping[str, Part] = {
    "spec": SPEC,
    "created_at": _SECONDS,
    "state": _STATE,
    "status": Plain(JobStatus, str),
    "attempt": _COUNT,
    "controller": TEXT,
    "notes": TEXTS,
    "queued_at": _SECONDS,
    "past": _PAST,
}
REDACTED = Fields(
    RedactedContext,
    {"store": Fields(RedactedStore, {"hidden": TEXTS}), "versions": Plain(_versions), "code": Plain(_code)},
    without=("unknown",),
    words={"runtime_env": "environment"},
)
EVENT = one_of(
    introduced=Fields(Introduced, {"redacted": REDACTED}),
    submitted=Fields(Submitted, {"spec": SPEC, "at": _SECONDS}, absent={"supersedes": None}),
    adopted=Fields(
        Adopted,
        {"spec": SPEC, "at": _SECONDS, "attempt": _COUNT, "owner": _OWNER, "past": _PAST},
        absent={"supersedes": None, "losses": 0},
    ),
    resumed=Fields(Resumed, {"owner": _OWNER}),
    doubted=Fields(OwnerLost),
    assigned=Fields(Assigned, {"attempt": _COUNT, "owner": _OWNER}),
    launched=Fields(Launched, {"at": _SECONDS}),
    started=Fields(WorkerStarted, {"started": _STARTED}, words=_WORDS),
    stop_asked=Fields(StopAsked, {"then": _STOPPING}),
    requeued=Fields(Requeued, {"at": _SECONDS, "started": _STARTED}, words=_WORDS),
    ended=Fields(
        Ended,
        {"ending": ENDING, "at": _SECONDS, "started": _STARTED, "counted_s": _COUNT, "used": _USED},
        words=_WORDS,
    ),
    noted=Fields(Noted),
    forgotten=Fields(Forgotten),
)


# -- events ------------------------------------------------------------------------------------------------------------


def rows_of(events: Iterable[Event]) -> list[Row]:
    """A batch of events as the journal keeps them. A text of fingerprints is written once, and then its number."""
    rows = [EVENT.row(event) for event in events]
    number_texts(place for _, said in rows for place in with_basis(said))
    return rows


def events_of(rows: Iterable[Row], protocol: int = JOURNAL_PROTOCOL) -> Iterator[Event]:
    """The events of a batch that `rows_of` wrote, or that of an earlier protocol.

    Raises:
        ValueError, TypeError, KeyError, IndexError: A row is none of those.
    """
    texts: list[str] = []
    for row in lifted(rows, protocol):
        name_texts(with_basis(row[1]), texts)
        event, unknown = read(EVENT, row)
        if not unknown:
            yield event
        elif isinstance(event, Introduced):
            yield event._replace(redacted=event.redacted._replace(unknown=unknown))
        else:
            yield event
            yield Extended(event.job_id, _of_the_record(event, unknown))


def _of_the_record(event: Event, unknown: Unknown) -> Unknown:
    """Where a record keeps what is unknown in an event: that of the spec there, that of other fields in its state."""
    known = {_WORDS.get(name, name) for name in event._fields} - {"spec"}
    of_record = {name: said for name, said in unknown.items() if name not in known}
    of_state = {name: said for name, said in unknown.items() if name not in of_record}
    return {**of_record, "state": of_state} if of_state else of_record


# -- fingerprints: jobs share most of their texts ----------------------------------------------------------------------


def with_basis(said: Mapping[str, Any]) -> Iterator[tuple[Any, Any]]:
    """Where the row of an event or a record has a basis: what it is in, and by which key; nowhere if it has none."""
    spec = said.get("spec")
    if spec is not None and spec.get("basis") is not None:
        yield spec, "basis"


def number_texts(places: Iterable[tuple[Any, Any]]) -> None:
    """Leave each text where it comes first, and its number where it comes again."""
    texts: dict[str, int] = {}
    for within, key in places:
        prints = within[key].get("prints")
        if prints is not None:
            within[key] = {**within[key], "prints": [_once(text, texts) for text in prints]}


def _once(text: str, texts: dict[str, int]) -> str | int:
    if (number := texts.get(text)) is None:
        texts[text] = len(texts)
        return text
    return number


def name_texts(places: Iterable[tuple[Any, Any]], texts: list[str]) -> None:
    """Undo `number_texts`; `texts` are those that came before."""
    for within, key in places:
        prints = within[key].get("prints")
        if prints is not None:
            texts += [intern(each) for each in prints if isinstance(each, str)]
            named = tuple([intern(each) if isinstance(each, str) else texts[each] for each in prints])
            within[key] = {**within[key], "prints": named}
