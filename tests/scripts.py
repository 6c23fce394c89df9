"""Scripts of users: tests run them, and read what they print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

_FROM_RAY = re.compile(r"(\x1b\[\d+m)*\((raylet|autoscaler|[^()]*pid=\d+)[^()]*\)")


def is_rays(line: str) -> bool:
    """Whether Ray put the line among those that the script printed: a warning of the node, or output of a worker."""
    return _FROM_RAY.match(line) is not None


def printed(stdout: str) -> list[str]:
    """The lines that the script itself printed."""
    return [line for line in stdout.splitlines() if not is_rays(line)]


def run_script(text: str, folder: Path, **env: str) -> str:
    """What a script prints that a user runs in `folder`; it must succeed."""
    (folder / "script.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=folder,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return "".join(f"{line}\n" for line in printed(done.stdout))
