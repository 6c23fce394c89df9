"""Pages are read in two places, on the site and beside the code, and both must take them alike."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_code_block_says_its_language_and_no_more() -> None:
    """The site takes a block that says more for text, and swallows what is below it.

    Python that our tests run as it stands is ``python``, a piece of Python ``py``: both are shown alike.
    """
    pages = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("packages/*/README.md"),
    ]
    wrong = [
        f"{page.relative_to(ROOT)}: {line}"
        for page in pages
        for line in page.read_text("utf-8").splitlines()
        if re.match(r" *```\S* +\S", line)
    ]
    assert wrong == []


def test_each_topic_that_the_users_page_links_to_has_its_page() -> None:
    topics = {
        "Job submission",
        "Ray job backend",
        "Ray simple job backend",
        "Worker environments",
        "Distributed analytics store",
    }
    titles = {page.read_text("utf-8").partition("\n")[0] for page in ROOT.glob("docs/how-to/*.md")}
    assert {f"# {topic}" for topic in topics} <= titles


def test_a_page_is_in_the_navigation_and_its_links_lead_somewhere() -> None:
    """Files and headings; the site's own build says likewise, and takes an environment."""
    navigation = (ROOT / "mkdocs.yml").read_text("utf-8")
    wrong = []
    for page in ROOT.glob("docs/**/*.md"):
        name = page.relative_to(ROOT / "docs").as_posix()
        if f"- {name}" not in navigation:
            wrong.append(f"{name} is not in mkdocs.yml")
        for target, anchor in re.findall(r"\]\(([^)#:\s]*)(?:#([^)\s]*))?\)", page.read_text("utf-8")):
            there = (page.parent / target).resolve() if target else page
            if not there.exists():
                wrong.append(f"{name}: {target}")
            elif anchor and there.suffix == ".md" and anchor not in anchors(there):
                wrong.append(f"{name}: {target}#{anchor}")
    assert wrong == []


def anchors(page: Path) -> set[str]:
    """What the headings of a page are called in links."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower()) for heading in headings}
