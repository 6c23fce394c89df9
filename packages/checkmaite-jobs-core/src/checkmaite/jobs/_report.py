"""A run's Markdown report: small ones travel in the run ref, large ones are kept as documents."""

from __future__ import annotations

from typing import Any

from checkmaite.jobs._config import ArtifactFolder
from checkmaite.jobs._naming import object_name
from checkmaite.jobs._objects import ObjectStore
from checkmaite.jobs._protocols import AnalyticsStore, KeepsArtifacts
from checkmaite.jobs._refs import REPORT_INLINE_LIMIT_BYTES
from checkmaite.jobs._values import with_article


def collect_report(
    run: Any, store: AnalyticsStore, *, artifacts: ArtifactFolder | None, threshold: float
) -> tuple[str | None, tuple[str, ...]]:
    """The value of `CapabilityRunRef.report` for a run, and notes on what went wrong.

    The results are stored by now, so a report that fails is a note and never fails the job.

    Args:
        run: The run.
        store: Keeps a large report when there are no `artifacts`.
        artifacts: Keeps it when given.
        threshold: Given to the run's ``collect_md_report``.
    """
    collect = getattr(run, "collect_md_report", None)
    if not callable(collect):
        return None, ()
    try:
        report = collect(threshold)
    except NotImplementedError:
        return None, ()
    except Exception as error:  # noqa: BLE001 - the user's code may raise anything
        return None, (f"the report failed: {type(error).__name__}: {error}",)
    if not isinstance(report, str):
        return None, (
            f"collect_md_report() returned {with_article(type(report).__name__)} instead of text; it was dropped.",
        )
    content = report.encode()
    if len(content) <= REPORT_INLINE_LIMIT_BYTES:
        return report, ()
    keeper = _Folder(artifacts) if artifacts is not None else store
    if not isinstance(keeper, KeepsArtifacts):
        note = (
            f"the report has {len(content)} bytes and this analytics store keeps no documents, so it was dropped. "
            'Configure artifact_store={"uri": ...} to keep such reports.'
        )
        return None, (note,)
    try:
        return keeper.put_artifact(f"{run.run_uid}/report.md", content), ()
    except Exception as error:  # noqa: BLE001 - stores are plug-ins; the results are safe already
        return None, (f"the report could not be stored: {type(error).__name__}: {error}",)


class _Folder:
    """Keeps documents in the folder that the user configured for them."""

    def __init__(self, folder: ArtifactFolder) -> None:
        self._objects = ObjectStore(folder.uri, folder.storage_options)

    def put_artifact(self, name: str, content: bytes) -> str:
        key = "/".join(object_name(part) for part in name.split("/"))
        self._objects.create(key, content)
        return self._objects.uri_of(key)
