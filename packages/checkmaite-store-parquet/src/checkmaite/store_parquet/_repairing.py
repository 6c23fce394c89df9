"""Making commits anew that are not there, from what the files of rows say of their runs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa
from attrs import field, frozen
from checkmaite.jobs.spi import ObjectStore
from checkmaite.store_parquet._clock import read_clock
from checkmaite.store_parquet._commits import Commits, Facts
from checkmaite.store_parquet._datasets import RUN
from checkmaite.store_parquet._digests import SCHEME, rows_digest
from checkmaite.store_parquet._foreign import may_be_foreign
from checkmaite.store_parquet._layout import RUNS, SUFFIX, TABLE, commit_key, revision_of
from checkmaite.store_parquet._parquet import UnreadableError, table_in
from checkmaite.store_parquet._reading import CommittedRuns
from checkmaite.store_parquet._rows import ATTEMPT_METADATA_KEY, RUNS_METADATA_KEY
from checkmaite.store_parquet._schema import RUNS_COLUMNS, RUNS_SCHEMA

_TAG = re.compile(r"\.[0-9a-f]{16}(?=\.parquet$)")
"""In the name of a file that of the attempt which wrote it."""


@frozen(kw_only=True)
class Rebuilt:
    """A commit that was made anew.

    Attributes:
        run_uid: The run.
        revision: Which result of it is there again.
        uri: The commit.
    """

    run_uid: str
    revision: int
    uri: str


@frozen(kw_only=True)
class Repair:
    """What a repair has done, or would do.

    Attributes:
        rebuilt: The commits.
        left: Files of rows that belong to no commit and stay so, each with the reason.
    """

    rebuilt: tuple[Rebuilt, ...]
    left: Mapping[str, str]


@frozen
class _Orphan:
    """A file of rows that belongs to no commit."""

    key: str
    table: str
    digest: str
    runs: Sequence[Mapping[str, Any]] = field(repr=False)
    facts: Facts | None


class _LeftError(Exception):
    """A file cannot be used; the text says why."""


class Repairer:
    """Repairs a store; used once. Any number may do so at once, beside everybody else.

    Args:
        objects: The store.
        commits: Its commits.
        grace_s: Files that are younger, in seconds by the store's clock, are left to their writers.
    """

    def __init__(self, objects: ObjectStore, commits: Commits, grace_s: float) -> None:
        self._objects = objects
        self._commits = commits
        self._grace_s = grace_s
        self._left: dict[str, str] = {}

    def run(self, *, dry_run: bool) -> Repair:
        """Make what can be made.

        Files are listed before commits, so that one whose commit is just made is not taken for one without.
        """
        now, _ = read_clock(self._objects)
        tables = [name for name in self._objects.folders() if re.fullmatch(TABLE, name) and name != RUNS]
        written = {table: self._objects.modified(table) for table in tables}
        listed = {table: self._objects.names(table) for table in tables}
        committed = set(CommittedRuns(self._objects, revision="all").commits) | set(self._objects.names(RUNS))
        groups: dict[str, list[tuple[str, str]]] = {}
        for table, names in listed.items():
            for name in names:
                result = _TAG.sub("", name)
                if name.endswith(SUFFIX) and name not in committed and result not in committed:
                    groups.setdefault(result, []).append((table, name))
        rebuilt = []
        for result in sorted(groups, key=_in_order):
            files = groups[result]
            ages = [written[table].get(name) for table, name in files]
            if now is None or any(at is None or at >= now - self._grace_s for at in ages):
                for table, name in files:
                    if not may_be_foreign(name):
                        self._leave(f"{table}/{name}", "it is younger than the grace, so its writer may be at work")
                continue
            made = self._rebuilt(result, files, committed, dry_run=dry_run)
            if made is not None:
                committed.add(result)
                rebuilt.append(made)
        return Repair(rebuilt=tuple(rebuilt), left=self._left)

    def _rebuilt(
        self, result: str, files: Iterable[tuple[str, str]], committed: set[str], *, dry_run: bool
    ) -> Rebuilt | None:
        orphans = [orphan for table, name in files if (orphan := self._orphan(table, name, result))]
        whole, reason = _whole(orphans)
        if whole is not None:
            reason = self._obstacle(whole[0], committed)
        if whole is None or reason:
            for orphan in orphans:
                self._leave(orphan.key, reason)
            return None
        first, *_ = whole
        run_uid, revision = str(first.runs[0][RUN]), int(first.runs[0]["revision"])
        rows = [
            {**row, "capability_table": orphan.table, "payload": orphan.key} for orphan in whole for row in first.runs
        ]
        assert first.facts is not None, "it is chosen by what it says"
        if not dry_run and not self._commits.create(run_uid, revision, rows, first.facts):
            return None  # somebody else has made it
        return Rebuilt(run_uid=run_uid, revision=revision, uri=self._objects.uri_of(commit_key(run_uid, revision)))

    def _obstacle(self, first: _Orphan, committed: set[str]) -> str:
        """Why a result that is whole cannot be there; empty when it can."""
        run_uid, revision = str(first.runs[0][RUN]), int(first.runs[0]["revision"])
        before = commit_key(run_uid, revision - 1) if revision > 1 else None
        if before is not None and before.removeprefix(f"{RUNS}/") not in committed:
            return f"the result before it, {before}, is not there"
        key = first.facts.text_key if first.facts else None
        if key is not None and not self._objects.exists(key):
            return f"the text of its report, {key}, is not there"
        return ""

    def _orphan(self, table: str, name: str, result: str) -> _Orphan | None:
        key = f"{table}/{name}"
        content = self._objects.find(key)
        if content is None:
            return None
        try:
            rows = table_in(content)
            metadata = rows.schema.metadata or {}
            if RUNS_METADATA_KEY.encode() not in metadata:
                if not may_be_foreign(name):
                    self._leave(key, "it does not say which run it is of")
                return None
            runs = [_row(each) for each in json.loads(metadata[RUNS_METADATA_KEY.encode()])]
            said = metadata.get(ATTEMPT_METADATA_KEY.encode())
            facts = Facts(**json.loads(said)) if said is not None else None
            if not _is_of(runs, rows, table, result):
                raise ValueError("it is of another run than its name")
            return _Orphan(key, table, rows_digest(rows), runs, facts)
        except (UnreadableError, pa.ArrowException, LookupError, TypeError, ValueError, RecursionError):
            self._leave(key, "this is not readable as rows of a run")
            return None

    def _leave(self, key: str, reason: str) -> None:
        self._left[self._objects.uri_of(key)] = reason


def _whole(orphans: Sequence[_Orphan]) -> tuple[list[_Orphan] | None, str]:
    """The files of one whole result, first the one that says what else there is; or why there are none."""
    reason = "nothing is there that says what else its run has"
    leaders = [(orphan, orphan.facts.digests) for orphan in orphans if orphan.facts and orphan.facts.digests]
    for leader, digests in sorted(leaders, key=lambda each: (str(each[0].runs[0]["created_at"]), each[0].key)):
        tables = digests.get("rows") if digests.get("scheme") == SCHEME else None
        if not isinstance(tables, Mapping) or next(iter(tables), None) != leader.table:
            continue
        found = [_file_of(table, digest, [leader, *orphans]) for table, digest in tables.items()]
        if found[0] is leader and None not in found:
            return [each for each in found if each is not None], ""
        missing = [table for table, each in zip(tables, found, strict=True) if each is None]
        reason = f"its run is not whole: no file has its rows of {', '.join(missing) or leader.table}"
    return None, reason


def _file_of(table: str, digest: object, orphans: Iterable[_Orphan]) -> _Orphan | None:
    return next((each for each in orphans if (each.table, each.digest) == (table, digest)), None)


def _row(said: Mapping[str, Any]) -> dict[str, Any]:
    """A ``runs`` row from the JSON of a file's metadata."""
    row = {name: said.get(name) for name in RUNS_COLUMNS}
    for name, value in row.items():
        if value is not None and pa.types.is_timestamp(RUNS_SCHEMA.field(name).type):
            row[name] = datetime.fromisoformat(value)
    return row


def _is_of(runs: Sequence[Mapping[str, Any]], rows: pa.Table, table: str, result: str) -> bool:
    """Whether a file is what it says: rows of one result in one table, of the run that its name says."""
    said = {(row[RUN], row["revision"], row["capability_table"]) for row in runs}
    if len(said) != 1:
        return False
    ((run_uid, revision, about),) = said
    return (
        commit_key(run_uid, revision) == f"{RUNS}/{result}"
        and about == table
        and all(isinstance(row["created_at"], datetime) and isinstance(row["capability_id"], str) for row in runs)
        and rows.column(RUN).unique().to_pylist() == [run_uid]
    )


def _in_order(result: str) -> tuple[str, int]:
    return revision_of(result) or (result, 0)
