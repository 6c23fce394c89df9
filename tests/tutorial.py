"""The tutorial on plug-ins, in parts."""

from __future__ import annotations

import re
from pathlib import Path

PLUGINS = Path(__file__).parent / "plugins"
_PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "plug-ins.md"


def blocks(heading: str, kind: str) -> list[str]:
    """The code blocks of one kind below a heading."""
    (_, part) = re.split(rf"^## {re.escape(heading)}$", _PAGE.read_text("utf-8"), flags=re.MULTILINE)
    (below, *_) = re.split(r"^## ", part, flags=re.MULTILINE)
    return re.findall(rf"^```{kind}[^\n]*\n(.*?)^```$", below, flags=re.MULTILINE | re.DOTALL)
