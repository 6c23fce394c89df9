"""The layers of the images, built in folders from the Dockerfiles and locks as they stand, and a cluster on them.

No Docker is needed, and none is used: a shell runs a stage's RUN lines, with the image's paths below a folder.
`hatch run images` runs this; it is too long for every test run.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.deploying.dockerfiles import NAMES, ROOT, Stage, read
from tests.ray.clusters import Client, Cluster

pytestmark = pytest.mark.timeout(1200)  # the first test downloads half a GB and compiles it, twice; the third once more
S3 = {"AWS_ACCESS_KEY_ID": "test-access-key", "AWS_SECRET_ACCESS_KEY": "test-secret-key"}
TOKENS = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
LARGEST = 8
"""Packages that are listed with their sizes."""


class Image:
    """An image's layers below a folder."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.folder = folder
        self.venv = folder / "opt/venv"
        build, self.final = read(name)
        self._base = folder / "base"
        subprocess.run([sys.executable, "-m", "venv", str(self._base)], check=True)
        for instruction, rest in build.steps:
            self._carry_out(build, instruction, rest)

    @property
    def python(self) -> Path:
        return self.venv / "bin/python"

    def _carry_out(self, stage: Stage, instruction: str, rest: str) -> None:
        here = self.folder / stage.of("WORKDIR")[0].lstrip("/")
        match instruction:
            case "WORKDIR":
                here.mkdir(parents=True)
            case "COPY":
                *sources, target = rest.split()
                for source in sources:
                    if (ROOT / source).is_dir():
                        shutil.copytree(ROOT / source, here / target, ignore=shutil.ignore_patterns("__pycache__"))
                    else:
                        shutil.copy(ROOT / source, here / target)
            case "RUN":
                command = rest.replace("/opt/", f"{self.folder}/opt/")
                path = f"{self._base}/bin:{os.environ['PATH']}"
                without_python = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
                subprocess.run(
                    command, shell=True, check=True, cwd=here, env={**without_python, **stage.env(), "PATH": path}
                )
            case "ENV" | "ARG":
                pass
            case _:
                raise AssertionError(f"{instruction} is not known here")

    def sizes(self) -> Counter[str]:
        """MiB on disk, by what lies in site-packages."""
        (site,) = self.venv.glob("lib/python*/site-packages")
        found: Counter[str] = Counter()
        for each in site.iterdir():
            name = re.sub(r"[.-].*|_libs$", "", each.name).lower()
            files = each.rglob("*") if each.is_dir() else [each]
            found[name] += sum(file.lstat().st_blocks * 512 for file in files)
        return found

    def digest(self) -> str:
        """Of every file and link of the last stage, with names and modes."""
        digest = hashlib.sha256()
        for path in sorted(self.venv.rglob("*")):
            digest.update(f"{path.relative_to(self.venv)} {path.lstat().st_mode}".encode())
            if path.is_symlink():
                digest.update(str(path.readlink()).encode())
            elif path.is_file():
                digest.update(path.read_bytes())
        return digest.hexdigest()


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Image]:
    """Both, built once."""
    return {name: Image(name, tmp_path_factory.mktemp(name)) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_sizes_are_as_the_page_says(images: dict[str, Image], name: str) -> None:
    sizes = images[name].sizes()
    total = sum(sizes.values()) / 2**20
    page = (ROOT / "docs/how-to/worker-environments.md").read_text("utf-8")
    (said,) = re.findall(rf"^\| {name} \| (\d+) MiB", page, flags=re.MULTILINE)
    largest = {part: f"{size / 2**20:.0f} MiB" for part, size in sizes.most_common(LARGEST)}
    assert total == pytest.approx(int(said), rel=0.05), largest


def test_a_worker_has_nothing_else(images: dict[str, Image]) -> None:
    script = """
import importlib.util, sys
import checkmaite.jobs, team_capabilities
for name in ("checkmaite.jobs_ray", "checkmaite.jobs_ray_simple", "pip", "numpy", "pandas", "grpc", "duckdb"):
    print(name, importlib.util.find_spec(name) is not None)
"""
    worker = images["worker"].python
    said = subprocess.run([worker, "-P", "-c", script], capture_output=True, text=True, check=True, env={}).stdout
    assert [line for line in said.splitlines() if line.endswith("True")] == []


def test_it_is_built_again_with_the_same_bytes(images: dict[str, Image]) -> None:
    """At the same place, as in an image."""
    before = images["worker"]
    digest = before.digest()
    shutil.rmtree(before.folder)
    images["worker"] = Image("worker", before.folder)
    assert images["worker"].digest() == digest


@pytest.fixture
def cluster(images: dict[str, Image], s3_endpoint: str) -> Iterator[Cluster]:
    """A head that runs no jobs, and a node for them, each with the Python of its image; whoever comes needs a token."""
    env = {**S3, **TOKENS, "AWS_ENDPOINT_URL": s3_endpoint, "PYTHONPATH": ""}
    with Cluster(0, client_server=True, python=str(images["head"].python), **env) as running:
        running.add_node(2, {"worker": 1}, python=str(images["worker"].python))
        yield running


CLIENT = """
import json, os
from checkmaite.jobs import configure_job_backend, shutdown_job_backend, submit_capability
from team_capabilities import SumOfSquares

options = json.loads(os.environ["OPTIONS"])


class Looks(SumOfSquares):
    id = "looks"

    def run(self, **given):
        import a_module

        print(a_module.__name__, open("a_file.txt").read())
        return super().run(**given)


backend = configure_job_backend("ray", **options)
job = submit_capability(SumOfSquares(), config={"limit": 5})
print(job.result(timeout=120).store_uri, flush=True)
print(*(row["sum"] for row in backend.analytics_store.read_table("sums").to_pylist()), flush=True)
shutdown_job_backend()

configure_job_backend("ray", **options, runtime_env={"working_dir": "folder", "py_modules": ["modules/a_module"]})
job = submit_capability(Looks(), config={"limit": 6})
job.result(timeout=120)
print(job.logs().strip(), flush=True)
shutdown_job_backend()
"""

INSTALLS = """
import json, os
from checkmaite.jobs import configure_job_backend, shutdown_job_backend, submit_capability
from team_capabilities import SumOfSquares

for tool in ("pip", "uv"):
    configure_job_backend("ray", **json.loads(os.environ["OPTIONS"]), runtime_env={tool: ["attrs"]})
    error = submit_capability(SumOfSquares(), config={"limit": 7}, max_retries=0).exception(timeout=120)
    print(tool, error.kind.value, "pip install virtualenv" in str(error), flush=True)
    shutdown_job_backend()
"""


def test_a_cluster_of_them_runs_jobs(
    images: dict[str, Image], cluster: Cluster, s3_endpoint: str, bucket: str, tmp_path: Path
) -> None:
    """A client with the head's packages and the capability's code comes through ray:// with the token.

    Files and modules that it sends arrive. What a worker would have to install does not: that is what the image is for.
    """
    common: dict[str, Any] = {
        "idempotency_scope": "images",
        "analytics_store": {"backend": "parquet", "uri": f"s3://{bucket}/store"},
    }
    env = {**S3, **TOKENS, "AWS_ENDPOINT_URL": s3_endpoint, "PYTHONPATH": str(ROOT / "deploy/capability/src")}
    python = str(images["head"].python)
    folder = tmp_path / "client"
    for path, text in {"folder/a_file.txt": "42", "modules/a_module/__init__.py": ""}.items():
        (folder / path).parent.mkdir(parents=True)
        (folder / path).write_text(text)
    client = Client(CLIENT, folder, {**common, "address": cluster.client}, prelude="", python=python, **env)
    stored, summed, looked = client.rest(120)
    assert stored.startswith(f"s3://{bucket}/store/sums/")
    assert summed == "30"
    assert looked == "a_module 42"
    other = {**common, "address": cluster.driver, "idempotency_scope": "installs"}
    installing = Client(INSTALLS, tmp_path / "other", other, prelude="", python=python, **env)
    assert installing.rest(120) == ["pip cannot-start True", "uv cannot-start True"]
