"""What the images are made of agrees with the packages. `hatch run images` builds their layers and uses them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename

from tests.deploying.dockerfiles import DEPLOY, NAMES, ROOT, Stage, read

OURS = {
    "worker": {"checkmaite-jobs-core", "checkmaite-store-parquet", "team-capabilities"},
    "head": {"checkmaite-jobs-core", "checkmaite-jobs-ray", "checkmaite-jobs-ray-simple", "checkmaite-store-parquet"},
}


def locked(name: str) -> dict[str, dict[str, Any]]:
    """The packages of an image's lock."""
    packages = tomllib.loads((DEPLOY / f"pylock.{name}.toml").read_text("utf-8"))["packages"]
    return {each["name"]: each for each in packages}


def inputs(name: str) -> list[str]:
    """What the lock is made of: folders of this tree, and requirements."""
    lines = (DEPLOY / f"{name}.in").read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def folders(name: str) -> dict[str, Path]:
    """The projects of this tree that an image holds, by their names."""
    found = {}
    for line in inputs(name):
        if line.startswith("./"):
            project = ROOT / line.partition("[")[0]
            found[tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]["name"]] = project
    return found


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def stages(name: str) -> list[Stage]:
    return read(name)


def test_a_worker_holds_core_the_store_and_capabilities(name: str) -> None:
    """And a head the control plane. A worker has no backend, no client's side of Ray and no dashboard."""
    assert set(folders(name)) == OURS[name]
    assert "grpcio" in locked("head")
    assert not {"grpcio", "duckdb", "pandas", "opencensus"} & set(locked("worker"))


def test_the_lock_has_what_the_packages_require(name: str) -> None:
    """Directly: what those need in turn pip has looked up. A bound that was raised since makes this fail."""
    packages, ours = locked(name), folders(name)
    for line in inputs(name):
        if line.startswith("./"):
            project = tomllib.loads((ROOT / line.partition("[")[0] / "pyproject.toml").read_text("utf-8"))["project"]
            extras = re.findall(r"\[(.+)\]", line)
            wanted = [
                *project["dependencies"],
                *(each for extra in extras for each in project["optional-dependencies"][extra]),
            ]
        else:
            wanted = [line]
        for requirement in map(Requirement, wanted):
            if requirement.name not in ours:
                assert requirement.name in packages, f"{requirement} is not locked: run `hatch run deploy:lock`"
                assert packages[requirement.name]["version"] in requirement.specifier, str(requirement)


def test_the_lock_names_files_and_no_host(name: str) -> None:
    text = (DEPLOY / f"pylock.{name}.toml").read_text("utf-8")
    assert "://" not in text
    for package in locked(name).values():
        (wheel,) = package["wheels"]
        distribution, version, _, tags = parse_wheel_filename(Path(wheel["path"]).name)
        assert (distribution, str(version)) == (canonicalize_name(package["name"]), package["version"])
        assert {tag.platform for tag in tags} & {"any"} or any("manylinux" in tag.platform for tag in tags)
        assert re.fullmatch(r"[0-9a-f]{64}", wheel["hashes"]["sha256"])


def test_all_images_have_the_same_versions() -> None:
    """Head and workers exchange pickles, and write the same store."""
    worker, head = locked("worker"), locked("head")
    assert {each: worker[each]["version"] for each in worker} == {
        each: head[each]["version"] for each in worker if each in head
    }


def test_every_version_of_an_image_is_pinned(stages: list[Stage]) -> None:
    """The base image's by its tag, pip's by its number, the rest by the lock."""
    build, image = stages
    assert build.image == image.image
    assert re.fullmatch(r"python:3\.11-slim-\w+", image.image), "the lock is of this Python"
    tools, *rest = [line for line in build.of("RUN") if "pip" in line]
    assert re.fullmatch(r"python -m pip install( [a-z]+==[0-9.]+)+", tools)
    assert [
        command
        for line in rest
        for command in line.split("&&")
        if " install " in command and "--no-index" not in command
    ] == []
    assert ["--no-build-isolation" in line for line in rest if " wheel " in line] == [True]


def test_an_image_does_not_run_as_root(stages: list[Stage]) -> None:
    _, image = stages
    assert image.of("RUN") == ["useradd --uid 1000 --create-home ray"]
    assert image.of("USER") == ["1000:1000"], "by number, which `runAsNonRoot` of Kubernetes asks for"
    assert image.of("COPY") == ["--from=build /opt/venv /opt/venv"], "nothing of what it was built with"


def test_an_image_is_built_of_what_its_lock_is_made_of(name: str, stages: list[Stage]) -> None:
    build, _ = stages
    (wheels,) = [line for line in build.of("RUN") if "pip wheel" in line]
    copied = {source: target for *sources, target in map(str.split, build.of("COPY")) for source in sources}
    assert [source for source in copied if not (ROOT / source).exists()] == []
    projects = {source: target for source, target in copied.items() if (ROOT / source / "pyproject.toml").exists()}
    assert {ROOT / source for source in projects} == set(folders(name).values())
    assert re.findall(r"\./(\S+)", wheels) == list(projects.values())
