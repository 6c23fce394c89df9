"""What a worker does for a store beside its jobs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import StoreUnavailableError
from checkmaite.jobs.spi import HasMaintenance, StoreSpec, Terms, maintain_store, open_store
from checkmaite.store_parquet import ParquetStore


@pytest.fixture
def priorities(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    given: list[int] = []
    monkeypatch.setattr(os, "nice", given.append)
    return given


def terms(backend: str, **options: Any) -> bytes:
    return Terms(store=StoreSpec(backend=backend, options=options), facts={}).written


def test_a_store_is_maintained_with_the_least_priority(
    tmp_path: Path, priorities: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    maintained: list[str] = []
    monkeypatch.setattr(ParquetStore, "maintain", lambda self: maintained.append(self.uri))
    maintain_store(terms("parquet", uri=str(tmp_path)))
    assert (maintained, priorities) == ([str(tmp_path)], [19])


def test_a_store_that_wants_nothing_is_left_alone(priorities: list[int]) -> None:
    assert not isinstance(open_store(StoreSpec(backend="null")), HasMaintenance)
    maintain_store(terms("null"))
    assert priorities == []


def test_an_error_is_told(tmp_path: Path, priorities: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_: ParquetStore) -> None:
        raise StoreUnavailableError("no answer")

    monkeypatch.setattr(ParquetStore, "maintain", away)
    with pytest.raises(StoreUnavailableError, match="no answer"):
        maintain_store(terms("parquet", uri=str(tmp_path)))
