"""A third party's store and backend, installed beside ours, are found by name and pass the suites."""

from pathlib import Path

import pytest

from tests.distributions.building import SAMPLES, Distributions, FreshEnvironment
from tests.scripts import printed
from tests.tutorial import blocks

BOTH_RAY_BACKENDS = """
import sys
from types import SimpleNamespace
from checkmaite.jobs import configure_job_backend, get_job_backend, shutdown_job_backend, submit_capability


class Ten:
    id = "ten"

    def run(self, *, models, datasets, metrics, config, use_cache):
        return SimpleNamespace(
            run_uid="of-ten-by-" + config,
            capability_id=self.id,
            model_metadata=[],
            dataset_metadata=[],
            metric_metadata=[],
            extract=lambda: [{"table_name": "numbers", "value": 10}],
        )


for kind, options in {"ray-simple": {}, "ray": {"idempotency_scope": "here"}}.items():
    configure_job_backend(
        kind, address="local", num_cpus=1, analytics_store={"backend": "mine", "folder": sys.argv[1]}, **options
    )
    submit_capability(Ten(), config=kind).result(timeout=120)
    store = get_job_backend().analytics_store
    rows = store.query_sql("SELECT run_uid, value FROM numbers ORDER BY run_uid").to_pylist()
    print(kind, [tuple(row.values()) for row in rows])
    shutdown_job_backend()
"""


@pytest.mark.timeout(600)
def test_plug_ins_of_a_third_party_pass_the_suites(
    distributions: Distributions, fresh: FreshEnvironment, tmp_path: Path
) -> None:
    """As the tutorial says, whose blocks are the plug-ins; see tests/contract/test_tutorial.py."""
    fresh.install(*distributions.pip_options, "checkmaite-jobs-core[testing]", *map(distributions.sample, SAMPLES))
    (suites,) = blocks("Hold both to their promises", "python")
    (script,) = blocks("Use them", "python")
    (tmp_path / "test_samples.py").write_text(suites, "utf-8")
    (tmp_path / "use_samples.py").write_text(script, "utf-8")
    said = fresh.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_samples.py", cwd=tmp_path)
    assert " passed" in said
    assert "failed" not in said
    said = fresh.run("use_samples.py", cwd=tmp_path)
    assert said.splitlines() == ["first COMPLETED", "[{'model_id': 'model-1', 'score': 0.5}]"]


@pytest.mark.timeout(600)
def test_a_third_partys_store_works_with_both_ray_backends(
    distributions: Distributions, growing: FreshEnvironment, tmp_path: Path
) -> None:
    growing.install(*distributions.pip_options, "checkmaite-jobs[ray]", distributions.sample("sample-store"))
    (tmp_path / "both.py").write_text(BOTH_RAY_BACKENDS, "utf-8")
    said = printed(growing.run("both.py", str(tmp_path / "store"), cwd=tmp_path))
    assert said == [
        "ray-simple [('of-ten-by-ray-simple', 10)]",
        "ray [('of-ten-by-ray', 10), ('of-ten-by-ray-simple', 10)]",
    ]
