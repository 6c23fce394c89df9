"""The eight distributions agree with one another and share the `checkmaite` namespace."""

import ast
import tomllib
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml"))
FOLDERS = {
    "checkmaite-jobs": [],
    "checkmaite-jobs-cli": ["jobs_cli"],
    "checkmaite-jobs-core": ["jobs"],
    "checkmaite-jobs-ray": ["jobs_ray"],
    "checkmaite-jobs-ray-simple": ["jobs_ray_simple"],
    "checkmaite-jobs-ui": ["jobs_ui"],
    "checkmaite-store-delta": ["store_delta"],
    "checkmaite-store-parquet": ["store_parquet"],
}


def project(package: Path) -> dict[str, Any]:
    metadata: dict[str, Any] = tomllib.loads((package / "pyproject.toml").read_text("utf-8"))["project"]
    return metadata


@pytest.fixture(params=PACKAGES, ids=lambda package: package.name)
def package(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_the_distributions_are_the_eight() -> None:
    assert [package.name for package in PACKAGES] == sorted(FOLDERS)


def test_versions_move_in_lockstep() -> None:
    versions = {project(package)["name"]: project(package)["version"] for package in PACKAGES}
    assert len(set(versions.values())) == 1, versions


def test_a_distribution_owns_one_folder_of_the_namespace(package: Path) -> None:
    source = package / "src"
    below = sorted(path.name for path in source.glob("checkmaite/*") if path.name != "__pycache__")
    assert below == FOLDERS[package.name]
    assert [path for path in source.glob("*") if path.name != "checkmaite"] == []
    assert [folder for folder in below if not (source / "checkmaite" / folder / "py.typed").is_file()] == []


def test_checkmaite_is_a_namespace() -> None:
    assert list(ROOT.glob("packages/*/src/checkmaite/__init__.py*")) == []


def test_the_licence_travels_with_each_distribution(package: Path) -> None:
    metadata = project(package)
    assert (metadata["license"], metadata["license-files"]) == ("Apache-2.0", ["LICENSE"])
    assert (package / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_siblings_are_held_to_compatible_versions(package: Path) -> None:
    """A later patch release of a sibling is welcome; the next minor one may break what is used here."""
    metadata = project(package)
    extras = metadata.get("optional-dependencies", {})
    requirements = [Requirement(text) for text in [*metadata["dependencies"], *chain.from_iterable(extras.values())]]
    siblings = [each for each in requirements if each.name in FOLDERS and each.name != package.name]
    major, minor, patch = map(int, metadata["version"].split("."))
    for sibling in siblings:
        assert metadata["version"] in sibling.specifier
        assert f"{major}.{minor}.{patch + 1}" in sibling.specifier
        assert f"{major}.{minor + 1}.0" not in sibling.specifier


def test_one_module_of_core_talks_to_fsspec() -> None:
    core = ROOT / "packages/checkmaite-jobs-core/src/checkmaite/jobs"
    importers = {path.stem for path in core.rglob("*.py") if "fsspec" in _imported(path)}
    assert importers == {"drivers"}


def test_stores_name_the_drivers_of_core() -> None:
    """Which refuse to overwrite: earlier ones may not."""
    drivers = ("s3", "gcs", "azure")
    core, *stores = (
        project(ROOT / "packages" / name)["optional-dependencies"]
        for name in ("checkmaite-jobs-core", "checkmaite-store-parquet", "checkmaite-store-delta")
    )
    for store in stores:
        assert [store[extra] for extra in drivers] == [core[extra] for extra in drivers]


def _imported(path: Path) -> set[str]:
    """Top-level names of the modules that a file imports anywhere."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Import(names=aliases):
                names |= {alias.name.partition(".")[0] for alias in aliases}
            case ast.ImportFrom(module=str(module), level=0):
                names.add(module.partition(".")[0])
            case _:
                pass
    return names
