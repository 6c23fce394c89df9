"""What releases, recipes and workflows say agrees with the packages' own metadata."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
CLASSIFIER = "Programming Language :: Python :: 3."
NAMES = {"ray": "ray-core", "duckdb": "python-duckdb"}
"""What conda-forge calls them."""
UMBRELLA = "checkmaite-jobs"
"""Its extras are other packages there."""


def project(name: str) -> dict[str, Any]:
    metadata: dict[str, Any] = tomllib.loads((ROOT / "packages" / name / "pyproject.toml").read_text("utf-8"))[
        "project"
    ]
    return metadata


def workflow(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / f".github/workflows/{name}.yml").read_text("utf-8"))
    return found


def recipe() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "conda/recipe.yaml").read_text("utf-8"))
    return found


def test_every_python_that_metadata_claims_is_tried() -> None:
    claimed = {
        each.removeprefix("Programming Language :: Python :: ")
        for path in ROOT.glob("packages/*/pyproject.toml")
        for each in project(path.parent.name)["classifiers"]
        if each.startswith(CLASSIFIER)
    }
    for name, job in {"ci": "test", "release": "try"}.items():
        assert set(workflow(name)["jobs"][job]["strategy"]["matrix"]["python-version"]) == claimed


def test_a_release_holds_no_token() -> None:
    text = (ROOT / ".github/workflows/release.yml").read_text("utf-8")
    assert "secrets." not in text
    jobs = workflow("release")["jobs"]
    assert [name for name, job in jobs.items() if "id-token" in job["permissions"]] == ["publish"]
    assert jobs["publish"]["environment"] == "release"
    assert jobs["publish"]["steps"][-1]["with"] == {"attestations": True}


def test_every_action_is_pinned_to_a_commit() -> None:
    """With its version beside it: what a tag names may be changed by whoever gets hold of its repository."""
    for path in (ROOT / ".github/workflows").glob("*.yml"):
        used = re.findall(r"uses: (.+)$", path.read_text("utf-8"), flags=re.MULTILINE)
        assert used
        assert [each for each in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40} +# v\d+\.\d+\.\d+", each)] == []


def test_the_conda_recipe_makes_a_package_of_every_distribution() -> None:
    made = [output["package"]["name"] for output in recipe()["outputs"]]
    assert sorted(made) == sorted(path.parent.name for path in ROOT.glob("packages/*/pyproject.toml"))
    for output in recipe()["outputs"]:
        assert f"./packages/{output['package']['name']} " in output["build"]["script"]


def test_the_conda_recipe_asks_for_what_the_metadata_ask_for() -> None:
    assert recipe()["context"]["version"] == project("checkmaite-jobs-core")["version"]
    for output in recipe()["outputs"]:
        name = output["package"]["name"]
        run = output["requirements"]["run"]
        for wanted in map(Requirement, project(name)["dependencies"]):
            if wanted.name.startswith("checkmaite-"):
                assert f'${{{{ pin_subpackage("{wanted.name}", upper_bound="x.x") }}}}' in run
            else:
                assert f"{NAMES.get(wanted.name, wanted.name)} {wanted.specifier}" in run
        extras = {} if name == UMBRELLA else project(name).get("optional-dependencies", {})
        for extra, requirements in extras.items():
            for wanted in map(Requirement, requirements):
                if extra != "testing":
                    constraints = output["requirements"]["run_constraints"]
                    assert f"{NAMES.get(wanted.name, wanted.name)} {wanted.specifier}" in constraints


def test_the_conda_recipe_has_no_anchors() -> None:
    """rattler-build refuses them, and PyYAML does not; `hatch run deploy:recipe` reads it as rattler-build does."""
    text = (ROOT / "conda/recipe.yaml").read_text("utf-8")
    assert re.findall(r"[:-] +[&*]\w+", text) == []


def test_issue_templates_are_forms() -> None:
    for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml"):
        form = yaml.safe_load(path.read_text("utf-8"))
        if path.name == "config.yml":  # a link there has to be whole, and nobody knows where a copy of this lives
            assert set(form) == {"blank_issues_enabled"}
        else:
            assert {"name", "description", "body"} <= set(form)
            assert all(re.fullmatch(r"[a-z]+", each["id"]) for each in form["body"])
