"""What users notice of a change is in a file of its own, which `hatch run changes:join` can read."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_file_of_changes_is_a_list_of_a_known_kind() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["towncrier"]
    kinds = {kind["directory"] for kind in settings["type"]}
    for path in sorted((ROOT / settings["directory"]).iterdir()):
        if path.name not in settings["ignore"]:
            name, *kind = path.name.split(".")
            assert name, path.name
            assert kind in [[each, "md"] for each in kinds], f"{path.name}: no kind of {sorted(kinds)}"
            lines = path.read_text("utf-8").splitlines()
            assert lines, path.name
            assert all(line.startswith(("- ", "  ")) for line in lines), f"{path.name} holds list items"


def test_they_are_joined_below_the_heading_of_a_version() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["towncrier"]
    assert (ROOT / "CHANGELOG.md").read_text("utf-8").count(f"\n{settings['start_string']}") == 1
