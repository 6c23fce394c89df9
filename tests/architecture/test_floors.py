"""The floors are enforced: the tree obeys its import contracts, and a tree that does not is caught."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("importlinter")  # absent from the environment that has core alone

ROOT = Path(__file__).parents[2]
LINT = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
CORE = "checkmaite-jobs-core/src/checkmaite/jobs"
RAY = "checkmaite-jobs-ray/src/checkmaite/jobs_ray"
RAY_SIMPLE = "checkmaite-jobs-ray-simple/src/checkmaite/jobs_ray_simple"
CLI = "checkmaite-jobs-cli/src/checkmaite/jobs_cli"
UI = "checkmaite-jobs-ui/src/checkmaite/jobs_ui"
DELTA = "checkmaite-store-delta/src/checkmaite/store_delta"
STORE = "checkmaite-store-parquet/src/checkmaite/store_parquet"


def lint(packages: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(source) for source in sorted(packages.glob("*/src")))
    return subprocess.run(
        [sys.executable, "-P", "-c", LINT, "--config", str(ROOT / "pyproject.toml"), "--no-cache"],
        env={**os.environ, "PYTHONPATH": path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_tree_obeys_its_contracts() -> None:
    run = lint(ROOT / "packages")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "0 broken" in run.stdout


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        (f"{CORE}/_shared/errors.py", "from checkmaite.jobs._submitters import api", "The rooms of core"),
        (
            f"{CORE}/_shared/receipt.py",
            "from checkmaite.jobs._shared.status import JobStatus",
            "The floors of core's shared",
        ),
        (f"{CORE}/_new_room.py", "", "The rooms of core"),
        (f"{CORE}/_workers/report.py", "import checkmaite.jobs._submitters.handle", "The rooms of core"),
        (f"{CORE}/_shared/code.py", "import checkmaite.jobs._workers.report", "The rooms of core"),
        (
            f"{CORE}/_submitters/api.py",
            "from checkmaite.jobs import submit_capability",
            "Core does not go through its own front door",
        ),
        (f"{CORE}/_workers/execution.py", "def late():\n    import pyarrow", "Core needs no engine"),
        (f"{CORE}/_workers/execution.py", "import checkmaite.store_parquet", "Backends and stores stand on core"),
        (
            f"{RAY_SIMPLE}/config.py",
            "from checkmaite.jobs._shared.errors import JobsError",
            "Other distributions enter core",
        ),
        (f"{RAY_SIMPLE}/config.py", "import checkmaite.jobs_ray_simple.backend", "The floors of ray-simple"),
        (f"{RAY_SIMPLE}/config.py", "import checkmaite.jobs_ray", "Backends and stores stand on core"),
        (
            f"{RAY}/_new_room.py",
            "import checkmaite.jobs_ray_simple.cluster.options",
            "The backend ray enters ray-simple",
        ),
        (f"{RAY}/_new_room.py", "import checkmaite.jobs_ray_simple", "The backend ray enters ray-simple"),
        (f"{RAY}/_new_room.py", "import checkmaite.store_parquet", "A backend knows no store"),
        (f"{RAY}/journal/reading.py", "import time", "The journal's logic has no Ray, clock"),
        (f"{RAY}/journal/runner.py", "import ray", "Ray's journal is read without Ray"),
        (f"{RAY}/registry/model/record.py", "import time", "Ray's logic has no Ray, clock"),
        (
            f"{RAY}/registry/model/record.py",
            "import checkmaite.jobs_ray.journal.steps",
            "Ray's logic knows the messages",
        ),
        (f"{RAY}/registry/shell.py", "import ray", "Of each room one module knows Ray"),
        (f"{RAY}/controller/actor.py", "import checkmaite.jobs_ray.registry.shell", "The rooms of ray"),
        (f"{CLI}/summaries.py", "import checkmaite.jobs_ray", "The command line knows core alone"),
        (f"{CLI}/summaries.py", "import checkmaite.jobs_cli.printing", "The floors of the command line"),
        (f"{CLI}/summaries.py", "import checkmaite.jobs._shared.status", "Other distributions enter core"),
        (f"{UI}/facts.py", "import checkmaite.jobs_ui.board", "The floors of the page"),
        (f"{UI}/facts.py", "import checkmaite.jobs_cli.printing", "Commands of other distributions enter"),
        (f"{DELTA}/_tables.py", "import checkmaite.store_delta._runs", "The floors of store-delta"),
        (f"{DELTA}/_tables.py", "import checkmaite.store_parquet", "Backends and stores stand on core"),
        (f"{STORE}/_layout.py", "import checkmaite.store_parquet._store", "The floors of store-parquet"),
    ],
)
def test_a_violation_is_caught(tmp_path: Path, module: str, line: str, broken: str) -> None:
    packages = tmp_path / "packages"
    shutil.copytree(ROOT / "packages", packages, ignore=shutil.ignore_patterns("__pycache__", "dist"))
    with (packages / module).open("a", encoding="utf-8") as source:
        source.write(f"\n{line}\n")
    run = lint(packages)
    assert run.returncode == 1, run.stdout + run.stderr
    verdicts = [text for text in run.stdout.splitlines() if text.startswith(broken)]
    assert any("BROKEN" in text for text in verdicts), run.stdout
