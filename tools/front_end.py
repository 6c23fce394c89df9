"""Brings the built front-end parts of others into the tree, at pinned versions, from npm.

``python tools/front_end.py`` fetches them again, and ``--check`` only compares what is there. Each file has a checksum
here, so that an update is a change of this file that somebody reads: set the version, run it, and copy what it says.
"""

import argparse
import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
_PAGE = "packages/checkmaite-jobs-ui/src/checkmaite/jobs_ui/page/vendor"
_TESTS = "tests/ui/vendor"
PARTS = {
    "uplot@1.6.32": {
        "dist/uPlot.iife.min.js": (
            f"{_PAGE}/uplot.js",
            "19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
        ),
        "dist/uPlot.min.css": (
            f"{_PAGE}/uplot.css",
            "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
        ),
        "LICENSE": (f"{_PAGE}/uplot-LICENSE.txt", "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd"),
    },
    # Finds what people with a screen reader or a keyboard would stumble over; MPL-2.0, in tests alone.
    "axe-core@4.14.1": {
        "axe.min.js": (f"{_TESTS}/axe.js", "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"),
        "LICENSE": (f"{_TESTS}/axe-LICENSE.txt", "af175b9d96ee93c21a036152e1b905b0b95304d4ae8c2c921c7609100ba8df7e"),
    },
}


def main() -> int:
    """Fetch, or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fetch nothing; compare what is there")
    if not parser.parse_args().check:
        for package in PARTS:
            fetch(package)
    wrong = differing()
    for target, found in wrong.items():
        print(f"{target} is another file: its SHA-256 is {found}", file=sys.stderr)
    return bool(wrong)


def fetch(package: str) -> None:
    """Take a package's files out of its archive; npm compares that with the registry's own checksum."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["npm", "pack", "--silent", package], cwd=folder, check=True, capture_output=True, text=True
        )
        with tarfile.open(Path(folder, done.stdout.strip())) as archive:
            for source, (target, _) in PARTS[package].items():
                content = archive.extractfile(f"package/{source}")
                assert content is not None, source
                (ROOT / target).parent.mkdir(parents=True, exist_ok=True)
                (ROOT / target).write_bytes(content.read())


def differing() -> dict[str, str]:
    """Files that are not what they should be, each with the checksum that it has."""
    found = {}
    for files in PARTS.values():
        for target, expected in files.values():
            file = ROOT / target
            actual = hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "none: it is not there"
            if actual != expected:
                found[target] = actual
    return found


if __name__ == "__main__":
    sys.exit(main())
