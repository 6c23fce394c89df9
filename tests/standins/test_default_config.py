"""`config=None` is what the capability itself takes it for: one run, whether the default is written out or left out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import (
    JobBackend,
    JobSubmissionError,
    ReuseKind,
    configure_job_backend,
    plan_capabilities,
    shutdown_job_backend,
    submit_capability,
)

from tests.standins import RECORD, Run, capability

WITH_DEFAULT = [name for name, each in RECORD["capabilities"].items() if "class" in each["default_config"]]
WITHOUT = sorted(set(RECORD["capabilities"]) - set(WITH_DEFAULT))


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[JobBackend]:
    yield configure_job_backend("inline", analytics_store={"backend": "parquet", "uri": str(tmp_path)})
    shutdown_job_backend()


@pytest.mark.parametrize("name", WITH_DEFAULT)
def test_a_config_that_is_left_out_is_the_capabilitys_default(backend: JobBackend, name: str) -> None:
    made = capability(name)
    ref = submit_capability(made).result(30)
    default = made._create_config()
    assert ref.run_uid == made.run(config=None).run_uid
    again = submit_capability(made, config=default)
    assert again.result(30) == ref
    assert again.reuse.kind is ReuseKind.REUSED


def test_the_default_that_applied_is_recorded(backend: JobBackend) -> None:
    name = WITH_DEFAULT[0]
    default = RECORD["capabilities"][name]["default_config"]
    shown = ", ".join(f"{each}='as it is'" for each in default["fields"])
    left_out = submit_capability(capability(name)).result(30)
    given = submit_capability(capability(name), config=Given()).result(30)
    rows = backend.analytics_store.read_table("runs", columns=["run_uid", "fingerprints"]).to_pylist()
    said = {row["run_uid"]: json.loads(row["fingerprints"])["config"].get("default") for row in rows}
    assert said == {
        left_out.run_uid: f"{default['class']}({shown})",
        given.run_uid: None,
    }


class Given:
    def model_dump_json(self) -> str:
        return "given"


@pytest.mark.parametrize("name", WITHOUT)
def test_a_default_that_cannot_be_made_is_told_as_the_capability_tells_it(backend: JobBackend, name: str) -> None:
    with pytest.raises(JobSubmissionError, match="default cannot be made: ValidationError: this capability") as refused:
        submit_capability(capability(name))
    assert [(each.path, each.remedy[:14]) for each in refused.value.problems] == [("config", "Pass a config;")]


def test_a_capability_may_say_its_default_in_public(backend: JobBackend) -> None:
    class Own:
        id = "own"
        default_num_cpus = 1

        def default_config(self) -> dict[str, Any]:
            return {"depth": 3}

        def run(self, *, config: Any = None, **_: Any) -> Run:
            return Run(capability_id=self.id, config=Given(), outputs=lambda _: f"{config}", **NAMED)

    named = submit_capability(Own(), config={"depth": 3})
    assert str(named.result(30).report) == "{'depth': 3}"
    (plan,) = plan_capabilities([{"capability": Own()}])
    assert plan.kind is ReuseKind.RUN, "the key of this capability is made without the run's uid"
    assert str(submit_capability(Own()).result(30).report) == "{'depth': 3}"


NAMED: dict[str, Any] = {f"{kind}_metadata": [] for kind in ("dataset", "model", "metric")}
