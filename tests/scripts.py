"""What scripts of users print, read by tests."""

from __future__ import annotations

import re

_FROM_RAY = re.compile(r"(\x1b\[\d+m)*\((raylet|autoscaler|[^()]*pid=\d+)[^()]*\)")


def is_rays(line: str) -> bool:
    """Whether Ray put the line among those that the script printed: a warning of the node, or output of a worker."""
    return _FROM_RAY.match(line) is not None


def printed(stdout: str) -> list[str]:
    """The lines that the script itself printed."""
    return [line for line in stdout.splitlines() if not is_rays(line)]
