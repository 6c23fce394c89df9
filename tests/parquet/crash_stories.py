"""What is done to a store when requests fail and processes crash, and what must be true all the same.

A story is an operation, and what becomes of some of its requests. It is tried until it succeeds, each time by a new
process. After each try a reader looks at the store. Everything in a story is determined, so that the same one can be
told again: tokens are counted, and the time stands still.
"""

from __future__ import annotations

import itertools
import secrets
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import field, frozen
from checkmaite.jobs import Provenance, Report, StoreConflictError, StoreError, WriteReceipt
from checkmaite.jobs.testing import SampleRun
from checkmaite.store_parquet import ParquetStore, _compacting, _vacuum
from checkmaite.store_parquet._manifest import INDEXES, newest_manifest
from checkmaite.store_parquet._parquet import table_in
from checkmaite.store_parquet._reading import CommittedRuns

from tests.parquet.crash_disk import FAULTS, ROOT, Crash, CrashingFileSystem, Disk, Fault, Kind

DAY_S = 24 * 3600.0
TABLES = ("a", "b", "runs")
TRIES = 8
"""Two faults spoil two tries, or six where they are bursts of 503."""


def run(uid: str, x: float, **more: Any) -> SampleRun:
    """Two rows in a table, one in another."""
    rows = [{"table_name": "a", "x": x}, {"table_name": "a", "x": -x}, {"table_name": "b", "y": f"{uid} {x}", **more}]
    return SampleRun(run_uid=uid, records=rows)


def _by(event: str) -> Provenance:
    return Provenance(run_event_id=event)


def _write(store: ParquetStore) -> WriteReceipt:
    report = Report(kind="markdown", media_type="text/markdown", text="much " * 8000)
    return store.write_with_receipt(run("new", 5.0, later=1), provenance=_by("new"), report=report)


def _write_to_a_new_table(store: ParquetStore) -> WriteReceipt:
    records = [*run("new", 5.0).records, {"table_name": "New", "z": 1}]
    return store.write_with_receipt(SampleRun(run_uid="new", records=records), provenance=_by("new"))


def _revise(store: ParquetStore) -> WriteReceipt:
    return store.write_with_receipt(run("one", 6.0), provenance=_by("again"), supersede=True)


def _rewrite(store: ParquetStore) -> WriteReceipt:
    return store.write_with_receipt(run("one", 1.0), provenance=_by("one"))


def _tag(store: ParquetStore) -> None:
    try:
        store.tag("report")
    except StoreConflictError:  # an earlier try has made it, and could not know
        assert store.read_table("a", as_of="report").equals(store.read_table("a"))


OPERATIONS: dict[str, Callable[[ParquetStore], Any]] = {
    "write": _write,
    "write to a new table": _write_to_a_new_table,
    "write again": _rewrite,
    "revise": _revise,
    "compact": lambda store: store.compact(),
    "vacuum": lambda store: store.vacuum(),
    "vacuum originals": lambda store: store.vacuum(originals=True),
    "announce": lambda store: store.vacuum(originals=True),
    "write where originals are gone": _write,
    "revise where originals are gone": _revise,
    "write again where originals are gone": _rewrite,
    "tag": _tag,
    "repair": lambda store: store.repair(),
}


def filled(operation: str) -> Disk:
    """What is there before an operation."""
    disk = Disk()
    with process_on(disk):
        store = ParquetStore(ROOT)
        for number, uid in enumerate(["one", "two"]):
            store.write(run(uid, float(number)), provenance=_by(uid))
        if operation == "announce":
            store.compact()
            return disk
        if "gone" in operation or "originals" in operation:
            store.write(run("two", 3.0), provenance=_by("second"), supersede=True)
            store.compact()
            store.vacuum(originals=True)
            disk.now += 2 * DAY_S
            if "gone" in operation:
                assert ParquetStore(ROOT).vacuum(originals=True).originals == 3
            else:
                store.write(run("three", 4.0))
            return disk
        if operation == "repair":  # two results, and the second result of a third run
            store.write(run("two", 3.0), provenance=_by("second"), supersede=True)
            store.write(run("three", 4.0))
            for name in ("one", "two!2", "three"):
                del disk.content[f"runs/{name}.parquet"], disk.written[f"runs/{name}.parquet"]
            disk.now += 2 * DAY_S
        if operation in ("compact", "vacuum"):
            store.compact()
            store.write(run("two", 3.0), provenance=_by("second"), supersede=True)
            store.write(run("three", 4.0))
        if operation == "vacuum":
            store.compact()
            disk.content["_compact/00000000deadbeef/a.parquet"] = b"of a compactor that was killed"
            disk.written["_compact/00000000deadbeef/a.parquet"] = disk.now
            disk.now += 2 * DAY_S
    return disk


class _AnyInstant(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, datetime)


@contextmanager
def process_on(disk: Disk, number: int = 0) -> Iterator[None]:
    """A process that knows nothing yet, and reads one object after the other."""
    INDEXES.forget()
    tokens = itertools.count(1)
    disk.is_dead = False

    class Instants(datetime, metaclass=_AnyInstant):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.fromtimestamp(disk.now, tz or UTC)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CrashingFileSystem, "disk", disk)
        patch.setattr(secrets, "token_hex", lambda _=8: f"{number:04x}{next(tokens):012x}")
        for name, module in list(sys.modules.items()):
            if name.startswith("checkmaite.store_parquet.") and getattr(module, "datetime", None) is datetime:
                patch.setattr(module, "datetime", Instants)
        patch.setattr(_compacting, "_READERS", 1)
        patch.setattr(_vacuum, "_AT_ONCE", 1)
        patch.setattr("checkmaite.jobs._shared.objects._CONFLICT_PAUSES_S", (0.0, 0.0))
        yield


@frozen
class Stories:
    """Tells the stories of an operation."""

    operation: str
    before: Disk
    answers_before: Any
    answers_after: Any
    keys_after: frozenset[str]
    seen: dict[Any, Any] = field(factory=dict)

    @classmethod
    def of(cls, operation: str) -> Stories:
        """Those of one of `OPERATIONS`."""
        before = filled(operation)
        after = before.copy()
        with process_on(after, 1):
            OPERATIONS[operation](ParquetStore(ROOT))
        assert (after.state == before.state) is operation.startswith("write again"), "it has something to do"
        return cls(operation, before, answers(before), answers(after), frozenset(after.content))

    def tell(self, *faults: Fault, is_warm: bool = False) -> list[tuple[Kind, str]]:
        """Tell one; what was asked in it, in all tries.

        Args:
            faults: What becomes of some requests.
            is_warm: Who lives on tries again with the same store.

        Raises:
            AssertionError: Something is not true.
        """
        disk = self.before.copy()
        disk.faults, disk.other = faults, lambda: self._do_meanwhile(disk)
        store, receipt = ParquetStore(ROOT), None
        for number in range(1, TRIES + 1):
            try:
                with process_on(disk, number):
                    receipt = OPERATIONS[self.operation](store)
                break
            except (Crash, StoreError) as error:
                self.check(disk, is_done=False)
                if not is_warm or isinstance(error, Crash):
                    store = ParquetStore(ROOT)
        else:
            raise AssertionError("it does not succeed")
        self.check(disk, is_done=True)
        if isinstance(receipt, WriteReceipt):
            for uri in (receipt.store_uri, receipt.commit_uri):
                assert str(uri).removeprefix(f"{ROOT}/") in disk.content, "what was acknowledged is there"
        if self.operation.startswith("vacuum"):
            assert frozenset(disk.content) == self.keys_after, "a vacuum leaves nothing behind"
        return disk.requests

    def _do_meanwhile(self, disk: Disk) -> None:
        with process_on(disk, TRIES + 1):
            OPERATIONS[self.operation](ParquetStore(ROOT))

    def check(self, disk: Disk, *, is_done: bool) -> None:
        """See that a reader sees whole runs, each once: those of before, and of after once that is acknowledged."""
        key = disk.state, is_done
        if key not in self.seen:
            found = answers(disk)
            assert {*self.answers_before[1]} <= {*found[1]}, "what was there is there"
            may_be = [self.answers_after] if is_done else [self.answers_before, self.answers_after]
            if self.operation == "repair":  # which makes one after the other
                found, may_be = _results_of(found, found), [_results_of(each, found) for each in may_be[-1:]]
            assert found in may_be, found
            self.seen[key] = found


def _results_of(answer: Any, chosen: Any) -> Any:
    """Of an answer the rows of all results that another one knows, and those it does not have."""
    seen, found, _ = answer
    words = [(f"'run_uid': '{uid}'", f"'revision': {revision}") for uid, revision in chosen[1]]
    rows = {
        place: [row for row in rows if any(run in row and revision in row for run, revision in words)]
        for place, rows in seen.items()
        if place.startswith("all")
    }
    return rows, {result: found.get(result) for result in chosen[1]}


def faults_of(requests: Sequence[tuple[Kind, str]], after: int = 0) -> list[Fault]:
    """What may become of each request from one on."""
    numbered = list(enumerate(requests, 1))[after:]
    return [Fault(number, what) for number, (kind, _) in numbered for what in FAULTS[kind]]


def answers(disk: Disk) -> Any:
    """What a reader sees of objects in memory; who looks changes nothing."""
    disk = disk.copy()
    with process_on(disk):
        return answers_of(ParquetStore(ROOT))


def answers_of(store: ParquetStore) -> Any:
    """What a reader sees: rows of newest and of all results, and what a writer is answered; see that all is whole."""
    objects = store._objects
    rows = {(revision, name): list(_rows(store, revision, name)) for revision in (None, "all") for name in TABLES}
    found = {}
    for uid in ("one", "two", "three", "new"):
        for revision in itertools.count(1):
            if (result := store.find_run(uid, revision=revision)) is None:
                break
            report = result.ref.report
            found[uid, revision] = result.provenance.run_event_id, len(report.text or "") if report else 0
    named = {(row["run_uid"], row["revision"]) for row in rows["all", "runs"]}
    assert named == {*found}, "readers see other results than writers"
    for table, number in (("a", 2), ("b", 1)):
        counted = Counter((row["run_uid"], row["revision"]) for row in rows["all", table])
        assert counted == dict.fromkeys(found, number), "whole runs, each once"
    for part in newest_manifest(objects).parts:
        for file in part.files:
            assert table_in(objects.read(part.key(file))).num_rows == file.rows
    for key in [f"{table}/{name}" for table in TABLES for name in objects.names(table)]:
        table_in(objects.read(key))
    seen = {f"{revision} {name}": sorted(map(str, of_table)) for (revision, name), of_table in rows.items()}
    return seen, found, store.backlog().results


def _rows(store: ParquetStore, revision: Any, table: str) -> Iterator[dict[str, Any]]:
    """Rows of a table, without what is null and where they are."""
    dataset = CommittedRuns(store._objects, revision=revision).dataset(table)
    for row in dataset.to_table().to_pylist():
        yield {name: value for name, value in row.items() if value is not None and name != "payload"}
