"""The reference pages name what there is."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from checkmaite import jobs

from tools import options_page, tables_page

PAGE = (Path(__file__).parents[2] / "docs/reference/errors.md").read_text("utf-8")


def test_every_error_has_its_cause_and_remedy() -> None:
    errors = {
        name: value
        for name in jobs.__all__
        if inspect.isclass(value := getattr(jobs, name)) and issubclass(value, jobs.JobsError)
    }
    rows = re.findall(r"^\| `(\w+)` \| (?:`(\w+)`)? ?\| ([^|]+) \| ([^|]*) ?\|$", PAGE, flags=re.MULTILINE)
    assert {name for name, *_ in rows} | {"JobsError"} == set(errors)
    for name, also, cause, _ in rows:
        standard = [each.__name__ for each in errors[name].__mro__ if each.__module__ == "builtins"]
        assert cause.strip()
        assert (also or standard[0]) == standard[0] or also in standard, name


def test_the_page_of_options_is_what_the_classes_declare() -> None:
    """`hatch run reference` makes it anew."""
    assert options_page.PAGE.read_text("utf-8") == options_page.page()


def test_advice_on_options_is_about_options_that_there_are() -> None:
    page = options_page.page()
    assert [name for name, told in options_page.ADVICE.items() if told[1:] not in page] == []


def test_the_page_of_tables_has_the_columns_that_stores_and_the_journal_have() -> None:
    """`hatch run reference` makes it anew."""
    text = tables_page.PAGE.read_text("utf-8")
    assert text == tables_page.page(text)
    assert [name for kind in tables_page.MEANINGS.values() for name in kind if f"| `{name}` |" not in text] == []
