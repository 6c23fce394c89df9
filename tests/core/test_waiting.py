"""Times without end are those that every clock, timer and message can carry."""

from __future__ import annotations

import threading
from math import inf, nan

import pytest
from checkmaite.jobs.spi import Deadline, usable_grace_s


@pytest.mark.parametrize("timeout_s", [None, inf, 1e300, threading.TIMEOUT_MAX])
def test_a_deadline_that_no_thread_can_wait_for_never_comes(timeout_s: float | None) -> None:
    assert Deadline.after(timeout_s, lambda: 5.0).remaining_s() is None


@pytest.mark.parametrize(("timeout_s", "remaining_s"), [(3.0, 3.0), (-1.0, 0.0), (nan, 0.0)])
def test_any_other_comes(timeout_s: float, remaining_s: float) -> None:
    assert Deadline.after(timeout_s, lambda: 5.0).remaining_s() == remaining_s


@pytest.mark.parametrize(("grace", "grace_s"), [(3, 3.0), (-1, 0.0), (nan, 0.0), (inf, 1e9), (1e300, 1e9)])
def test_a_grace_is_finite(grace: float, grace_s: float) -> None:
    assert usable_grace_s(grace) == grace_s
