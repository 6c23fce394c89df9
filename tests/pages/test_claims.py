"""What the explanations say is what the code does: each claim names the test that shows it, and lists are complete."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests.pages.blocks import ROOT

EXPLANATIONS = sorted((ROOT / "docs/explanation").glob("*.md"))
_UNPICKLES = {"load", "loads", "Unpickler"}


@pytest.mark.parametrize("page", EXPLANATIONS, ids=lambda page: page.stem)
def test_each_test_that_a_page_names_is_there(page: Path) -> None:
    named = set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text("utf-8")))
    assert {
        (file, name)
        for file, name in named
        if not re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text("utf-8"), flags=re.MULTILINE)
    } == set()


@pytest.mark.parametrize("name", ["durability", "security"])
def test_every_death_and_every_claim_names_its_test(name: str) -> None:
    rows = re.findall(r"^\|.*\|$", (ROOT / f"docs/explanation/{name}.md").read_text("utf-8"), flags=re.MULTILINE)
    tables: list[list[str]] = []
    for row, after in zip(rows, [*rows[1:], ""], strict=True):
        if after.startswith("|---"):
            tables.append([row])
        elif not row.startswith("|---"):
            tables[-1].append(row)
    shown = [row for head, *rest in tables if "seen by" in head for row in rest]
    assert len(shown) > 5
    assert [row for row in shown if "::test_" not in row] == []


def test_the_page_names_every_place_where_something_is_unpickled() -> None:
    page = (ROOT / "docs/explanation/security.md").read_text("utf-8")
    found = {
        path.as_posix().partition("/checkmaite/")[2]
        for path in ROOT.glob("packages/*/src/**/*.py")
        if "testing" not in path.parts and _unpickles(path)
    }
    assert found == set(re.findall(r"^\| `([\w/]+\.py)` \|", page, flags=re.MULTILINE))


@pytest.mark.parametrize("page", ["README.md", "packages/checkmaite-jobs/README.md"])
def test_a_readme_lists_every_extra(page: str) -> None:
    project = tomllib.loads((ROOT / "packages/checkmaite-jobs/pyproject.toml").read_text("utf-8"))["project"]
    (_, rows) = (ROOT / page).read_text("utf-8").split("| (none) |")
    listed = re.findall(r"^\| `([\w-]+)` \|", rows.partition("\n\n")[0], flags=re.MULTILINE)
    assert set(listed) == set(project["optional-dependencies"])


def _unpickles(path: Path) -> bool:
    """Whether a module reads pickles: whatever the module that does so is called there."""
    text = path.read_text("utf-8")
    return "pickle" in text and any(
        (isinstance(node, ast.Attribute) and node.attr in _UNPICKLES and "pickle" in ast.unparse(node.value))
        or (
            isinstance(node, ast.ImportFrom)
            and "pickle" in (node.module or "")
            and {each.name for each in node.names} & _UNPICKLES
        )
        for node in ast.walk(ast.parse(text))
    )
