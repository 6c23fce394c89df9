"""Finds a Chromium for the tests of the page, or installs Debian's where that is allowed; never fails.

Without one these tests are skipped, and say why.
"""

import os
import shutil
import subprocess
import sys

_NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
VARIABLE = "CHECKMAITE_TEST_CHROMIUM"
HOW = f"Install one (Debian: apt-get install chromium), or name its program in {VARIABLE}."


def find() -> str | None:
    """The program: the one that the variable names, else one on the path."""
    if named := os.environ.get(VARIABLE):
        return shutil.which(named)
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


def main() -> None:
    """Have one, if that can be."""
    if find() or VARIABLE in os.environ:
        return
    if not (apt := shutil.which("apt-get")) or not hasattr(os, "geteuid") or os.geteuid() != 0:
        print(f"No Chromium: the tests of the page will be skipped. {HOW}", file=sys.stderr)
        return
    print("Installing Chromium for the tests of the page ...", flush=True)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", "chromium", "fonts-dejavu-core"]):
        done = subprocess.run([apt, "-qq", *command], env=env, check=False, capture_output=True, text=True)
        if done.returncode:
            said = done.stderr.strip().rpartition("\n")[2]
            print(f"It cannot be installed ({said}). The tests of the page will be skipped. {HOW}", file=sys.stderr)
            return


if __name__ == "__main__":
    main()
