"""Whatever reads what is stored ends in a right reading, or in an error that names the object."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.fuzzing.reading import Reader, case_of
from tests.fuzzing.run import failure_of, readers

CASES, TESTS = 10_000, 10


@pytest.fixture(scope="module")
def found() -> Iterator[dict[str, Reader]]:
    with readers() as made:
        yield made


@pytest.mark.parametrize("part", range(TESTS))
def test_what_was_changed_is_read_right_or_refused_by_name(found: dict[str, Reader], part: int) -> None:
    """`hatch run fuzz NUMBER` repeats a case that fails; `hatch run fuzz` tries a million."""
    seen: Counter[str] = Counter()
    numbers = range(part * CASES // TESTS, (part + 1) * CASES // TESTS)
    failures = [failure for number in numbers if (failure := failure_of(number, found, seen))]
    assert not failures, "\n".join(failures)
    told = {name.partition(": ")[0] for name in seen if not name.endswith(": read")}
    assert {"journals", "commits", "copies", "types", "salvaged"} <= told, "nothing was refused"


def test_a_case_is_the_same_in_every_process(found: dict[str, Reader]) -> None:
    """So that its number says all: what is stored, what is changed in it, and how."""
    with readers() as again:
        assert [case_of(number, found) for number in range(300)] == [case_of(number, again) for number in range(300)]
