"""Installs those packages of this repository again whose metadata changed since the environment was made.

Hatch installs a member of the workspace once, editable. Its modules are read from here from then on, its entry points
and the files beside its package are not: they stay as they were that day, and after a `git pull` that moves a backend
the environment would look for it at its old place. `hatch run test` and `hatch run demo` run this first (0.1 s).
"""

import subprocess
import sys
import sysconfig
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

_MEMBERS = Path(__file__).parents[1] / "packages"


def main() -> None:
    """Looks at each package that is installed, and installs those that changed."""
    changed = [member for member in sorted(_MEMBERS.iterdir()) if is_outdated(member)]
    if changed:
        print("Changed since this environment was made:", *(member.name for member in changed), flush=True)
        editable = [word for member in changed for word in ("--editable", str(member))]
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", *editable], check=True)


def is_outdated(member: Path) -> bool:
    """Whether what is installed of a package is not what its folder declares; False where it is not installed."""
    metadata = tomllib.loads((member / "pyproject.toml").read_text())
    project = metadata["project"]
    try:
        installed = distribution(project["name"])
    except PackageNotFoundError:
        return False  # an environment of some of the packages
    groups = {**project.get("entry-points", {}), "console_scripts": project.get("scripts", {})}
    declared = {(group, name, value) for group, values in groups.items() for name, value in values.items()}
    included = metadata.get("tool", {}).get("hatch", {}).get("build", {}).get("targets", {}).get("wheel", {})
    return (
        declared != {(entry.group, entry.name, entry.value) for entry in installed.entry_points}
        or project["version"] != installed.version
        or any(
            _differ(member / source, Path(sysconfig.get_path("purelib"), target))
            for source, target in included.get("force-include", {}).items()
        )
    )


def _differ(source: Path, installed: Path) -> bool:
    return source.is_file() and (not installed.is_file() or source.read_bytes() != installed.read_bytes())


if __name__ == "__main__":
    main()
