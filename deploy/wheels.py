"""Downloads the wheels that a lock names, from the index that pip is told of, into `wheels/` beside it.

A lock names files and their digests and no host, so that it holds for every mirror, and for a folder of wheels that was
carried to a machine without a network. Run by the Dockerfiles: `python wheels.py pylock.worker.toml`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path


def requirements(lock: Path) -> str:
    """The lock's packages as pip's hashed requirements."""
    packages = tomllib.loads(lock.read_text("utf-8"))["packages"]
    return "".join(
        f"{each['name']}=={each['version']} --hash=sha256:{wheel['hashes']['sha256']}\n"
        for each in packages
        for wheel in each["wheels"]
    )


def main() -> None:
    """Fetch what is not there yet; a file with another digest is refused."""
    lock = Path(sys.argv[1])
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as listed:
        listed.write(requirements(lock))
        listed.flush()
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"),
                *("--require-hashes", "--dest", str(lock.parent / "wheels"), "--requirement", listed.name),
            ],
            check=True,
        )


if __name__ == "__main__":
    main()
