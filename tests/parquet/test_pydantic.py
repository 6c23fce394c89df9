"""Runs, capabilities and configurations that are pydantic models, as those of the CheckMAITE package are."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pydantic
import pytest
from checkmaite.jobs import configure_job_backend, shutdown_job_backend, submit_capability
from checkmaite.jobs.spi import StoreSpec, open_store
from checkmaite.store_parquet import ParquetStore


class Config(pydantic.BaseModel):
    """Pydantic models yield their fields when they are iterated."""

    model_config = pydantic.ConfigDict(frozen=True)

    depth: int = 2
    num_cpus: float = 0.5


class Score(pydantic.BaseModel):
    table_name: ClassVar[str] = "scores"

    model_id: str
    score: float


@dataclasses.dataclass
class ScoreAsDataclass:
    table_name: ClassVar[str] = "scores"

    model_id: str
    score: float


class Run(pydantic.BaseModel):
    run_uid: str
    capability_id: str = "pydantic"
    config: Config = Config()
    dataset_metadata: Sequence[dict[str, Any]] = ()
    model_metadata: Sequence[dict[str, Any]] = ({"id": "m"},)
    metric_metadata: Sequence[dict[str, Any]] = ()

    def extract(self) -> Iterable[Any]:
        return [Score(model_id="m", score=0.5), ScoreAsDataclass(model_id="m", score=self.config.depth / 4)]


class Capability(pydantic.BaseModel):
    id: str = "pydantic"

    def run(self, *, config: Config, use_cache: bool, **given: Any) -> Run:
        return Run(run_uid=f"run-{config.depth}", config=config)


ROWS = [{"run_uid": uid, "model_id": "m", "score": 0.5} for uid in ("one", "one", "two", "two", "three", "three")]


def test_a_run_that_can_be_iterated_is_one_run(tmp_path: Path) -> None:
    store = ParquetStore(str(tmp_path))
    store.write(Run(run_uid="one"))
    store.write(iter([Run(run_uid="two"), Run(run_uid="three")]))
    rows = store.read_table("scores").to_pylist()
    assert sorted(rows, key=lambda row: row["run_uid"]) == sorted(ROWS, key=lambda row: row["run_uid"])


def test_the_null_store_takes_it_too() -> None:
    store = open_store(StoreSpec("null"))
    assert [each.run_uid for each in store.write(Run(run_uid="one"))] == ["one"]
    assert [dict(each.rows) for each in store.write([Run(run_uid="one")])] == [{"scores": 2}]


@pytest.mark.parametrize("depth", [1, 2])
def test_models_go_through_a_job(tmp_path: Path, depth: int) -> None:
    backend = configure_job_backend("inline", analytics_store={"backend": "parquet", "uri": tmp_path})
    try:
        ref = submit_capability(Capability(), config=Config(depth=depth)).result(30)
        rows = backend.analytics_store.read_table("scores", run_uids=[ref.run_uid]).to_pylist()
    finally:
        shutdown_job_backend()
    assert [(row["run_uid"], row["score"]) for row in rows] == [(f"run-{depth}", 0.5), (f"run-{depth}", depth / 4)]
