"""What every refusal has: a path, a cause and a remedy; and nothing has changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from checkmaite.jobs import ConfigurationError, JobBackend, Problem, configure_job_backend, get_job_backend


class Said(NamedTuple):
    """What one problem says, or the characteristic part of it."""

    path: str
    cause: str
    remedy: str


def assert_said(problems: Sequence[Problem], said: tuple[str, str, str], *, below: str = "") -> None:
    """One of the problems is this one, and each has all three parts."""
    path, cause, remedy = said
    assert [each for each in problems if not (each.path and each.cause and each.remedy)] == []
    at_path = [each for each in problems if each.path == below + path]
    assert at_path, f"nothing about {below + path}: {list(map(str, problems))}"
    assert [each for each in at_path if cause in each.cause and remedy in each.remedy], list(map(str, at_path))


def assert_refused(active: JobBackend, kind: Any, arguments: dict[str, Any], said: tuple[str, str, str]) -> None:
    """The configuration is refused so, and the backend that was active still is."""
    with pytest.raises(ConfigurationError) as caught:
        configure_job_backend(kind, **arguments)
    assert_said(caught.value.problems, said)
    assert "hunter2" not in str(caught.value), "the error shows a secret"
    assert get_job_backend() is active, "the earlier backend stays active"
