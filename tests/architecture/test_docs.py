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
