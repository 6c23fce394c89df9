"""Makes `deploy/pylock.*.toml` anew with `pip lock`, for the Python and the platform that this runs on.

`pip lock` writes where it found each wheel. What is kept is its name and digest: see deploy/wheels.py.
"""

from __future__ import annotations

import platform
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
NAMES = ("worker", "head")


def resolved(inputs: Path) -> list[dict[str, Any]]:
    """What pip would install for the inputs, without what is built from this tree."""
    said = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "lock", "--quiet", "--only-binary=:all:"),
            *("--requirement", str(inputs), "--output", "-"),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    packages = tomllib.loads(said.stdout)["packages"]
    return [each for each in packages if "directory" not in each]


def lines(name: str, packages: list[dict[str, Any]]) -> Iterator[str]:
    """The text of a lock."""
    yield f"# Made of {name}.in by `hatch run deploy:lock`. The wheels are fetched by wheels.py, from any index."
    yield 'lock-version = "1.0"'
    yield f"environments = [\"sys_platform == 'linux' and platform_machine == '{platform.machine()}'\"]"
    yield f'requires-python = "=={sys.version_info.major}.{sys.version_info.minor}.*"'
    yield 'created-by = "checkmaite-jobs"'
    for each in packages:
        (wheel,) = each["wheels"]
        yield ""
        yield "[[packages]]"
        yield f'name = "{each["name"]}"'
        yield f'version = "{each["version"]}"'
        yield "[[packages.wheels]]"
        yield f'path = "wheels/{wheel["name"]}"'
        yield f'hashes = {{ sha256 = "{wheel["hashes"]["sha256"]}" }}'


def main() -> None:
    """Write all of them."""
    for name in NAMES:
        packages = resolved(ROOT / "deploy" / f"{name}.in")
        lock = ROOT / "deploy" / f"pylock.{name}.toml"
        lock.write_text("\n".join(lines(name, packages)) + "\n", "utf-8")
        print(f"{lock.relative_to(ROOT)}: {len(packages)} packages")


if __name__ == "__main__":
    main()
