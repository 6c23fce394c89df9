"""What every job backend promises of results that a store keeps."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from checkmaite.jobs import (
    Job,
    JobBackend,
    JobFailedError,
    JobSubmissionError,
    Reuse,
    ReuseKind,
    StaleResultError,
    plan_capabilities,
    submit_capability,
)
from checkmaite.jobs.spi import KeepsRevisions
from checkmaite.jobs.testing._backend.suite import CLOCKS_DIFFER, BackendSuite
from checkmaite.jobs.testing._samples import SampleCapability, SampleKnownBefore, mark


class ResultContract(BackendSuite):
    """Rows, where they came from, and when a result is used again."""

    @pytest.fixture
    def weighed(self, backend: JobBackend, tmp_path: Path) -> Callable[..., dict[str, Any]]:
        """The submission of one run with a model of some weight, where the store keeps what a result stands on."""
        if not isinstance(backend.analytics_store, KeepsRevisions):
            pytest.skip("the store keeps no second results: configure one that does, too")
        capability, config = SampleKnownBefore(folder=str(tmp_path)), {"run_uid": uuid.uuid4().hex}

        def submission(weight: float, **options: Any) -> dict[str, Any]:
            model = SimpleNamespace(metadata={"id": "net"}, weight=weight)
            return {"capability": capability, "models": [model], "config": config, **options}

        return submission

    def done(self, submission: Mapping[str, Any]) -> Job:
        """The job, completed; a plan has said before what became of the submission."""
        (plan,) = plan_capabilities([submission])
        job = self.wrap(submit_capability(**submission))
        job.result(self.patience_s)
        assert (job.reuse.kind, job.reuse.differences) == (plan.kind, plan.differences)
        return job

    def test_a_result_is_used_again_for_what_it_was_made_of_alone(self, weighed: Callable[..., dict[str, Any]]) -> None:
        first = self.done(weighed(1.0))
        assert (first.reuse, first.result(0).revision) == (Reuse(), 1)
        again = self.done(weighed(1.0))
        assert (again.reuse.kind, again.reuse.job_id) == (ReuseKind.REUSED, first.job_id)
        assert again.result(0).revision == 1
        stale = self.done(weighed(2.0))
        assert (stale.reuse.kind, stale.reuse.job_id) == (ReuseKind.STALE, first.job_id)
        assert stale.reuse.differences == ("models[0] 'net': content",)
        assert stale.result(0).revision == 2
        assert "STALE: models[0] 'net': content" in stale.explain()

    def test_reuse_is_as_it_was_asked_for(self, weighed: Callable[..., dict[str, Any]]) -> None:
        with pytest.raises(StaleResultError):
            submit_capability(**weighed(1.0, reuse="require"))
        first = self.done(weighed(1.0))
        with pytest.raises(StaleResultError, match=r"models\[0\] 'net': content"):
            submit_capability(**weighed(2.0, reuse="require"))
        for asked in (weighed(1.0, reuse="require"), weighed(2.0, reuse="always")):
            assert self.done(asked).reuse.job_id == first.job_id
        forced = self.done(weighed(1.0, reuse="never"))
        assert (forced.reuse.kind, forced.result(0).revision) == (ReuseKind.RUN, 2)
        with pytest.raises(JobSubmissionError):
            submit_capability(**weighed(1.0, reuse="auto", force=True))

    def test_a_run_that_nobody_could_name_fails_and_leaves_no_rows(self, backend: JobBackend, tmp_path: Path) -> None:
        capability = SampleCapability(folder=str(tmp_path))
        job = self.wrap(submit_capability(capability, config={"run_uid": ""}))
        with pytest.raises(JobFailedError, match="run_uid") as caught:
            job.result(self.patience_s)
        assert caught.value.error_type.endswith("RecordError")
        assert backend.analytics_store.list_tables() == []
        known_before = SampleKnownBefore(folder=str(tmp_path))
        with pytest.raises(JobSubmissionError) as refused:
            submit_capability(known_before, config={"run_uid": "one\n"})
        assert refused.value.phase == "run_key"

    def test_rows_say_which_job_made_them(
        self, backend: JobBackend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("CHECKMAITE_PROVENANCE_USER_ID", "ada")
        began = datetime.now(UTC)
        job = self.submit_and_start(tmp_path)
        monkeypatch.setenv("CHECKMAITE_PROVENANCE_USER_ID", "eve")
        mark(str(tmp_path), "go")
        run_uid = job.result(self.patience_s).run_uid
        if "runs" not in backend.analytics_store.list_tables():
            pytest.skip("the store keeps no rows: configure one that does, too")
        rows = backend.analytics_store.read_table("runs", run_uids=[run_uid]).to_pylist()
        assert rows, "the run has no rows in the table runs"
        for row in rows:
            assert (row["job_id"], row["run_event_id"]) == (job.job_id, job.job_id)
            assert (row["user_id"], row["backend"]) == ("ada", backend.name)
            submitted_at, completed_at = row["submitted_at"], row["completed_at"]
            assert began - CLOCKS_DIFFER < submitted_at
            assert submitted_at - CLOCKS_DIFFER < completed_at < datetime.now(UTC) + CLOCKS_DIFFER
