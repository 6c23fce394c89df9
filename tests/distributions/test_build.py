"""What is inside the wheels and the sdists."""

import sys
import tarfile
import zipfile
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from tests.distributions.building import FOLDERS, NAMES, Distributions, build, run

BESIDE = {"checkmaite-jobs-core": ("_checkmaite_jobs_place.", "_checkmaite_jobs_copy/jobs/")}
"""What keeps `checkmaite.jobs` in its place beside the CheckMAITE package."""


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def metadata(wheel: Path) -> Message:
    files = contents(wheel)
    return message_from_bytes(next(text for name, text in files.items() if name.endswith(".dist-info/METADATA")))


def test_an_index_would_take_them(distributions: Distributions) -> None:
    archives = [archive for name in NAMES for archive in (distributions.wheel(name), distributions.sdist(name))]
    verdicts = run(sys.executable, "-m", "twine", "check", "--strict", *archives)
    assert verdicts.count("PASSED") == len(archives)


@pytest.mark.parametrize("name", NAMES)
def test_a_wheel_owns_one_folder(distributions: Distributions, name: str) -> None:
    files = {file for file in contents(distributions.wheel(name)) if ".dist-info/" not in file}
    folder = FOLDERS[name]
    if folder is None:
        assert files == set()
    else:
        beside = BESIDE.get(name, ())
        assert {file for file in files if not file.startswith((folder, *beside))} == set()
        files = {file for file in files if not file.startswith(beside)} if beside else files
        assert {f"{folder}__init__.py", f"{folder}py.typed"} <= files
        page = "checkmaite/jobs_ui/page/"
        assert {
            file for file in files if not file.endswith((".py", "/py.typed")) and not file.startswith(page)
        } == set()


@pytest.mark.parametrize("name", NAMES)
def test_a_wheel_carries_its_licence(distributions: Distributions, name: str) -> None:
    wheel = distributions.wheel(name)
    assert metadata(wheel)["License-Expression"] == "Apache-2.0"
    assert [file for file in contents(wheel) if file.endswith(".dist-info/licenses/LICENSE")] != []


@pytest.mark.parametrize("name", NAMES)
def test_an_sdist_builds_the_same_wheel(distributions: Distributions, name: str, tmp_path: Path) -> None:
    with tarfile.open(distributions.sdist(name)) as archive:
        archive.extractall(tmp_path, filter="data")
    [project] = tmp_path.iterdir()
    build(project, tmp_path / "again", "wheel")
    [rebuilt] = (tmp_path / "again").iterdir()
    original = distributions.wheel(name)
    assert rebuilt.name == original.name
    assert contents(rebuilt) == contents(original)
