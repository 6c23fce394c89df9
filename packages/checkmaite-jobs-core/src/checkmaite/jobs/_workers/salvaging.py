"""Keeps the rows of a run that no store takes in a file, so that what took hours to compute is not lost."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from checkmaite.jobs._shared.config import ArtifactFolder
from checkmaite.jobs._shared.errors import StoreUnavailableError
from checkmaite.jobs._shared.files import create_file
from checkmaite.jobs._shared.identities import identity_cause
from checkmaite.jobs._shared.naming import object_name
from checkmaite.jobs._shared.provenance import Provenance
from checkmaite.jobs._shared.refs import Report
from checkmaite.jobs._shared.salvage_format import first_line, lines_of
from checkmaite.jobs._shared.store_protocols import AnalyticsStore, KeepsArtifacts
from checkmaite.jobs._shared.texts import class_name, message_text
from checkmaite.jobs._workers.failing import this_node
from checkmaite.jobs._workers.report import DocumentFolder

LIMIT_BYTES = 256 * 2**20
"""Rows beyond this many bytes, as they are written, are not kept."""
_UNNAMED = "unnamed"
"""The folder of rows whose run has no uid that could name it."""


def remembering(run: Any) -> Any:
    """The run, asked for its records now, which it gives again to whoever asks; what has none is the store's to refuse.

    Its own code has run then, before anything is written.
    """
    return RememberedRun(run) if callable(getattr(run, "extract", None)) else run


class RememberedRun:
    """A run that remembers what its `extract` gave, as far as it came, and is otherwise the run itself.

    A store asks it for its records; when they cannot be stored, they need not be computed, or drawn, a second time.
    """

    def __init__(self, run: Any) -> None:
        self._run = run
        self._given: Any = None
        self._raised: Exception | None = None
        self._broken: Exception | None = None
        self.records: list[Any] | tuple[Any, ...] = []
        try:
            self._given = run.extract()
        except Exception as error:  # noqa: BLE001 - raised again where a store asks, which says what is wrong with it
            self._raised = error
        if isinstance(self._given, (list, tuple)):
            self.records = self._given
        elif isinstance(self._given, Iterable) and not isinstance(self._given, (str, bytes, Mapping)):
            self._given, self._broken = _listed(self._given)
            self.records = self._given

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)

    def extract(self) -> Any:
        """The run's own records, or whatever it gave instead: a store says what is wrong with it."""
        if self._raised is not None:
            raise self._raised
        return self._given if self._broken is None else _broken_off(self.records, self._broken)


def _listed(given: Iterable[Any]) -> tuple[list[Any], Exception | None]:
    """What there is, as far as it comes, and what was raised there."""
    records: list[Any] = []
    try:
        for record in given:
            records.append(record)  # noqa: PERF402 - what came before an error counts
    except Exception as error:  # noqa: BLE001 - see above
        return records, error
    return records, None


def _broken_off(records: Iterable[Any], error: Exception) -> Iterator[Any]:
    yield from records
    raise error


def keep_rows(
    run: Any,
    error: Exception,
    *,
    store: AnalyticsStore,
    artifacts: ArtifactFolder | None,
    provenance: Provenance,
    report: Report | None,
) -> str:
    """Keep the rows of a run that could not be stored, and say where and what to do with them.

    They go to the artifact store, or beside the results when the store keeps documents and answers, or else to a local
    file of the worker. The name is made of the content: the same rows are kept once, and never replaced.

    Args:
        run: What `remembering` gave; nothing is kept when no record came out of it.
        error: Why it could not be stored.
        store: The store that did not take it.
        artifacts: Where documents go, if the user has said so.
        provenance: Who ran it.
        report: Its report, if that is a text.
    """
    if not isinstance(run, RememberedRun) or not run.records:
        return ""
    try:
        lines, left_out = lines_of(run.records, LIMIT_BYTES)
        head = first_line(run, provenance=provenance, report=report, error=error, left_out=left_out)
        rows = b"\n".join(lines)
        name = f"rows-{hashlib.sha256(rows).hexdigest()[:16]}.jsonl"
        folder = _UNNAMED if identity_cause(getattr(run, "run_uid", None)) else str(run.run_uid)
        where = _kept(folder, name, b"\n".join((head, rows, b"")), error, store, artifacts)
    except Exception as failed:  # noqa: BLE001 - the first error is what the user must see; this one is said beside it
        return f"Its rows could not be kept either: {class_name(failed)}: {message_text(failed)}"
    cut = f" The last {left_out} are not among them: more than {LIMIT_BYTES:,} bytes are not kept." if left_out else ""
    return (
        f"Its {len(run.records)} rows are kept in {where}.{cut} Nothing has to be computed again: mend what is wrong, "
        "then store.write(run, provenance=run.provenance) with run = checkmaite.jobs.read_salvaged_run(that file)."
    )


def _kept(
    folder: str,
    name: str,
    content: bytes,
    error: Exception,
    store: AnalyticsStore,
    artifacts: ArtifactFolder | None,
) -> str:
    keepers: list[Any] = [] if artifacts is None else [DocumentFolder(artifacts)]
    if isinstance(store, KeepsArtifacts) and not isinstance(error, StoreUnavailableError):
        keepers.append(store)
    for keeper in keepers:
        try:
            uri: str = keeper.put_artifact(f"{folder}/{name}", content)
        except Exception:  # noqa: BLE001, S112 - stores are plug-ins, and there is another place for the rows
            continue
        return repr(uri)
    here = tempfile.mkdtemp(prefix="checkmaite-rows-")
    create_file(path := str(Path(here, f"{object_name(folder)}-{name}")), content)
    return f"{path!r} on the worker's machine, {this_node()} (fetch it soon: it may not stay there)"
