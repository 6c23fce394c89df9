"""Backends' jobs and stores that break one promise each, and keep all others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attrs import evolve
from checkmaite.jobs import CapabilityRunRef, JobStatus, RecordError, Reuse, StoreError, WriteReceipt
from checkmaite.store_parquet import ParquetStore


class BrokenJob:
    """A job that passes everything on."""

    def __init__(self, job: Any) -> None:
        self.job = job

    def __getattr__(self, name: str) -> Any:
        return getattr(self.job, name)

    def __await__(self) -> Any:
        return self.job.__await__()


class GoesBackFromFinal(BrokenJob):
    """A final status changes again."""

    asked = 0

    @property
    def status(self) -> JobStatus:
        self.asked += self.job.status.is_final
        return JobStatus.RUNNING if self.asked > 1 else self.job.status


class ResultBeforeTheWrite(BrokenJob):
    """The result is there while the write goes on."""

    def result(self, timeout: float | None = None) -> CapabilityRunRef:
        return CapabilityRunRef(run_uid="early", capability_id="sample", report="# sample at 0.5")


class SwallowsErrors(BrokenJob):
    """A failed job looks completed."""

    def result(self, timeout: float | None = None) -> CapabilityRunRef:
        self.job.wait(timeout)
        return CapabilityRunRef(run_uid="none", capability_id="sample", report="# sample at 0.5")

    def exception(self, timeout: float | None = None) -> None:
        self.job.wait(timeout)


class LosesCancel(BrokenJob):
    """Cancel says yes and does nothing."""

    def cancel(self, grace: float = 0) -> bool:
        return not self.job.status.is_final

    def wait(self, timeout: float | None = None) -> JobStatus:
        return self.job.wait(min(timeout or 3, 3))


class IgnoresTimeouts(BrokenJob):
    """A time-out is not raised."""

    def result(self, timeout: float | None = None) -> CapabilityRunRef | None:
        return self.job.result(timeout) if self.job.wait(timeout).is_final else None


class ForgetsCallbacks(BrokenJob):
    """Done callbacks are not called."""

    def add_done_callback(self, callback: Any) -> None: ...


class NeverRunning(BrokenJob):
    """RUNNING is not reported."""

    @property
    def status(self) -> JobStatus:
        status = self.job.status
        return JobStatus.SCHEDULING if status is JobStatus.RUNNING else status


class KeepsReuseToItself(BrokenJob):
    """What was decided about a result is not told."""

    @property
    def reuse(self) -> Reuse:
        return Reuse()


class WritesTwice(ParquetStore):
    """Each write leaves another copy."""

    def write_with_receipt(self, run: Any, *, provenance: Any = None, **more: Any) -> WriteReceipt:
        receipt = super().write_with_receipt(run, provenance=provenance, **more)
        if not receipt.created and receipt.store_uri is not None:
            folder = Path(self.uri)
            for table in [*receipt.rows, "runs"]:
                copy = folder / table / f"{run.run_uid}-again.parquet"
                copy.write_bytes((folder / table / f"{run.run_uid}.parquet").read_bytes())
        return receipt


class ShowsTornRuns(ParquetStore):
    """A bad record leaves the good ones visible."""

    def write_with_receipt(self, run: Any, *, provenance: Any = None, **more: Any) -> WriteReceipt:
        try:
            return super().write_with_receipt(run, provenance=provenance, **more)
        except RecordError:
            super().write_with_receipt(evolve(run, records=run.records[:1]), provenance=provenance, **more)
            raise


class TakesErrorsForEmpty(ParquetStore):
    """An unreadable store looks empty."""

    def list_tables(self) -> list[str]:
        try:
            return super().list_tables()
        except StoreError:
            return []


class LastWriteWins(ParquetStore):
    """A later write of a run replaces the first."""

    def write_with_receipt(self, run: Any, *, provenance: Any = None, **more: Any) -> WriteReceipt:
        for file in Path(self.uri).glob(f"*/{run.run_uid}.parquet"):
            file.unlink()
        return super().write_with_receipt(run, provenance=provenance, **more)


class SwallowsBadRecords(ParquetStore):
    """A run that cannot be stored is dropped without a word."""

    def write_with_receipt(self, run: Any, *, provenance: Any = None, **more: Any) -> WriteReceipt:
        try:
            return super().write_with_receipt(run, provenance=provenance, **more)
        except RecordError:
            return WriteReceipt(run_uid=run.run_uid, store_uri=None, created=False)


class DropsSecondResults(ParquetStore):
    """A result that was to supersede another is not kept."""

    def write_with_receipt(self, run: Any, *, supersede: bool = False, **more: Any) -> WriteReceipt:
        return super().write_with_receipt(run, **more)


class KeepsNoReports(ParquetStore):
    """Rows are kept without their report."""

    def write_with_receipt(self, run: Any, *, report: Any = None, **more: Any) -> WriteReceipt:
        return super().write_with_receipt(run, **more)


class ForgetsWhoWrote(ParquetStore):
    """A second attempt of a job stores a second result."""

    def write_with_receipt(self, run: Any, *, provenance: Any = None, **more: Any) -> WriteReceipt:
        anybody = evolve(provenance, run_event_id=None) if provenance is not None else None
        return super().write_with_receipt(run, provenance=anybody, **more)


class ForgetsWhatItStandsOn(ParquetStore):
    """Fingerprints are not kept."""

    def write_with_receipt(self, run: Any, *, provenance: Any = None, **more: Any) -> WriteReceipt:
        unsaid = evolve(provenance, fingerprints=None) if provenance is not None else None
        return super().write_with_receipt(run, provenance=unsaid, **more)
