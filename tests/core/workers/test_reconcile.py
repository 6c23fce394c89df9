"""Which runs a store holds is asked of many jobs at once."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from checkmaite.jobs import StoreNotFoundError, StoreUnavailableError
from checkmaite.jobs._workers import reconcile
from checkmaite.jobs.spi import StoreSpec, Terms, stored_runs

TERMS = Terms(store=StoreSpec("null"), facts={}).written


class Column(list[str]):
    def to_pylist(self) -> list[str]:
        return list(self)


class Table:
    """What ``read_table("runs")`` gives: job ids and run uids."""

    def __init__(self, rows: dict[str, str]) -> None:
        self._columns = {"job_id": Column(rows), "run_uid": Column(rows.values())}

    def column(self, name: str) -> Column:
        return self._columns[name]


class Store:
    """Holds the runs ``held-...``. With a barrier each request waits until so many are under way."""

    def __init__(self, rows: dict[str, str] | None = None, barrier: threading.Barrier | None = None) -> None:
        self._rows, self._barrier = rows, barrier
        self.asked: list[str] = []

    def get_run_uri(self, run_uid: str) -> str | None:
        self.asked.append(run_uid)
        if self._barrier is not None:
            self._barrier.wait(30)
        if run_uid == "broken":
            raise StoreUnavailableError("no answer")
        return f"/runs/{run_uid}" if run_uid.startswith("held") else None

    def read_table(self, name: str, columns: list[str], run_uids: list[str] | None = None) -> Table:
        if self._rows is None:
            raise StoreNotFoundError("nothing was committed")
        return Table({job: uid for job, uid in self._rows.items() if run_uids is None or uid in run_uids})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Asks a store: `asked(store, *jobs)`, each of job id, run uid and whether it was forced."""

    def ask(store: Store, *jobs: tuple[str, str | None, bool]) -> dict[str, tuple[str, str, str | None]]:
        monkeypatch.setattr(reconcile, "open_store", lambda spec: store)
        orders = [(job, 0.0, uid, "never" if force else "auto", 0.5) for job, uid, force in jobs]
        found = stored_runs(TERMS, [(f"of {order[0]}", order) for order in orders])
        assert all(each.notes for each in found.values())
        return {job: (each.ref.run_uid, each.ref.capability_id, each.ref.store_uri) for job, each in found.items()}

    return ask


def test_runs_of_known_uids_are_asked_for_together(asked: Any) -> None:
    store = Store(barrier=threading.Barrier(16))
    jobs = [(f"job-{n}", f"{'held' if n % 3 else 'not'}-{n}", False) for n in range(160)]
    assert asked(store, *jobs) == {
        f"job-{n}": (f"held-{n}", f"of job-{n}", f"/runs/held-{n}") for n in range(160) if n % 3
    }
    assert len(store.asked) == 160, "each once"


def test_the_others_are_looked_for_by_their_jobs(asked: Any) -> None:
    store = Store({"a": "held-a", "forced": "held-f", "another": "held-x"})
    jobs = [
        ("a", None, False),
        ("b", None, False),
        ("forced", "held-f", True),
        ("late", "held-x", True),
        ("named", "held-n", False),
    ]
    assert asked(store, *jobs) == {
        "a": ("held-a", "of a", "/runs/held-a"),
        "forced": ("held-f", "of forced", "/runs/held-f"),
        "named": ("held-n", "of named", "/runs/held-n"),
    }


def test_a_store_without_runs_has_stored_none(asked: Any) -> None:
    assert asked(Store(), ("a", None, False)) == {}
    assert asked(Store()) == {}


def test_no_answer_is_not_taken_for_none(asked: Any) -> None:
    with pytest.raises(StoreUnavailableError):
        asked(Store(), *[(f"job-{n}", "broken" if n == 7 else "held", False) for n in range(40)])
