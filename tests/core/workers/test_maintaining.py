"""What a worker does for a store beside its jobs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from checkmaite.jobs import StoreUnavailableError
from checkmaite.jobs._workers import maintaining
from checkmaite.jobs.spi import (
    ArtifactFolder,
    HasMaintenance,
    ObjectStore,
    StoreSpec,
    Terms,
    maintain_store,
    open_store,
)

from tests.processes import left_by_killed_writer

TERMS = Terms(store=StoreSpec(backend="null"), facts={}).written


class Maintained:
    """The part of a store that is asked here; that the Parquet store has it is seen on a cluster."""

    def __init__(self, error: Exception | None = None) -> None:
        self.times = 0
        self._error = error

    def maintain(self) -> None:
        if self._error is not None:
            raise self._error
        self.times += 1


@pytest.fixture
def priorities(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    given: list[int] = []
    monkeypatch.setattr(os, "nice", given.append)
    return given


def test_a_store_is_maintained_with_the_least_priority(priorities: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    store = Maintained()
    monkeypatch.setattr(maintaining, "open_store", lambda _: store)
    assert maintain_store(TERMS)
    assert (store.times, priorities) == (1, [19])


def test_a_store_that_wants_nothing_is_left_alone(priorities: list[int]) -> None:
    assert not isinstance(open_store(StoreSpec(backend="null")), HasMaintenance)
    assert not maintain_store(TERMS), "nor later"
    assert priorities == []


def test_the_artifact_store_is_swept_whatever_the_store_is(priorities: list[int], tmp_path: Path) -> None:
    kept = ObjectStore(str(tmp_path / "kept"))
    left = left_by_killed_writer(kept, "run/job/report.md", age_s=25 * 3600)
    new = left_by_killed_writer(kept, "other/job/report.md", age_s=0)
    artifacts = ArtifactFolder(uri=kept.root)
    maintain_store(Terms(store=StoreSpec(backend="null", artifacts=artifacts), facts={}).written)
    assert (left.exists(), new.exists(), priorities) == (False, True, [19])


def test_an_error_is_told(monkeypatch: pytest.MonkeyPatch, priorities: list[int]) -> None:
    monkeypatch.setattr(maintaining, "open_store", lambda _: Maintained(StoreUnavailableError("no answer")))
    with pytest.raises(StoreUnavailableError, match="no answer"):
        maintain_store(TERMS)
    assert priorities == [19]
