"""Pages whose Python is run as it stands, and by which test."""

from __future__ import annotations

import re

import pytest

from tests.pages.blocks import ROOT, blocks

TESTS = {
    "README.md": "acceptance/test_readme.py",
    "docs/explanation/durability.md": "acceptance/test_readme.py",
    "docs/explanation/identity-and-reuse.md": "acceptance/test_readme.py",
    "docs/explanation/store-layout.md": "acceptance/test_readme.py",
    "docs/how-to/analytics-store.md": "acceptance/test_readme.py",
    "docs/how-to/failures.md": "core/shared/test_kinds.py",
    "docs/how-to/large-objects.md": "acceptance/test_readme.py",
    "docs/how-to/journal.md": "acceptance/test_readme.py",
    "docs/how-to/plug-ins.md": "contract/test_tutorial.py",
    "docs/how-to/submitting.md": "acceptance/test_readme.py",
    "docs/how-to/tracing.md": "contract/test_spans.py",
    "docs/reference/tables.md": "acceptance/test_readme.py",
}
"""Pages whose scripts are run as they stand, and by what."""
OF_THE_USER = {"docs/how-to/ray.md", "docs/how-to/ray-simple.md"}
"""Pages that begin with an example of the user's own page, which tests/acceptance/test_page_examples.py runs."""


@pytest.mark.parametrize(("page", "test"), TESTS.items(), ids=str)
def test_the_scripts_of_a_page_are_run(page: str, test: str) -> None:
    assert page in {each.page for each in blocks("python")}
    reads = (ROOT / "tests" / test).read_text("utf-8") + (ROOT / "tests/tutorial.py").read_text("utf-8")
    assert page.rpartition("/")[2] in reads


def test_the_examples_of_the_users_page_are_those_of_our_pages() -> None:
    examples = (ROOT / "tests/acceptance/test_page_examples.py").read_text("utf-8")
    for page in OF_THE_USER:
        for each in blocks("python"):
            if each.page == page:
                (call,) = re.findall(r"^configure_job_backend\(.*?^\)", each.text, flags=re.MULTILINE | re.DOTALL)
                assert call in examples
