"""Fields that versions of this project do not all know: a default where one is missing, kept where one is unknown."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

import attrs
import pytest
from checkmaite.jobs.spi import Cancelled, TraceContext, Used
from checkmaite.jobs_ray.journal.fields import Fields, Plain, read
from checkmaite.jobs_ray.journal.schema import events_of, rows_of
from checkmaite.jobs_ray.journal.snapshot import restore, snapshot_rows
from checkmaite.jobs_ray.registry.model.contexts import redacted_context
from checkmaite.jobs_ray.registry.model.events import (
    Assigned,
    Ended,
    Event,
    Forgotten,
    Introduced,
    Launched,
    Noted,
    Requeued,
    StopAsked,
    Submitted,
    WorkerStarted,
)
from checkmaite.jobs_ray.registry.model.job_table import JobTable, ReplayState
from checkmaite.jobs_ray.registry.model.record import Owner, ending_of

from tests.ray_registry.making import CONTEXT, CRASH, STARTED, completed, spec

_NEWER = {"by_a_newer_version": {"of": ["this", 1]}}
_OWNER = Owner("controller", 7)
_TAGS = (("sweep", "12"), ("team", "vision"))
_TRACE = TraceContext("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "vendor=1", "who=me")


def _events(name: str, ending: Any) -> list[Event]:
    return [
        Assigned(name, 1, _OWNER),
        Launched(name, 2.0),
        WorkerStarted(name, STARTED),
        Requeued(name, "lost", lost=True, at=2.5, started=STARTED),
        Assigned(name, 2, _OWNER),
        Launched(name, 3.0),
        WorkerStarted(name, STARTED),
        *([] if ending is None else [Ended(name, ending_of(ending), 4.0, used=Used(memory_bytes=1))]),
        Noted(name, "of it"),
    ]


_ENDINGS = {"done": completed(), "broken": CRASH, "stopped": Cancelled(), "live": None}


def _story() -> list[Event]:
    begun: list[Event] = [Introduced("context", redacted_context(CONTEXT))]
    begun += [
        Submitted(spec(name, tags=_TAGS, trace=_TRACE), float(number), None) for number, name in enumerate(_ENDINGS)
    ]
    return begun + [event for name, ending in _ENDINGS.items() for event in _events(name, ending)]


def _json(rows: Iterable[Any]) -> Any:
    return json.loads(json.dumps(list(rows)))


def _places(row: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Where in a row there are fields by name: everywhere that a newer version could add one."""
    found: list[tuple[str | int, ...]] = [path] if isinstance(row, dict) and path else []
    open_ended = {
        "facts",
        "plain",
        "environment",
        "custom",
        "tags",
        "by_a_newer_version",
    }  # mappings of users' own names
    items = row.items() if isinstance(row, dict) else enumerate(row) if isinstance(row, list) else ()
    for key, below in items:
        if key not in open_ended:
            found += _places(below, (*path, key))
    return found


def _at(row: Any, path: Iterable[str | int]) -> Any:
    for key in path:
        row = row[key]
    return row


def _replayed(rows: list[Any]) -> ReplayState:
    replayed = ReplayState()
    for event in events_of(rows):
        replayed.apply(event)
    return replayed


def _restored(rows: list[Any]) -> ReplayState:
    replayed = ReplayState()
    restore(replayed, _json(rows))
    return replayed


def _known(replayed: ReplayState) -> Any:
    """The same without what is unknown."""
    contexts = {name: redacted._replace(unknown=None) for name, redacted in replayed.redacted_contexts.items()}
    return {name: record._replace(unknown=None) for name, record in replayed.records.items()}, contexts


def _snapshot(replayed: ReplayState) -> Any:
    return _json(snapshot_rows(JobTable.of(replayed)))


_ROWS = _json(rows_of(_story()))
_PLACES = [(number, *path) for number, row in enumerate(_ROWS) for path in _places(row)]


@pytest.mark.parametrize("path", _PLACES, ids=lambda path: ".".join(map(str, (_ROWS[path[0]][0], *path))))
def test_what_a_newer_version_says_in_an_event_outlives_this_one(path: tuple[Any, ...]) -> None:
    """Wherever it says it: what is known is read as ever, and the snapshot says what is unknown."""
    rows = _json(_ROWS)
    _at(rows, path).update(_NEWER)
    replayed = _replayed(rows)
    assert _known(replayed) == _known(_replayed(_json(_ROWS)))
    snapshot = _snapshot(replayed)
    assert json.dumps(snapshot).count("by_a_newer_version") == 1
    again = _restored(snapshot)
    assert again.records == replayed.records
    assert _snapshot(again) == snapshot


@pytest.mark.parametrize("place", ["common", "columns"])
@pytest.mark.parametrize("path", ["spec.tenant", "state.cost", "record.colour", "spec.policy.priority"])
def test_what_a_newer_version_says_in_a_snapshot_outlives_this_one(path: str, place: str) -> None:
    snapshot = _snapshot(_replayed(_json(_ROWS)))
    (said,) = [said for word, said in snapshot if word == "finished"]
    expected = _known(_restored(snapshot))
    of, *names = path.split(".")
    values = [f"{number}" if place == "columns" else "same" for number in range(said["jobs"])]
    if len(names) == 2:
        policy = said["common"][of].pop(names[0])
        whole = [{**policy, names[1]: value} for value in values]
        value: Any = {"distinct": whole, "numbers": [*range(len(whole))]} if place == "columns" else whole[0]
    else:
        value = values if place == "columns" else values[0]
    if place == "columns":
        said["columns"][f"{of}.{names[0]}"] = value
    else:
        said["common"][of][names[0]] = value
    replayed = _restored(snapshot)
    assert _known(replayed) == expected
    unknown = [record.unknown for record in replayed.records.values() if record.unknown]
    for each in reversed(names):
        values = [{each: value} for value in values]
    assert unknown == (values if of == "record" else [{of: value} for value in values])
    again = _snapshot(replayed)
    assert _restored(again).records == replayed.records
    assert [said["state"][0] for word, said in again if word == "record"] == 3 * ["finished"] + ["running"]


def test_what_is_unknown_of_a_job_goes_with_it() -> None:
    rows = _json(rows_of([*_story(), Forgotten("done")]))
    rows[-1][1].update(_NEWER)
    assert "done" not in _replayed(rows).records


def test_the_later_word_counts_and_another_field_stays() -> None:
    rows = _json(rows_of([Submitted(spec("job"), 1.0, None), Noted("job", "one"), Noted("job", "two")]))
    for row, newer in zip(rows, ({"a": {"x": 1, "y": 1}, "b": 1}, {"a": {"x": 2}}, {"c": 3}), strict=True):
        row[1].update(newer)
    assert _replayed(rows).records["job"].unknown == {"a": {"x": 2, "y": 1}, "b": 1, "c": 3}


def test_a_word_that_is_unknown_is_refused() -> None:
    """A new kind of event is no field: what it changes could not be left out, so it needs a new protocol."""
    with pytest.raises(KeyError):
        list(events_of([["invented", {"job_id": "job"}]]))


class _Before(NamedTuple):
    name: str


class _Now(NamedTuple):
    name: str
    size: int = 0
    parts: tuple[str, ...] = ()
    colour: str = "red"


def test_a_field_that_an_older_version_did_not_know_has_its_default() -> None:
    old = Fields(_Before).row(_Before("a"))
    assert read(Fields(_Now, {"parts": Plain(tuple)}), old) == (_Now("a"), {})


def test_only_nothing_is_left_out() -> None:
    """A default that is something may change one day, so it is said; 0 and None are told apart."""
    assert Fields(_Now).row(_Now("a")) == {"name": "a", "colour": "red"}
    assert Fields(_Now).row(_Now("", 0, ("x",))) == {"name": "", "parts": ("x",), "colour": "red"}

    @attrs.frozen
    class Optional:
        most: int | None = None

    assert [Fields(Optional).row(Optional(most)) for most in (None, 0, 1)] == [{}, {"most": 0}, {"most": 1}]


def test_every_class_that_is_kept_can_be_written_and_read() -> None:
    """Each field whose value is no JSON has a part; a new one without would be found here, not by a user."""
    rows = rows_of([*_story(), StopAsked("live", Cancelled())])
    assert list(events_of(_json(rows))) == [*_story(), StopAsked("live", Cancelled())]


def test_the_trace_of_a_job_outlives_its_registry_and_is_checked_when_it_is_read() -> None:
    rows = _json(rows_of(_story()))
    replayed = _replayed(rows)
    assert {record.spec.trace for record in replayed.records.values()} == {_TRACE}
    assert {record.spec.trace for record in _restored(_snapshot(replayed)).records.values()} == {_TRACE}
    for said in ("nonsense", ["nonsense"], {"traceparent": _TRACE.traceparent}, 7, [*_TRACE, "more"]):
        for word, fields in rows:
            if word == "submitted":
                fields["spec"]["trace"] = said
        assert {record.spec.trace for record in _replayed(rows).records.values()} == {None}
