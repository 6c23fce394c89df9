"""One thing that a job may change in its process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Setting(NamedTuple):
    """Something of the whole process that can be read and written.

    Attributes:
        name: What it is, for people.
        read: Gives its value, which does not change with what it describes.
        write: Gives it a value that `read` gave.
        only_by_jobs: Whether nothing but a job changes it, so that it need not be read before each of them.
    """

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], object]
    only_by_jobs: bool = False
