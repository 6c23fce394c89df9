"""The results of one run: found by their names, without a listing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from attrs import asdict, evolve, field, frozen
from attrs.validators import deep_mapping, instance_of, optional
from checkmaite.jobs import CapabilityRunRef, Provenance, Report, StoreCorruptError, StoreError
from checkmaite.jobs.spi import ObjectStore, StoredRun, artifact_key, provenance_columns
from checkmaite.store_parquet._digests import COMMIT, SCHEME, commit_digest, facts_digest
from checkmaite.store_parquet._layout import commit_key, is_artifact, is_payload
from checkmaite.store_parquet._originals import DeletedOriginals
from checkmaite.store_parquet._rows import commit_bytes, read_commit

_SMALL_REPORT_BYTES = 16 * 1024
"""A larger text is an object beside the commit: whoever reads the table ``runs`` reads the metadata of all commits."""


_TEXT: Any = optional(instance_of(str))
_DIGESTS: Any = optional(instance_of(dict))
_REPORT: Any = optional(deep_mapping(key_validator=instance_of(str), value_validator=_TEXT))


def _is_kept_here(_: object, __: object, key: str | None) -> None:
    if key is not None and not is_artifact(key):
        raise ValueError(f"its report is kept as {key!r:.80}")


@frozen(kw_only=True)
class Commit:
    """One result of a run as its commit object says it.

    Attributes:
        stored: The result; the text of a report that is not small is not in it.
        text_key: Where that text is.
        attempt: Token of the call that wrote it; None of an earlier version's.
        payloads: The files of its rows, relative to the store; none of a result that only copies have.
    """

    stored: StoredRun
    text_key: str | None
    attempt: str | None
    payloads: frozenset[str]


@frozen(kw_only=True)
class Facts:
    """What a commit says beside its ``runs`` rows; the fields are those of `Commit` and of its ref.

    Of an earlier version's there are no digests.
    """

    attempt: str | None = field(default=None, validator=_TEXT)
    outputs_uri: str | None = field(default=None, validator=_TEXT)
    report: Mapping[str, Any] | None = field(default=None, validator=_REPORT)
    text_key: str | None = field(default=None, validator=_is_kept_here)
    digests: Mapping[str, Any] | None = field(default=None, validator=_DIGESTS)


class Commits:
    """Creates and finds the commit objects of runs.

    Revisions of a run have no gaps, so the newest is found by asking for one after the other.

    Args:
        objects: The store.
        deleted: Where results are looked up whose commits may be gone.
    """

    def __init__(self, objects: ObjectStore, deleted: DeletedOriginals) -> None:
        self._objects = objects
        self._deleted = deleted

    def facts_of(
        self,
        run_uid: str,
        attempt: str,
        *,
        report: Report | None,
        outputs_uri: str | None,
        rows: Mapping[str, str],
    ) -> Facts:
        """What a commit will say; a report's text that is not small is kept already.

        Args:
            run_uid: The run.
            attempt: Token of the call that writes.
            report: The run's report.
            outputs_uri: The run's own.
            rows: By table the digest of its rows.
        """
        key = None
        digests = {"scheme": SCHEME, "rows": rows, "report": facts_digest(asdict(report)) if report else None}
        if report is not None and report.text is not None:
            content = report.text.encode()
            if len(content) > _SMALL_REPORT_BYTES:
                key = artifact_key(f"{run_uid}/{attempt}/report")
                self._objects.create(key, content)
                report = evolve(report, text=None)
        said = asdict(report) if report is not None else None
        return Facts(attempt=attempt, outputs_uri=outputs_uri, report=said, text_key=key, digests=digests)

    def create(self, run_uid: str, revision: int, rows: Sequence[Mapping[str, object]], facts: Facts) -> bool:
        """Make a revision visible, unless it is there; whether this call did."""
        if self.has_copy(run_uid, revision):
            return False
        said = asdict(facts)
        said["digests"][COMMIT] = commit_digest(rows, said)
        return self._objects.create(commit_key(run_uid, revision), commit_bytes(rows, said))

    def has_copy(self, run_uid: str, revision: int) -> bool:
        """Whether a revision is stored, though its commit may be gone."""
        return self._deleted.find(run_uid, revision) is not None

    def at(self, run_uid: str, revision: int) -> Commit | None:
        """A revision of a run, if the store holds it.

        Raises:
            StoreCorruptError: The object is no commit.
        """
        key = commit_key(run_uid, revision)
        content = self._objects.find(key)
        try:
            if content is not None:
                rows, facts = read_commit(content)
                return self._commit(rows, Facts(**facts), run_uid, revision, key)
            copied = self._deleted.find(run_uid, revision)
            if copied is None:
                return None
            key, kept = copied.runs_key, Facts(**copied.facts)
            found = self._commit(copied.rows, kept, run_uid, revision, key, store_key=copied.payload_key)
            return evolve(found, payloads=frozenset())
        except (pa.ArrowException, LookupError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
            if isinstance(error, StoreError):
                raise
            uri = self._objects.uri_of(key)
            raise StoreCorruptError(
                f"{uri}: this is no commit of a run ({type(error).__name__}). Restore it from a backup.", uri=uri
            ) from error

    def newest(self, run_uid: str, *, run_event_id: str | None = None) -> Commit | None:
        """The newest revision of a run, or that of one execution if it has stored one."""
        newest, revision = None, 1
        while (found := self.at(run_uid, revision)) is not None:
            newest, revision = found, revision + 1
            if run_event_id is not None and found.stored.provenance.run_event_id == run_event_id:
                break
        return newest

    def whole(self, commit: Commit) -> StoredRun:
        """A result with its report's text."""
        stored, report = commit.stored, commit.stored.ref.report
        if commit.text_key is None or report is None:
            return stored
        uri = self._objects.uri_of(commit.text_key)
        try:
            text = self._objects.read(commit.text_key).decode()
        except UnicodeDecodeError as error:
            raise StoreCorruptError(
                f"{uri}: this is no text of a report. Restore it from a backup.", uri=uri
            ) from error
        return evolve(stored, ref=evolve(stored.ref, report=evolve(report, text=text)))

    def _commit(
        self,
        rows: list[dict[str, Any]],
        facts: Facts,
        run_uid: str,
        revision: int,
        key: str,
        *,
        store_key: str | None = None,
    ) -> Commit:
        first = rows[0]
        if any(first[name] is None for name in ("capability_id", "created_at")):
            raise ValueError("it does not say what ran, or when")
        if others := {row["run_uid"] for row in rows} - {run_uid}:
            raise ValueError(f"it is of {others.pop()!r}")
        if strange := [row for row in rows if not is_payload(row["payload"], row["capability_table"])]:
            raise ValueError(f"it names {strange[0]['payload']!r}")
        ref = CapabilityRunRef(
            run_uid=first["run_uid"],
            revision=revision,
            capability_id=first["capability_id"],
            store_uri=self._objects.uri_of(store_key or first["payload"]),
            commit_uri=self._objects.uri_of(key),
            outputs_uri=facts.outputs_uri,
            report=Report(**facts.report) if facts.report else None,
        )
        provenance = Provenance(**{name: first.get(name) for name in provenance_columns()})
        return Commit(
            stored=StoredRun(ref=ref, provenance=provenance, created_at=first["created_at"]),
            text_key=facts.text_key,
            attempt=facts.attempt,
            payloads=frozenset(row["payload"] for row in rows),
        )
