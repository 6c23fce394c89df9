"""A run's Markdown report: small ones travel in the run ref, large ones are kept as an artifact of the store."""

from __future__ import annotations

from typing import Any

from checkmaite.jobs._protocols import AnalyticsStore, KeepsArtifacts
from checkmaite.jobs._refs import REPORT_INLINE_LIMIT_BYTES


def collect_report(run: Any, store: AnalyticsStore, *, threshold: float) -> tuple[str | None, tuple[str, ...]]:
    """The value of `CapabilityRunRef.report` for a run, and notes on what went wrong.

    The results are stored by now, so a report that fails is a note and never fails the job.
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
        return None, (f"collect_md_report() returned a {type(report).__name__} instead of text; it was dropped.",)
    content = report.encode()
    if len(content) <= REPORT_INLINE_LIMIT_BYTES:
        return report, ()
    if not isinstance(store, KeepsArtifacts):
        return None, (f"the report has {len(content)} bytes and this store keeps no artifacts; it was dropped.",)
    try:
        return store.put_artifact(f"{run.run_uid}/report.md", content), ()
    except Exception as error:  # noqa: BLE001 - stores are plug-ins; the results are safe already
        return None, (f"the report could not be stored: {type(error).__name__}: {error}",)
