"""Whether results are what was stored: their digests are computed again and compared with those of their commits."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as ds
from attrs import field, frozen
from checkmaite.jobs import StoreCorruptError, StoreNotFoundError
from checkmaite.jobs.spi import ObjectStore, object_name
from checkmaite.store_parquet._datasets import RUN, open_file, reading
from checkmaite.store_parquet._digests import COMMIT, SCHEME, commit_digest, facts_digest, rows_digest
from checkmaite.store_parquet._foreign import may_be_foreign, names_files
from checkmaite.store_parquet._layout import RUNS, commit_name, is_artifact, revision_of
from checkmaite.store_parquet._manifest import INDEXES, Part, newest_manifest
from checkmaite.store_parquet._parquet import UnreadableError, table_in
from checkmaite.store_parquet._rows import COMMIT_FACTS, read_commit


@frozen(kw_only=True)
class Finding:
    """What was found of one result of a run.

    Attributes:
        run_uid: The run.
        revision: Which result of it.
        what: ``commit``, ``report``, or the rows: ``rows of 'accuracy'``.
        uri: The object.
        reason: What is wrong with it, or why nothing can be said.
    """

    run_uid: str
    revision: int
    what: str
    uri: str
    reason: str


@frozen(kw_only=True)
class Verification:
    """What `verify` has found.

    Attributes:
        results: How many results of runs were looked at.
        changed: What is not as it was stored, or is not there.
        unknown: Of what nothing can be said.
    """

    results: int
    changed: tuple[Finding, ...] = ()
    unknown: tuple[Finding, ...] = ()

    @property
    def is_unchanged(self) -> bool:
        """Whether everything of which something can be said is as it was stored."""
        return not self.changed


@frozen
class _Held:
    """One result as one place holds it: small files, or a part.

    Attributes:
        rows: Its ``runs`` rows.
        facts: What its commit says beside them.
        tables: By table where its rows are, and they, or why they cannot be read.
    """

    run_uid: str
    revision: int
    uri: str
    rows: Sequence[Mapping[str, Any]] = field(repr=False)
    facts: Mapping[str, Any] = field(repr=False)
    tables: Mapping[str, tuple[str, pa.Table | str]] = field(repr=False)


class Verifier:
    """Looks at results; used once.

    Args:
        objects: The store.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._parts = newest_manifest(objects).parts
        self._seen: dict[str, set[int]] = {}
        self._changed: list[Finding] = []
        self._unknown: list[Finding] = []

    def run(self, run_uid: str | None, revision: int | None) -> Verification:
        """Look at one result, all results of a run, or all there are: in small files and in copies.

        Raises:
            StoreNotFoundError: The store holds no such result.
        """
        for name in self._names(run_uid, revision):
            self._look_at_original(name)
        for part in self._parts:
            for held in self._copies(part, run_uid, revision):
                self._look_at(held)
        if revision is None:
            self._look_for_gaps()
        results = {*((run, number) for run, numbers in self._seen.items() for number in numbers)}
        if run_uid is not None and not results:
            uri = self._objects.root
            raise StoreNotFoundError(f"{uri}: no such result of {run_uid!r} is stored.", uri=uri)
        return Verification(results=len(results), changed=tuple(self._changed), unknown=tuple(self._unknown))

    def _names(self, run_uid: str | None, revision: int | None) -> list[str]:
        """Names in ``runs/`` of commits to look at."""
        if run_uid is None:
            return [name for name in self._objects.names(RUNS) if revision_of(name)]
        run = object_name(run_uid)
        if revision is not None:
            return [commit_name(run, revision)]
        listed = (name for name in self._objects.names(RUNS) if (found := revision_of(name)) and found[0] == run)
        return list(listed)

    def _look_at_original(self, name: str) -> None:
        content = self._objects.find(key := f"{RUNS}/{name}")
        named = revision_of(name)
        if content is None or named is None:
            return
        run_uid, revision = unquote(named[0]), named[1]
        uri = self._objects.uri_of(key)
        try:
            if not names_files(table_in(content)):
                if not may_be_foreign(name):
                    self._note(self._changed, (run_uid, revision, uri), "commit", "this is no commit of a run")
                return
            rows, facts = read_commit(content)
            run_uid = str(rows[0][RUN])
        except (UnreadableError, pa.ArrowException, LookupError, TypeError, ValueError, RecursionError):
            self._note(self._changed, (run_uid, revision, uri), "commit", "this is not readable as a commit of a run")
            return
        files = {str(row["capability_table"]): str(row["payload"]) for row in rows}
        tables = {table: (self._objects.uri_of(file), self._rows_in(file)) for table, file in files.items()}
        self._look_at(_Held(run_uid, revision, uri, rows, facts, tables))

    def _rows_in(self, key: str, run_uid: str | None = None) -> pa.Table | str:
        """The rows of a file, or of a run in it; why there are none."""
        try:
            if run_uid is not None:
                with reading(self._objects, key):
                    return open_file(self._objects, key).to_table(filter=ds.field(RUN) == run_uid)
            content = self._objects.find(key)
            return table_in(content) if content is not None else "it is not there"
        except StoreNotFoundError:
            return "it is not there"
        except (UnreadableError, StoreCorruptError):
            return "this is not readable Parquet"

    def _copies(self, part: Part, run_uid: str | None, revision: int | None) -> Iterator[_Held]:
        index = INDEXES.of(self._objects, [part])[part.name]
        for number in {file.revision for file in part.files if revision in (None, file.revision)}:
            if run_uid is not None and not index.of([object_name(run_uid)], number):
                continue
            files = {file.table: part.key(file) for file in part.files if file.revision == number}
            read = {table: self._rows_in(key, run_uid) for table, key in files.items()}
            by_run = {table: _by_run(rows) for table, rows in read.items() if not isinstance(rows, str)}
            uri = self._objects.uri_of(files[RUNS])
            wanted = index.run_uids_of(number) if run_uid is None else {run_uid}
            for run in sorted(wanted):
                rows = by_run.get(RUNS, {}).get(run)
                if rows is None:
                    said = read[RUNS] if isinstance(read[RUNS], str) else "its rows are not there"
                    self._note(self._changed, (run, number, uri), "commit", said)
                    continue
                tables: dict[str, tuple[str, pa.Table | str]] = {}
                for table in files:
                    there = read[table] if isinstance(read[table], str) else by_run[table].get(run)
                    if there is not None:
                        tables[table] = self._objects.uri_of(files[table]), there
                listed = rows.to_pylist()
                facts = [text for row in listed if (text := row.pop(COMMIT_FACTS, None)) is not None]
                yield _Held(run, number, uri, listed, _facts(facts), tables)

    def _look_for_gaps(self) -> None:
        for run_uid, numbers in self._seen.items():
            for number in sorted({*range(1, max(numbers))} - numbers):
                uri = self._objects.uri_of(f"{RUNS}/{commit_name(object_name(run_uid), number)}")
                self._note(self._changed, (run_uid, number, uri), "commit", "it is not there, though later results are")

    def _look_at(self, held: _Held) -> None:
        self._seen.setdefault(held.run_uid, set()).add(held.revision)
        place = held.run_uid, held.revision, held.uri
        digests = held.facts.get("digests")
        if not isinstance(digests, Mapping) or digests.get("scheme") != SCHEME:
            reason = "a version that kept no digests, or other ones, has stored it"
            self._note(self._unknown, place, "commit", reason)
            return
        if commit_digest(held.rows, held.facts) != digests.get(COMMIT):
            self._note(self._changed, place, "commit", "it does not say what it said when it was stored")
        for table, digest in dict(digests.get("rows") or {}).items():
            uri, rows = held.tables.get(table, (held.uri, "they are not there"))
            reason = rows if isinstance(rows, str) else _rows_reason(rows, digest)
            if reason:
                self._note(self._changed, (held.run_uid, held.revision, uri), f"rows of {table!r}", reason)
        self._look_at_report(held, digests.get("report"))

    def _look_at_report(self, held: _Held, digest: object) -> None:
        said, key = held.facts.get("report"), held.facts.get("text_key")
        if not isinstance(said, Mapping):
            if digest is not None:
                place = held.run_uid, held.revision, held.uri
                self._note(self._changed, place, "report", "it is not there")
            return
        place = held.run_uid, held.revision, self._objects.uri_of(str(key)) if key else held.uri
        if is_artifact(key):
            content = self._objects.find(str(key))
            if content is None:
                self._note(self._changed, place, "report", "it is not there")
                return
            said = {**said, "text": content.decode(errors="replace")}
        if facts_digest(said) != digest:
            self._note(self._changed, place, "report", "it is not the one that was stored")
        if said.get("uri"):
            place = held.run_uid, held.revision, str(said["uri"])
            self._note(self._unknown, place, "report", "only where it is was stored, and no digest of its content")

    def _note(self, where: list[Finding], place: tuple[str, int, str], what: str, reason: str) -> None:
        run_uid, revision, uri = place
        self._seen.setdefault(run_uid, set()).add(revision)
        where.append(Finding(run_uid=run_uid, revision=revision, what=what, uri=uri, reason=reason))


def _rows_reason(rows: pa.Table, digest: object) -> str:
    try:
        return "" if rows_digest(rows) == digest else "they are not those that were stored"
    except (ValueError, TypeError, pa.ArrowException):
        return "they are of types that no table has"


def _by_run(rows: pa.Table) -> dict[str, pa.Table]:
    """The rows of each run, where those of one stand together."""
    found = {}
    start = 0
    for run_uid, same in groupby(rows.column(RUN).to_pylist() if RUN in rows.column_names else []):
        length = sum(1 for _ in same)
        found[run_uid] = rows.slice(start, length)
        start += length
    return found


def _facts(texts: Sequence[str]) -> Mapping[str, Any]:
    try:
        facts = json.loads(texts[0])
    except (IndexError, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, Mapping) else {}
