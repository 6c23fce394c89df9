"""An environment made before an entry point moved is brought up to date by the command that uses it."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
MEMBERS = sorted((ROOT / "packages").iterdir())


@pytest.fixture(scope="module")
def reinstall() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reinstall", ROOT / "tools" / "reinstall.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("member", MEMBERS, ids=lambda member: member.name)
def test_this_environment_is_up_to_date(reinstall: ModuleType, member: Path) -> None:
    assert not reinstall.is_outdated(member)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('inline = "checkmaite.jobs._inline:', 'inline = "checkmaite.jobs.worker.inline:'),
        ('version = "', 'version = "9.'),
        (
            "[tool.hatch.build.targets.wheel]\n",
            '[project.scripts]\njobs = "checkmaite.jobs:main"\n\n[tool.hatch.build.targets.wheel]\n',
        ),
    ],
    ids=["entry-point", "version", "command"],
)
def test_what_changed_since_is_seen(reinstall: ModuleType, tmp_path: Path, before: str, after: str) -> None:
    declared = (ROOT / "packages/checkmaite-jobs-core/pyproject.toml").read_text()
    assert before in declared
    (tmp_path / "start").symlink_to(ROOT / "packages/checkmaite-jobs-core/start")
    (tmp_path / "pyproject.toml").write_text(declared)
    assert not reinstall.is_outdated(tmp_path)

    (tmp_path / "pyproject.toml").write_text(declared.replace(before, after))

    assert reinstall.is_outdated(tmp_path)


def test_a_changed_file_beside_the_package_is_seen(reinstall: ModuleType, tmp_path: Path) -> None:
    core = ROOT / "packages/checkmaite-jobs-core"
    (tmp_path / "pyproject.toml").write_text((core / "pyproject.toml").read_text())
    (tmp_path / "start").mkdir()
    for file in (core / "start").iterdir():
        if file.is_file():
            (tmp_path / "start" / file.name).write_bytes(file.read_bytes() + b"# since then\n")

    assert reinstall.is_outdated(tmp_path)


def test_what_is_not_installed_is_left_alone(reinstall: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "not-installed-anywhere"\nversion = "1"\n')

    assert not reinstall.is_outdated(tmp_path)
