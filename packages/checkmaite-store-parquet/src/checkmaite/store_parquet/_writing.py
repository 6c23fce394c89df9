"""Writing one result of a run: rows first, then the commit that makes them visible."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from attrs import asdict
from checkmaite.jobs import CapabilityRun, Report, StoreError, WriteReceipt
from checkmaite.jobs.spi import ObjectStore, TableRows, outputs_uri_of
from checkmaite.store_parquet._commits import Commit, Commits
from checkmaite.store_parquet._layout import commit_key, payload_key
from checkmaite.store_parquet._rows import digest_of, holds_rows, moved, payload_bytes, renumbered


class RunWriter:
    """Writes one attempt's result of a run; used once.

    Args:
        objects: The store.
        commits: Its commits.
        run: The run.
        tables: Its rows, whose types fit the store.
        runs: Its ``runs`` rows.
        report: Its report.
        not_before: The result is not of an earlier instant than this.
    """

    def __init__(
        self,
        objects: ObjectStore,
        commits: Commits,
        run: CapabilityRun,
        tables: Sequence[TableRows],
        runs: Sequence[Mapping[str, object]],
        report: Report | None,
        not_before: datetime,
    ) -> None:
        self._not_before = not_before
        self._objects = objects
        self._commits = commits
        self._run = run
        self._tables = tables
        self._runs = runs
        event = runs[0]["run_event_id"]
        self._event = str(event) if event is not None else None
        self._attempt = secrets.token_hex(8)
        self._facts = self._commits.facts_of(
            run.run_uid,
            self._attempt,
            report=report,
            outputs_uri=outputs_uri_of(run),
            rows={table.name: digest_of(table) for table in tables},
        )
        self._created: list[str] = []

    def write(self) -> WriteReceipt:
        """Store the result unless the run has one."""
        if self._wins(1):
            return self._receipt(1)
        self._discard_text()
        found = self._newest()
        assert found is not None, "a commit that was there is never taken away"
        return self._receipt_of(found)

    def supersede(self) -> WriteReceipt:
        """Store the result as the run's next revision, unless an earlier attempt of this execution has done so."""
        found = self._newest()
        while found is None or not self._is_mine(found):
            revision = found.stored.ref.revision + 1 if found is not None else 1
            if self._wins(revision):
                return self._receipt(revision)
            found = self._commits.at(self._run.run_uid, revision)
        self._discard_text()
        return self._receipt_of(found)

    def _newest(self) -> Commit | None:
        return self._commits.newest(self._run.run_uid, run_event_id=self._event)

    def _is_mine(self, commit: Commit) -> bool:
        return self._event is not None and commit.stored.provenance.run_event_id == self._event

    def _wins(self, revision: int) -> bool:
        """Store the result under this number; False when another is there, and then nothing of this one is left."""
        rows = None if self._commits.has_copy(self._run.run_uid, revision) else self._place_rows(revision)
        if rows is not None and self._commits.create(self._run.run_uid, revision, self._dated(rows), self._facts):
            return True
        winner = self._commits.at(self._run.run_uid, revision)
        if winner is not None and winner.attempt == self._attempt:  # the reply to its creation was lost
            return True
        for key in self._created:
            if winner is not None and key not in winner.payloads:
                self._discard(key)
        self._created.clear()
        return False

    def _place_rows(self, revision: int) -> Sequence[Mapping[str, object]] | None:
        """Store the rows; the ``runs`` rows, which name their files. None when the revision is committed already.

        Where another attempt has left other rows, these get a file of their own: attempts are never mixed.
        """
        run_uid = self._run.run_uid
        runs = renumbered(self._runs, revision)
        for table in self._tables:
            key = payload_key(table.name, run_uid, revision)
            facts = asdict(self._facts) if table is self._tables[0] else None
            if self._put(key, payload_bytes(table, runs, facts)):
                continue
            there = self._objects.find(key)
            if there is not None and holds_rows(there, table):
                continue
            if self._objects.exists(commit_key(run_uid, revision)):
                return None
            key = payload_key(table.name, run_uid, revision, tag=self._attempt)
            runs = moved(runs, table.name, key)
            self._put(key, payload_bytes(table, runs, facts))
        self._first_payload = str(runs[0]["payload"])
        return runs

    def _dated(self, runs: Sequence[Mapping[str, object]]) -> Sequence[Mapping[str, object]]:
        """The ``runs`` rows with the instant from which on the result is there: it takes one request from now."""
        now = max(datetime.now(UTC), self._not_before)
        return [{**row, "created_at": now} for row in runs]

    def _put(self, key: str, content: bytes) -> bool:
        created = self._objects.create(key, content)
        if created:
            self._created.append(key)
        return created

    def _discard_text(self) -> None:
        if self._facts.text_key is not None:
            self._discard(self._facts.text_key)

    def _discard(self, key: str) -> None:
        with contextlib.suppress(StoreError):  # no commit names it, so it is only in the way
            self._objects.delete(key)

    def _receipt(self, revision: int) -> WriteReceipt:
        uri = self._objects.uri_of
        commit = commit_key(self._run.run_uid, revision)
        return self._said(revision, uri(self._first_payload), uri(commit), created=True)

    def _receipt_of(self, found: Commit) -> WriteReceipt:
        ref = found.stored.ref
        return self._said(ref.revision, ref.store_uri, ref.commit_uri, created=False)

    def _said(self, revision: int, store_uri: str | None, commit_uri: str | None, *, created: bool) -> WriteReceipt:
        return WriteReceipt(
            run_uid=self._run.run_uid,
            revision=revision,
            store_uri=store_uri,
            commit_uri=commit_uri,
            created=created,
            rows={table.name: len(table.rows) for table in self._tables},
        )
