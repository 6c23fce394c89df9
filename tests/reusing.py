"""A user's story of second results, told with every backend: only what was made of the same things is used again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from attrs import evolve, frozen
from checkmaite.jobs import (
    Job,
    JobBackend,
    JobFailedError,
    JobSubmissionError,
    Reuse,
    ReuseKind,
    StaleResultError,
    configure_job_backend,
    configure_provenance,
    list_jobs,
    plan_capabilities,
    reset_provenance,
    shutdown_job_backend,
    submit_capabilities,
    submit_capability,
)
from checkmaite.jobs._submitters import planning

from tests.scripts import printed

SOON_S = 120.0
NO_RESULT, MODEL, DATA = Reuse(), "models[0] 'lenet': content", "datasets[0] 'digits': content"

MODULE = """
import time
from pathlib import Path
from types import SimpleNamespace
from dataclasses import dataclass

@dataclass(frozen=True)
class Config:
    name: str
    offset: float = 0.0

@dataclass(frozen=True)
class Model:
    weight: float
    metadata: dict

@dataclass(frozen=True)
class Data:
    numbers: tuple
    metadata: dict

class Run(SimpleNamespace):
    @staticmethod
    def compute_uid(*, capability_id, config, dataset_metadata, model_metadata, metric_metadata):
        return f"{capability_id}-{config.name}-{model_metadata[0]['id']}-{dataset_metadata[0]['id']}"

    def extract(self):
        return [{"table_name": "scores", "score": self.score}]

    def collect_md_report(self, threshold):
        return f"# {self.score}"

@dataclass(frozen=True)
class Scores:
    folder: str
    scale: float = 1.0
    id: str = "scores"
    _RUN_TYPE = Run
    gate: str = ""

    def run(self, *, models, datasets, metrics, config: Config, use_cache=False):
        (model,), (data,) = models, datasets
        while self.gate and not Path(self.gate).exists():
            time.sleep(0.01)
        score = self.scale * model.weight * sum(data.numbers) + config.offset
        with open(Path(self.folder) / "computed", "a") as computed:
            computed.write(f"{score}\\n")
        named = dict(dataset_metadata=[data.metadata], model_metadata=[model.metadata], metric_metadata=[])
        uid = Run.compute_uid(capability_id=self.id, config=config, **named)
        return Run(run_uid=uid, capability_id=self.id, score=score, **named)

class Unforeseen(Scores):
    _RUN_TYPE = None
"""
CLIENT = """
import json, os, sys
from checkmaite.jobs import *
import mycaps

options, name, folder = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
configure_job_backend(**options)
job = submit_capability(
    mycaps.Scores(folder),
    models=[mycaps.Model(2.0, {"id": "lenet"})],
    datasets=[mycaps.Data((1.0, 2.0), {"id": "digits"})],
    config=mycaps.Config(name),
)
ref = job.result(120)
print("told", json.dumps([job.reuse.kind, job.reuse.differences, ref.revision, str(ref.report)]))
shutdown_job_backend()
"""


@frozen
class Given:
    """What a user submits, and what comes out of it."""

    caps: Any
    folder: str
    name: str
    weight: float = 2.0
    numbers: tuple[float, ...] = (1.0, 2.0)
    scale: float = 1.0
    offset: float = 0.0

    @property
    def score(self) -> float:
        return self.scale * self.weight * sum(self.numbers) + self.offset

    def submission(self, **options: Any) -> dict[str, Any]:
        return {
            "capability": self.caps.Scores(self.folder, self.scale),
            "models": [self.caps.Model(self.weight, {"id": "lenet"})],
            "datasets": [self.caps.Data(self.numbers, {"id": "digits"})],
            "config": self.caps.Config(self.name, self.offset),
            **options,
        }

    def submit(self, **options: Any) -> Job:
        """The job; `plan_capabilities` has said before what is decided about it, and has changed nothing."""
        before = {job.job_id for job in list_jobs(1000)}
        (plan,) = plan_capabilities([self.submission(**options)])
        assert {job.job_id for job in list_jobs(1000)} == before
        job = submit_capability(**self.submission(**options))
        job.result(SOON_S)
        assert job.reuse == plan
        return job


class ReuseStory:
    """Inherit it and name the backend."""

    kind: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}

    @pytest.fixture
    def configured(self, tmp_path: Path) -> dict[str, Any]:
        """What the test configures, for clients that do the same."""
        store = {"backend": "parquet", "uri": str(tmp_path / "store")}
        return {"kind": self.kind, "analytics_store": store, **self.options}

    @pytest.fixture
    def backend(self, configured: dict[str, Any]) -> Iterator[JobBackend]:
        configure_provenance(user_id="ada")
        yield configure_job_backend(**configured)
        shutdown_job_backend(wait=False)
        reset_provenance()

    @pytest.fixture
    def given(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Given]:
        (tmp_path / "code").mkdir()
        (tmp_path / "code/mycaps.py").write_text(f"# of {tmp_path}\n{MODULE}")  # for Ray, code of this test alone
        monkeypatch.syspath_prepend(str(tmp_path / "code"))
        import mycaps  # type: ignore[import-not-found]

        if "ray" in sys.modules:  # its workers look only into folders that were there when it was started
            sys.modules["ray"].cloudpickle.register_pickle_by_value(mycaps)
        yield Given(mycaps, str(tmp_path), uuid.uuid4().hex)
        if "ray" in sys.modules:
            sys.modules["ray"].cloudpickle.unregister_pickle_by_value(mycaps)
        del sys.modules["mycaps"]

    def computed(self, given: Given) -> list[float]:
        return [float(line) for line in (Path(given.folder) / "computed").read_text().splitlines()]

    def scores(self, backend: JobBackend) -> list[float]:
        found: list[float] = backend.analytics_store.read_table("scores").column("score").to_pylist()
        return found

    def test_what_differs_is_computed_again_and_told(self, backend: JobBackend, given: Given) -> None:
        newest = given.submit()
        assert newest.reuse == NO_RESULT
        for revision, (changed, differs) in enumerate(
            [
                ({"weight": 3.0}, MODEL),
                ({"numbers": (1.0, 2.5)}, DATA),
                ({"scale": 0.5}, "capability: scale"),
                ({"offset": 7.0}, "config: offset"),
            ],
            2,
        ):
            given = evolve(given, **changed)
            job = given.submit()
            assert (job.reuse.kind, job.reuse.differences) == (ReuseKind.STALE, (differs,))
            assert (job.reuse.job_id, job.reuse.by) == (newest.job_id, "ada")
            assert (job.result(0).revision, str(job.result(0).report)) == (revision, f"# {given.score}")
            assert self.scores(backend) == [given.score]
            for shown in (repr(job), job.explain(), job._repr_html_().replace("&#x27;", "'")):  # type: ignore[attr-defined]
                assert f"STALE: {differs}; the result was {newest.job_id}" in shown
            newest = job
        computed = self.computed(given)
        again = given.submit()
        assert self.computed(given) == computed
        assert (again.reuse.kind, again.reuse.job_id, again.reuse.by) == (ReuseKind.REUSED, newest.job_id, "ada")
        assert again.reuse.at is not None
        assert abs(again.reuse.at - newest.created_at).total_seconds() < SOON_S
        assert again.result(0).revision == 5
        for shown in (repr(again), again.explain(), again._repr_html_()):  # type: ignore[attr-defined]
            assert f"REUSED: {newest.job_id} of {again.reuse.at:%Y-%m-%d %H:%M} UTC by ada" in shown
        (listed,) = [each for each in list_jobs(1000) if each.job_id == newest.job_id]
        assert (listed.reuse.kind, listed.reuse.differences) == (ReuseKind.STALE, ("config: offset",))
        stands_on: Any = backend.analytics_store
        rows = stands_on.read_table("runs", revision="all").to_pylist()
        prints = {row["revision"]: json.loads(row["fingerprints"]) for row in rows}
        assert sorted(prints) == [1, 2, 3, 4, 5]
        assert len({json.dumps(each, sort_keys=True) for each in prints.values()}) == 5

    def test_going_back_to_former_weights_is_a_result_of_its_own(self, backend: JobBackend, given: Given) -> None:
        """Whoever reads the newest result after it was asked for sees the number that was asked for."""
        told = []
        for weight in (2.0, 3.0, 2.0, 2.0):
            job = evolve(given, weight=weight).submit()
            told.append((job.reuse.kind.value, job.reuse.differences, job.result(0).revision, self.scores(backend)))
        assert told == [
            ("RUN", (), 1, [6.0]),
            ("STALE", (MODEL,), 2, [9.0]),
            ("STALE", (MODEL,), 3, [6.0]),
            ("REUSED", (), 3, [6.0]),
        ]
        assert self.computed(given) == [6.0, 9.0, 6.0]
        kept: Any = backend.analytics_store
        assert [kept.read_table("scores", revision=number)["score"].to_pylist() for number in (1, 2)] == [[6.0], [9.0]]

    def test_the_policies(self, backend: JobBackend, configured: dict[str, Any], given: Given) -> None:
        with pytest.raises(StaleResultError, match="there is no result of 'scores'"):
            submit_capability(**given.submission(reuse="require"))
        first, changed = given.submit(), evolve(given, weight=3.0)
        with pytest.raises(StaleResultError, match=r"models\[0\] 'lenet': content") as refused:
            submit_capabilities([given.submission(reuse="require"), changed.submission(reuse="require")])
        assert [problem.path for problem in refused.value.problems] == ["submissions[1].reuse"]
        assert given.submit(reuse="require").reuse.job_id == first.job_id
        assert changed.submit(reuse="always").result(0).revision == 1
        assert self.computed(given) == [given.score]
        for revision, option in enumerate(({"reuse": "never"}, {"force": True}), 2):
            forced = given.submit(**option)
            assert (forced.result(0).revision, forced.reuse.kind) == (revision, ReuseKind.RUN)
            assert "RUN: again on purpose, after" in forced.explain()
        with pytest.raises(JobSubmissionError, match='means reuse="never"'):
            submit_capability(**given.submission(force=True, reuse="auto"))
        with pytest.raises(JobSubmissionError, match="'perhaps' is none of auto, always, never, require"):
            submit_capability(**given.submission(reuse="perhaps"))
        assert self.computed(given) == [given.score] * 3
        shutdown_job_backend()
        configure_job_backend(**configured, reuse="always")
        assert changed.submit().reuse.kind is ReuseKind.REUSED
        assert changed.submit(reuse="auto").reuse.kind is ReuseKind.STALE
        assert self.computed(given) == [*[given.score] * 3, changed.score]

    def test_a_file_behind_a_dataset_counts_by_what_is_in_it(self, backend: JobBackend, given: Given) -> None:
        source, large = Path(given.folder, "digits.csv"), Path(given.folder, "images")
        large.mkdir()
        said = []
        for text in ("1,2", "1,2", "1,3"):
            source.write_text(text)
            data = given.caps.Data((1.0, 2.0), {"id": "digits", "source": str(source), "images": str(large)})
            job = submit_capability(**given.submission() | {"datasets": [data]})
            said.append((job.result(SOON_S).revision, job.reuse.kind.value, job.reuse.differences))
        assert said == [(1, "RUN", ()), (1, "REUSED", ()), (2, "STALE", (DATA,))]
        assert f"datasets[0] 'digits': folder {large} is not read" in job.reuse.unknown

    def test_who_submits_a_run_that_is_under_way_is_told(self, backend: JobBackend, given: Given) -> None:
        gate = Path(given.folder, "go")
        submission = given.submission() | {"capability": given.caps.Scores(given.folder, gate=str(gate))}
        jobs = [submit_capability(**submission), *submit_capabilities([submission])]
        gate.touch()
        refs = [job.result(SOON_S) for job in jobs]
        assert refs[0] == refs[1]
        told = {job.reuse.kind: job for job in jobs}
        assert set(told) == {ReuseKind.RUN, ReuseKind.REUSED}, "one of them, whoever was first to store it"
        assert told[ReuseKind.REUSED].reuse.job_id == told[ReuseKind.RUN].job_id
        assert told[ReuseKind.RUN].reuse == NO_RESULT
        assert (jobs[0] == jobs[1]) is (self.kind == "ray"), "only jobs of a registry are joined while they run"
        assert len({*jobs}) == len({job.job_id for job in jobs})
        assert len(self.computed(given)) <= len({*jobs}), "the second may begin when the first has stored its result"

    @pytest.mark.parametrize("capability", ["Scores", "Unforeseen"])
    def test_a_required_result_that_is_gone_is_not_computed(
        self, backend: JobBackend, given: Given, monkeypatch: pytest.MonkeyPatch, capability: str
    ) -> None:
        """It was there when the client asked, and is not any more when the worker looks."""
        monkeypatch.setattr(planning, "refuse_unless_reused", lambda *_: None)
        submission = given.submission(reuse="require")
        job = submit_capability(**submission | {"capability": getattr(given.caps, capability)(given.folder)})
        with pytest.raises(JobFailedError, match='reuse="require" was asked for: nothing was run') as failed:
            job.result(SOON_S)
        assert failed.value.error_type.rpartition(".")[2] == "StaleResultError"
        assert not (Path(given.folder) / "computed").exists()

    def test_code_that_changed_between_two_processes(self, configured: dict[str, Any], tmp_path: Path) -> None:
        name, module, scores = uuid.uuid4().hex, tmp_path / "mycaps.py", "(self.folder) / "
        (tmp_path / "client.py").write_text(CLIENT)
        told = []
        for text in (MODULE, f"# only a comment\n{MODULE}", MODULE.replace("score = ", "score = 100 + ")):
            assert scores in text
            module.write_text(text)
            done = subprocess.run(
                [sys.executable, "client.py", json.dumps(configured), name, str(tmp_path)],
                cwd=tmp_path,
                env={**os.environ},
                capture_output=True,
                text=True,
                timeout=240,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            (line,) = [line for line in printed(done.stdout) if line.startswith("told ")]
            told.append(json.loads(line.removeprefix("told ")))
        assert told == [
            ["RUN", [], 1, "# 6.0"],
            ["REUSED", [], 1, "# 6.0"],
            ["STALE", ["code: mycaps.py"], 2, "# 106.0"],
        ]
        assert (tmp_path / "computed").read_text() == "6.0\n106.0\n"
