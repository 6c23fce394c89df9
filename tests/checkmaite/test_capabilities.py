"""Every capability of the package, as it is, on every backend: rows, report and outputs, made and reused."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from checkmaite.jobs import ReuseKind, submit_capability

from tests.checkmaite.cases import CANNOT, CASES, exported, name_of
from tests.checkmaite.recording import RECORD, recorded

SOON_S = 240.0


def test_every_exported_capability_runs_or_has_a_reason_not_to() -> None:
    ran = {name_of(case.capability) for case in CASES.values()}
    assert ran | CANNOT.keys() == {name_of(each) for each in exported()}
    assert not ran & CANNOT.keys()


def test_the_record_that_stand_ins_are_made_of_is_what_the_package_is() -> None:
    assert json.loads(RECORD.read_text()) == recorded()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", CASES)
def test_a_capability_runs_as_it_is(configure: Callable[..., Any], kind: str, name: str) -> None:
    case, backend = CASES[name], configure()
    given = case.arguments()
    job = submit_capability(case.capability(), **given)
    ref = job.result(SOON_S)
    store = backend.analytics_store
    tables = set(store.list_tables())
    assert len(tables) == (2 if case.has_rows else 0)
    assert all(ref.run_uid in store.read_table(table).column("run_uid").to_pylist() for table in tables)
    assert ref.report is not None, job.explain()
    assert "Note" not in job.explain()
    text = ref.open_report().read().decode()
    assert text.startswith("# ")
    assert (ref.report.media_type, ref.report.filename) == ("text/markdown", f"{name_of(case.capability)}.md")
    assert ref.report.text == (text if len(text.encode()) <= 256 * 1024 else None)
    if case.has_rows:
        fingerprints = json.loads(store.read_table("runs").column("fingerprints").to_pylist()[0])
        assert bool(fingerprints["config"].get("default")) == (given["config"] is None)

    if not case.has_rows and kind != "ray":
        return  # what these reuse is what the store has, which is told nothing of a run without rows
    again = submit_capability(case.capability(), **case.arguments())
    assert again.result(SOON_S) == ref
    assert again.job_id == job.job_id or again.reuse.kind is ReuseKind.REUSED

    if not case.has_rows:
        return
    # Answered from the store only: a scope of its own knows no other job.
    configure(**({"idempotency_scope": "another"} if kind == "ray" else {}))
    stored = submit_capability(case.capability(), **case.arguments())
    assert stored.result(SOON_S) == ref
    assert stored.reuse.kind is ReuseKind.REUSED
    assert stored.result(0).open_report().read().decode() == text


@pytest.mark.parametrize("name", ["ic evaluation"])
def test_the_run_is_what_a_synchronous_run_is(configure: Callable[..., Any], name: str) -> None:
    configure()
    case = CASES[name]
    made = case.capability().run(**case.arguments(), use_cache=False)
    assert submit_capability(case.capability(), **case.arguments()).result(SOON_S).run_uid == made.run_uid
