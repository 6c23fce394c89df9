"""A journal of format version 1, written once and kept, is read as the table that it was then.

Those of later versions say the same. Versions 3 and 4: each is the one before, led once more by that version, which
made a snapshot. In "version-4-events" and "version-5" that version has written all of the events, too, with
fingerprints.

Whoever changes rows or objects keeps reading it: users have such journals. Nothing here is ever written anew; a later
version gets a folder of its own. What is compared is what users see and what a start needs, by name, so that records
may gain fields.
"""

from __future__ import annotations

import json
import shutil
from base64 import b64encode
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from checkmaite.jobs import ReuseKind, StoreNotFoundError, read_job_history
from checkmaite.jobs.spi import Completed, ObjectStore, Started
from checkmaite.jobs_ray.journal.reading import read_journal
from checkmaite.jobs_ray.journal.replay import table_of, take_over
from checkmaite.jobs_ray.journal.runner import perform
from checkmaite.jobs_ray.journal.schema import rows_of
from checkmaite.jobs_ray.journal.snapshot import snapshot_rows
from checkmaite.jobs_ray.registry.model.events import Noted
from checkmaite.jobs_ray.registry.model.job_table import JobTable
from checkmaite.jobs_ray.registry.model.record import Final, JobRecord, Unresolved
from checkmaite.jobs_ray.wire import StoredPayload

from tests.ray_journal.making import counter, leader

VERSIONS = Path(__file__).with_name("golden")
GOLDEN = VERSIONS / "version-1"
VERSIONS_KEPT = sorted(path.name for path in VERSIONS.iterdir())
WITH_EVENTS = ("version-4-events", "version-5")
JOURNAL = "checkmaite_jobs/golden"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text())


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    if isinstance(value, StoredPayload):
        return {"key": value.key, "size": value.size}
    return value.isoformat() if isinstance(value, datetime) else value


def _named(value: object, *names: str) -> dict[str, Any]:
    return {name: _plain(getattr(value, name)) for name in names}


def _state_of(record: JobRecord) -> str:
    """The state as it was called when these journals were written."""
    name = type(record.state).__name__
    return {"Unresolved": "Doubtful", "Final": "Finished"}.get(name, name)


def _started(started: Started | None) -> dict[str, Any] | None:
    return started and {"node": started.node, "pid": started.pid, "at": started.at.timestamp()}


def _seen(record: JobRecord) -> dict[str, Any]:
    """One job, as far as anybody relies on it."""
    spec, state = record.spec, record.state
    seen = _named(record, "attempt", "losses", "supersedes", "created_at")
    seen |= _named(spec, "scope", "run_key", "job_name", "capability_id", "payload", "context")
    seen["force"] = spec.basis.policy == "never"
    seen |= {
        "status": record.status.value,
        "state": _state_of(record),
        "notes": list(record.notes),
    }
    seen |= {"order": list(spec.order), "owner": record.owner and list(record.owner)}
    # The first version's snapshots did not keep where a job in doubt had run; its events did.
    is_told = record.started is not None and not isinstance(state, Unresolved)
    seen["where"] = _started(record.started) if is_told else None
    seen["resources"] = _named(spec.resources, "num_cpus", "num_gpus", "memory", "custom")
    seen["policy"] = _named(spec.policy, "max_retries", "max_attempts", "scheduling_timeout_s", "resubmit")
    if isinstance(state, Final):
        said = attrs.asdict(state.outcome)
        if isinstance(state.outcome, Completed):
            ref = state.outcome.ref
            said["ref"] = _named(ref, "run_uid", "capability_id", "store_uri", "outputs_uri")
            said["ref"]["report"] = None if ref.report is None else str(ref.report)
            said["already_stored"] = state.outcome.reuse.kind is ReuseKind.REUSED  # as these versions told it
        said.pop("reuse", None)
        seen["outcome"] = {**json.loads(json.dumps(said)), "kind": type(state.outcome).__name__}
        seen["finished_at"] = state.at
    return seen


def _assert_as_expected(table: JobTable) -> None:
    found = {job_id: _seen(record) for job_id, record in table.records.items()}
    assert found.keys() == EXPECTED["jobs"].keys()
    for job_id, expected in EXPECTED["jobs"].items():
        # In these versions an order had the job's id and whether it was forced once more.
        of_order = expected["order"] and [expected["order"][each] for each in (1, 2, 4)]
        outcome = found[job_id].get("outcome", {})
        found[job_id]["outcome"] = {name: outcome.get(name) for name in expected.get("outcome", {})}
        now = _NOW.get(expected["job_name"], {})
        assert found[job_id] == {"outcome": {}, **expected, "order": of_order, **now}, job_id
    assert {name: list(redacted.lacks) for name, redacted in table.redacted_contexts.items()} == EXPECTED["contexts"]


def _history(scope: str, registry_actor_name: str = "golden", version: str = "version-1") -> Any:
    return read_job_history(
        "ray",
        idempotency_scope=scope,
        registry_actor_name=registry_actor_name,
        journal_uri=str(VERSIONS / version),
        analytics_store={"backend": "parquet", "uri": "/nowhere"},
    )


_NOW = {"doubtful": {"status": "PENDING"}}
"""What was written differently then: a job in doubt was RUNNING, though its worker was gone."""


@pytest.mark.parametrize("version", VERSIONS_KEPT)
@pytest.mark.parametrize("scope", ["team-a", "team-b"])
def test_the_history_of_users_is_as_it_was(scope: str, version: str) -> None:
    history = _history(scope, version=version)
    seen = [{name: _plain(value) for name, value in row.items()} for row in history.to_pylist()]
    expected = EXPECTED["history"][scope]
    expected = [row | _NOW.get(row["job_name"], {}) for row in expected]
    assert [{name: row[name] for name in expected[0]} for row in seen] == expected


@pytest.mark.parametrize("version", ["version-1", "version-3"])
def test_what_their_versions_did_not_know_is_told_as_unknown(version: str) -> None:
    rows = _history("team-a", version=version).to_pylist()
    assert {row["fingerprints"] for row in rows} == {None}
    assert {row["revision"] for row in rows if row["status"] == "COMPLETED"} == {1}
    assert {row["reuse"] for row in rows} == {"RUN", "REUSED: a result in the store"}


@pytest.mark.parametrize("version", WITH_EVENTS)
def test_fingerprints_and_who_submitted_are_as_they_were(version: str) -> None:
    rows = _history("team-a", version=version).to_pylist()
    assert {row["submitted_by"] for row in rows} == {"ann"}
    assert {row["fingerprints"] for row in rows} == {'{"code": "one", "config": 0}', '{"code": "one", "config": 1}'}


def test_a_scope_of_the_same_registry_without_jobs_has_no_history() -> None:
    assert _history("team-c").num_rows == 0


def test_where_no_journal_is_there_is_no_history() -> None:
    with pytest.raises(StoreNotFoundError, match=r"checkmaite_jobs/silver: there is no journal.*registry_actor"):
        _history("team-a", registry_actor_name="silver")


@pytest.mark.parametrize("version", VERSIONS_KEPT)
def test_its_book_is_as_it_was(version: str) -> None:
    objects = ObjectStore(str(VERSIONS / version / JOURNAL))
    _assert_as_expected(table_of(perform(read_journal(objects.root), objects)))


@pytest.mark.parametrize("version", ["version-1", *WITH_EVENTS])
def test_its_first_snapshot_alone_is_read_too(tmp_path: Path, version: str) -> None:
    """Without the newest one, everything since the one before is read event by event."""
    shutil.copytree(VERSIONS / version / JOURNAL, tmp_path / "journal")
    objects = ObjectStore(str(tmp_path / "journal"))
    objects.delete(f"snap/{objects.names('snap')[-1]}")
    _assert_as_expected(table_of(perform(read_journal(objects.root), objects)))


@pytest.mark.parametrize("version", VERSIONS_KEPT)
def test_this_version_goes_on_with_it(tmp_path: Path, version: str) -> None:
    shutil.copytree(VERSIONS / version / JOURNAL, tmp_path / "journal")
    objects = ObjectStore(str(tmp_path / "journal"))
    found = perform(read_journal(objects.root), objects)
    journal, table = perform(take_over(objects.root, leader("later"), counter("later"), found), objects)
    _assert_as_expected(table)
    job_id = next(iter(table.records))
    number = perform(journal.append(rows_of([Noted(job_id, "seen by a later version")])), objects)
    table.apply(Noted(job_id, "seen by a later version"))
    perform(journal.snapshot(number, snapshot_rows(table)), objects)
    read = table_of(perform(read_journal(objects.root), objects))
    assert {each: _seen(record) for each, record in read.records.items()} == {
        each: _seen(record) for each, record in table.records.items()
    }
