"""The code blocks of the pages, and which of them say that they are not run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).parents[2]
NOT_RUN = re.compile(r"\*Not run by the tests: .+\.\*")
"""What the line above a block says that cannot be run, with the reason."""


@frozen
class Block:
    """One block.

    Attributes:
        page: The page, from the repository's root.
        line: Where it begins.
        language: ``python`` runs as it stands, ``py`` is a piece that needs something before it.
        excuse: Why it is not run; empty when it is.
    """

    page: str
    line: int
    language: str
    text: str
    excuse: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Every page of the documentation, and those beside the code."""
    return [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("packages/*/README.md"),
    ]


def blocks(*languages: str) -> Iterator[Block]:
    """The blocks in these languages, page by page."""
    for path in sorted(pages()):
        text = path.read_text("utf-8")
        for found in re.finditer(r"^```(\w+)\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
            if found[1] in languages:
                before = text[: found.start()].rstrip()
                last = before.rpartition("\n")[2]
                excuse = last if NOT_RUN.fullmatch(last) else ""
                yield Block(str(path.relative_to(ROOT)), before.count("\n") + 2, found[1], found[2], excuse)
