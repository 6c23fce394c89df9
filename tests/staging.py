"""A user's story of a large model, told with every backend: published once, it stands for itself in every job."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from attrs import frozen
from checkmaite.jobs import (
    FailureKind,
    JobBackend,
    JobFailedError,
    ReuseKind,
    configure_job_backend,
    list_jobs,
    shutdown_job_backend,
    stage,
    submit_capabilities,
    submit_capability,
    unstage,
)
from checkmaite.jobs.testing import SampleRecord
from checkmaite.jobs.testing._samples import SampleRunKnownBefore

SOON_S = 120.0


@frozen
class Sums:
    """Sums a model's weights, and spoils them as a careless job would."""

    id: str = "sums"
    _RUN_TYPE = SampleRunKnownBefore

    def run(self, *, models: Any, config: Any, **_: Any) -> Any:
        (model,) = models
        assert type(model) is type(config["teacher"]) is SimpleNamespace
        total = float(model.weights.sum())
        model.weights[:] = 0
        record = SampleRecord("net", total)
        return SampleRunKnownBefore(run_uid=config["run_uid"], capability_id=self.id, records=[record])


class StagingStory:
    """Inherit it and name the backend.

    Attributes:
        kind: The backend's entry point.
        options: Its options.
    """

    kind: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}

    @pytest.fixture
    def backend(self, tmp_path: Path) -> Iterator[JobBackend]:
        pickling = getattr(sys.modules.get("ray"), "cloudpickle", None)
        if pickling is not None:
            pickling.register_pickle_by_value(sys.modules[__name__])
        store = {"backend": "parquet", "uri": str(tmp_path / "store")}
        yield configure_job_backend(self.kind, analytics_store=store, **self.options)
        for job in list_jobs(limit=None):
            job.cancel(grace=0)
        shutdown_job_backend(wait=False)
        if pickling is not None:
            pickling.unregister_pickle_by_value(sys.modules[__name__])

    def submission(self, model: Any) -> dict[str, Any]:
        return {"capability": Sums(), "models": [model], "config": {"run_uid": uuid.uuid4().hex, "teacher": model}}

    def test_a_staged_model_is_itself_in_every_job_and_in_what_is_stored(self, backend: JobBackend) -> None:
        model = SimpleNamespace(metadata={"id": "net"}, weights=np.ones(300_000))
        reference = stage(model)
        jobs = submit_capabilities([self.submission(reference) for _ in range(6)])
        assert {job.exception(SOON_S) for job in jobs} == {None}
        rows = backend.analytics_store.read_table("sample_scores")
        assert rows.column("score").to_pylist() == [300_000.0] * 6  # each job had what was staged

    def test_a_run_with_the_model_and_one_with_its_reference_are_the_same_run(self, backend: JobBackend) -> None:
        model = SimpleNamespace(metadata={"id": "net"}, weights=np.ones(1000))
        plain = self.submission(model)
        first = submit_capability(**plain)
        first.result(SOON_S)
        reference = stage(model)
        staged = {**plain, "models": [reference], "config": {**plain["config"], "teacher": reference}}
        again = submit_capability(**staged)
        assert again.result(SOON_S) == first.result(0)
        assert (again.reuse.kind, again.reuse.job_id) == (ReuseKind.REUSED, first.job_id)
        forced = submit_capability(**staged, force=True)
        assert forced.result(SOON_S).revision == 2
        runs = backend.analytics_store.read_table("runs", revision="all")
        assert len(set(runs.column("fingerprints").to_pylist())) == 1

    def test_a_model_that_was_removed_fails_its_job_alone(self, backend: JobBackend) -> None:
        # A node that has fetched a content keeps it for a while, so this one is new to it.
        model, other = (SimpleNamespace(metadata={"id": "net"}, weights=np.random.rand(1000)) for _ in range(2))
        reference, kept = stage(model), stage(other)
        unstage(reference)
        lost, good = submit_capabilities([self.submission(each) for each in (reference, kept)])
        error = lost.exception(SOON_S)
        assert isinstance(error, JobFailedError)
        assert error.kind is FailureKind.STAGED_OBJECT
        assert f"{reference!r} is not there any more" in error.error_message
        assert good.exception(SOON_S) is None
