"""What pip installs for each distribution and extra, and that it works where nothing else is installed."""

import sys
from pathlib import Path

import pytest

from tests.distributions.building import NAMES, Distributions, FreshEnvironment

CORE = {"checkmaite-jobs", "checkmaite-jobs-core"}
PARQUET = {*CORE, "checkmaite-store-parquet", "pyarrow"}
RAY = {"ray", "grpcio"}  # grpcio: `ray[client]`, what ray:// addresses need
TOLD_APART = {*NAMES, *PARQUET, *RAY, "adlfs", "deltalake", "duckdb", "gcsfs", "opentelemetry-sdk", "rich", "s3fs"}
EXTRAS = {
    "": CORE,
    "cli": CORE | {"checkmaite-jobs-cli", "rich"},
    "ui": CORE | {"checkmaite-jobs-cli", "checkmaite-jobs-ui", "rich"},
    "delta": CORE | {"checkmaite-store-delta", "deltalake", "pyarrow"},
    "parquet": PARQUET,
    "s3": PARQUET | {"s3fs"},
    "gcs": PARQUET | {"gcsfs", "grpcio"},  # Google's own client beside it
    "azure": PARQUET | {"adlfs"},
    "otel": CORE | {"opentelemetry-sdk"},
    "sql": PARQUET | {"duckdb"},
    "ray-simple": PARQUET | RAY | {"checkmaite-jobs-ray-simple"},
    "ray": PARQUET | RAY | {"checkmaite-jobs-ray", "checkmaite-jobs-ray-simple"},
    "all": TOLD_APART,
}

IMPORTS_OF_CORE = """
import sys
import checkmaite.jobs, checkmaite.jobs.spi
print(sorted({"ray", "pyarrow", "duckdb"} & set(sys.modules)), checkmaite.jobs.__file__)
"""

ONE_RUN_WITH_ITS_ROWS = """
import sys
from types import SimpleNamespace
from checkmaite.jobs import configure_job_backend, submit_capability, shutdown_job_backend
from checkmaite.store_parquet import ParquetStore


class Ten:
    id = "ten"

    def run(self, *, models, datasets, metrics, config, use_cache):
        return SimpleNamespace(
            run_uid="run-of-ten",
            capability_id=self.id,
            model_metadata=[],
            dataset_metadata=[],
            metric_metadata=[],
            extract=lambda: [{"table_name": "numbers", "value": 10}],
        )


configure_job_backend(sys.argv[1], analytics_store={"backend": "parquet", "uri": "store"}, **BACKEND_OPTIONS)
print(submit_capability(Ten()).result(timeout=120).run_uid)
shutdown_job_backend(wait=True)
print(ParquetStore("store").query_sql("SELECT value FROM numbers JOIN runs USING (run_uid)").to_pylist())
"""


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_brings_what_its_name_says(distributions: Distributions, extra: str, tmp_path: Path) -> None:
    requirement = f"checkmaite-jobs[{extra}]" if extra else "checkmaite-jobs"
    resolved = distributions.resolve(requirement, tmp_path / "report.json")
    assert set(resolved) & TOLD_APART == EXTRAS[extra]
    if extra in ("ray", "ray-simple", "parquet", "delta", "all"):
        assert int(resolved["pyarrow"]["metadata"]["version"].partition(".")[0]) < 26, "NumPy 1.26 would not do"
    siblings = [entry for name, entry in resolved.items() if name in NAMES]
    assert [entry for entry in siblings if not entry["download_info"]["url"].startswith("file:")] == []


def test_core_alone(distributions: Distributions, fresh: FreshEnvironment, tmp_path: Path) -> None:
    """Its closure is attrs, cattrs, fsspec and what those need; and it imports."""
    fresh.install(*distributions.pip_options, "checkmaite-jobs-core")
    alone = FreshEnvironment(tmp_path / "dependencies")
    alone.install("attrs", "cattrs", "fsspec")
    assert fresh.installed() == alone.installed() | {"checkmaite-jobs-core"}
    heavy, file = fresh.run("-W", "error", "-c", IMPORTS_OF_CORE, cwd=tmp_path).split()
    assert heavy == "[]"
    assert Path(file).is_relative_to(tmp_path / "venv")


def test_the_testing_extra_is_enough_for_the_suites(
    distributions: Distributions, growing: FreshEnvironment, tmp_path: Path
) -> None:
    growing.install(*distributions.pip_options, "checkmaite-jobs-core[testing]")
    growing.run("-W", "error", "-c", "import checkmaite.jobs.testing", cwd=tmp_path)


def test_the_command_is_there_with_core_alone(
    distributions: Distributions, growing: FreshEnvironment, tmp_path: Path
) -> None:
    growing.install(*distributions.pip_options, "checkmaite-jobs[cli]")
    assert growing.command("checkmaite-jobs", "--version", cwd=tmp_path).startswith("checkmaite-jobs, version 0.")
    (tmp_path / "checkmaite-jobs.toml").write_text('kind = "inline"\nanalytics_store.backend = "null"')
    looked = growing.command("checkmaite-jobs", "doctor", cwd=tmp_path)
    assert "worker" in looked
    growing.install(*distributions.pip_options, "checkmaite-jobs[ui]")
    assert "uplot" in growing.run(
        "-c", "from checkmaite.jobs_ui.server import page_files; print(*page_files())", cwd=tmp_path
    )
    assert "Write jobs and results as a folder" in growing.command("checkmaite-jobs", "report", "--help", cwd=tmp_path)


@pytest.mark.parametrize(
    ("extras", "kind", "options"),
    [("sql", "inline", {}), ("ray-simple,sql", "ray-simple", {"address": "local"})],
)
def test_installed_wheels_run_a_job(
    distributions: Distributions,
    growing: FreshEnvironment,
    tmp_path: Path,
    extras: str,
    kind: str,
    options: dict[str, str],
) -> None:
    growing.install(*distributions.pip_options, f"checkmaite-jobs[{extras}]")
    script = tmp_path / "one_run.py"
    script.write_text(f"BACKEND_OPTIONS = {options!r}\n{ONE_RUN_WITH_ITS_ROWS}", "utf-8")
    said = growing.run(script, kind, cwd=tmp_path).splitlines()
    assert said[-2:] == ["run-of-ten", "[{'value': 10}]"], (sys.version, said)
