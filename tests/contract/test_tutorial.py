"""The tutorial on plug-ins shows the samples as they are; tests/distributions installs them and runs the rest."""

from __future__ import annotations

import pytest

from tests.tutorial import PLUGINS, blocks


def lines_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("part", ["store", "backend"])
def test_its_blocks_are_the_sample(part: str) -> None:
    """But for blank lines. After a change of a sample, or of the page, make the other alike."""
    sample = PLUGINS / f"sample-{part}"
    module, config = sample / "src" / f"sample_{part}" / "__init__.py", sample / "pyproject.toml"
    assert lines_of("\n".join(blocks(f"A {part}", "python"))) == lines_of(module.read_text())
    assert lines_of("\n".join(blocks(f"A {part}", "toml"))) == lines_of(config.read_text())
