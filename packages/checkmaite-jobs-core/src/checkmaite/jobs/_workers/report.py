"""Collects a run's report before the run is stored, so that report and rows are of the same attempt."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from attrs import frozen
from checkmaite.jobs._shared.config import ArtifactFolder
from checkmaite.jobs._shared.naming import object_name, plain_text
from checkmaite.jobs._shared.objects import ObjectStore
from checkmaite.jobs._shared.refs import ARTIFACT, INLINE_TEXT, MARKDOWN, REPORT_INLINE_LIMIT_BYTES, Report
from checkmaite.jobs._shared.store_protocols import AnalyticsStore, KeepsArtifacts
from checkmaite.jobs._shared.texts import shortened
from checkmaite.jobs._shared.values import with_article
from checkmaite.jobs._workers.interrupt import Interrupt

_NOTE_BYTES = 2_000


@frozen(kw_only=True)
class Draft:
    """What a run gave as its report, before it is kept anywhere.

    Attributes:
        report: The report; of one that has to be published, without text and URI.
        content: What has to be published; None when nothing has.
        notes: What went wrong.
    """

    report: Report | None = None
    content: bytes | None = None
    notes: tuple[str, ...] = ()


def collect_report(run: Any, *, threshold: float, interrupt: Interrupt) -> Draft:
    """What the run's ``collect_md_report`` gives: text, or an object that says what it is.

    A report that fails in whatever way is a note and never fails the job.

    Args:
        run: The run.
        threshold: Given to ``collect_md_report``.
        interrupt: Tells an interruption that somebody asked for from an error of the report's own.
    """
    try:
        collect = getattr(run, "collect_md_report", None)
        return _draft(collect(threshold)) if callable(collect) else Draft()
    except NotImplementedError:
        return Draft()
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and interrupt.may_have_raised:
            raise
        return Draft(notes=(f"the report failed: {_said(error)}",))


class Publication:
    """A report that is being published; `withdraw` deletes it again when another attempt's result counts.

    An attempt that is killed in between cannot, so its document says by its name whose it is.

    Attributes:
        report: What the run ref says; None when there is none, or when it could not be kept.
        notes: What went wrong.
    """

    def __init__(
        self, draft: Draft, run_uid: str, job_id: str, store: AnalyticsStore, artifacts: ArtifactFolder | None
    ) -> None:
        self.report, self.notes = draft.report, draft.notes
        self._published: tuple[Any, str] | None = None
        if draft.report is None or draft.content is None:
            return
        size = len(draft.content)
        keeper = DocumentFolder(artifacts) if artifacts is not None else store
        if not isinstance(keeper, KeepsArtifacts):
            self._drop(
                f"the report has {size} bytes and this analytics store keeps no documents, so it was dropped. "
                'Configure artifact_store={"uri": ...} to keep such reports.'
            )
            return
        # Each attempt has a name of its own: no report ever stands beside another attempt's rows.
        name = f"{run_uid}/{job_id}-{secrets.token_hex(8)}/{draft.report.filename}"
        try:
            uri = keeper.put_artifact(name, draft.content)
        except Exception as error:  # noqa: BLE001 - stores are plug-ins; a report is not worth the run
            self._drop(f"the report could not be stored: {_said(error)}")
            return
        self.report = Report(kind=ARTIFACT, media_type=draft.report.media_type, uri=uri, filename=draft.report.filename)
        self._published = keeper, name

    def withdraw(self) -> None:
        """Delete what was published, where the keeper can: no ref names it."""
        if self._published is not None:
            keeper, name = self._published
            with contextlib.suppress(Exception):  # stores are plug-ins, and what stays is only in the way
                keeper.delete_artifact(name)

    def _drop(self, note: str) -> None:
        self.report, self.notes = None, (*self.notes, note)


def _draft(given: object) -> Draft:
    """What a report's author meant.

    The objects of the CheckMAITE package have ``media_type``, ``filename`` and either ``content`` or ``uri``; mappings
    of these are taken too. A `uri` elsewhere says that the author has published it. A file of this machine has not been
    published: others cannot read it, and it may be gone soon.
    """
    if isinstance(given, str):
        return _text_draft(given, MARKDOWN, "report.md")
    found = {name: _part(given, name) for name in ("media_type", "filename", "content", "uri")}
    content, uri = found["content"], found["uri"]
    media_type = found["media_type"] if isinstance(found["media_type"], str) else MARKDOWN
    named = found["filename"] if isinstance(found["filename"], str) else ""
    filename = plain_text(named).replace("\\", "/").rpartition("/")[2] or "report.md"
    media_type = plain_text(media_type)
    if isinstance(content, str):
        return _text_draft(content, media_type, filename)
    if isinstance(content, (bytes, bytearray, memoryview)):
        return Draft(report=Report(kind=ARTIFACT, media_type=media_type, filename=filename), content=bytes(content))
    if isinstance(uri, str) and (path := _file_here(uri)) is not None:
        report = Report(kind=ARTIFACT, media_type=media_type, filename=filename)
        return Draft(report=report, content=path.read_bytes())
    if isinstance(uri, str) and uri:
        return Draft(report=Report(kind=ARTIFACT, media_type=media_type, uri=plain_text(uri), filename=filename))
    kind = with_article(type(given).__name__)
    return Draft(
        notes=(f"collect_md_report() returned {kind}, neither text nor a report with content or uri; it was dropped.",)
    )


def _file_here(uri: str) -> Path | None:
    """The file of this machine that a path or a ``file://`` URL names, where there is one."""
    scheme, separator, rest = uri.partition("://")
    if separator and scheme not in ("file", "local"):
        return None
    path = Path(unquote(rest) if separator else uri)
    return path if path.is_absolute() and path.is_file() else None


def _part(given: object, name: str) -> object:
    return given.get(name) if isinstance(given, Mapping) else getattr(given, name, None)


def _text_draft(text: str, media_type: str, filename: str) -> Draft:
    text, notes = plain_text(text), tuple[str, ...]()
    try:
        content = text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        content = text.encode()
        notes = ("the report held lone surrogates, which no file can: each is replaced by U+FFFD.",)
    if len(content) <= REPORT_INLINE_LIMIT_BYTES:
        return Draft(report=Report(kind=INLINE_TEXT, media_type=media_type, text=text, filename=filename), notes=notes)
    return Draft(report=Report(kind=ARTIFACT, media_type=media_type, filename=filename), content=content, notes=notes)


def _said(error: BaseException) -> str:
    """An exception of the user's code as a line, whatever its own ``__str__`` does."""
    name = type(error).__name__
    try:
        return shortened(f"{name}: {error}", _NOTE_BYTES)
    except BaseException as broken:  # noqa: BLE001 - likewise
        return f"{name} (its message cannot be shown: {type(broken).__name__})"


class DocumentFolder:
    """Keeps documents in the folder that the user configured for them."""

    def __init__(self, folder: ArtifactFolder) -> None:
        self._objects = ObjectStore(folder.uri, folder.storage_options, folder.private_files)

    def put_artifact(self, name: str, content: bytes) -> str:
        key = self._key(name)
        self._objects.create(key, content)
        return self._objects.uri_of(key)

    def delete_artifact(self, name: str) -> None:
        self._objects.delete(self._key(name))

    def sweep(self) -> None:
        """Delete what writers that were killed have left."""
        self._objects.sweep()

    def _key(self, name: str) -> str:
        return "/".join(object_name(part) for part in name.split("/"))
