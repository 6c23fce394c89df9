"""Which code a client's jobs run: a digest of what is on disk now."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from checkmaite.jobs.spi import content_of
from checkmaite.jobs_ray_simple.cluster import code as code_module
from checkmaite.jobs_ray_simple.cluster.code import code_here


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that this process imports from."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def write(path: Path, text: str, *, at: float | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    if at is not None:
        os.utime(path, (at, at))


@pytest.mark.parametrize("module", ["local_module", "local_package", "local_namespace.inside"])
def test_what_was_imported_counts_by_its_content(folder: Path, module: str) -> None:
    path = folder / f"{module.replace('.', '/')}{'/__init__' * module.endswith('package')}.py"
    write(path, "VERSION = 1", at=1_000)
    before = code_here()
    importlib.import_module(module)
    one = code_here()
    assert one != before
    write(path, "VERSION = 2", at=2_000)
    assert code_here() != one
    write(path, "VERSION = 1", at=3_000)
    assert code_here() == one, "a client that starts again with the same code has the same"


@pytest.mark.parametrize("file", ["other.py", "deeper/__init__.py", "deeper/other.py"])
def test_what_a_job_may_import_from_the_same_package_counts(folder: Path, file: str) -> None:
    write(folder / "local_package" / "__init__.py", "")
    write(folder / "local_package" / "deeper" / "__init__.py", "")
    importlib.import_module("local_package")
    before = code_here()
    write(folder / "local_package" / file, "NEW = 1")
    assert code_here() != before


def test_what_is_beside_the_script_counts_and_the_script_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code_module, "_driver_paths", lambda: iter([str(tmp_path)]))
    monkeypatch.setattr(sys.modules["__main__"], "__file__", str(tmp_path / "script.py"), raising=False)
    before = code_here()
    assert before.paths == (str(tmp_path),)
    write(tmp_path / "script.py", "1")
    write(tmp_path / "data" / "ignored.py", "1")  # it is no package
    assert code_here() == before
    write(tmp_path / "lazily.py", "1")
    assert code_here() != before


def test_workers_are_told_of_all_modules_until_that_costs_too_much(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(code_module, "_driver_paths", lambda: iter([str(folder)]))
    code_module._warn_of_unchecked.cache_clear()
    files = {str(folder / f"local_module_{number}.py"): f"VERSION = {number}" for number in range(100)}
    for file, text in files.items():
        write(Path(file), text)
    importlib.import_module("local_module_1")
    told = code_here()
    assert told.contents == {file: content_of(file) for file in files}, "also those that only a job imports"
    assert sum(len(text) for _, text in told.files) < 20 * len(files)
    assert not caplog.records
    monkeypatch.setattr(code_module, "_MOST_TOLD", 1_000)
    write(folder / "local_module_1.py", "VERSION = 2")
    assert [code_here().files, code_here().files] == [(), ()]
    (record,) = caplog.records
    assert "if one is edited while a job waits" in record.getMessage()


def test_a_file_of_the_same_size_and_time_is_read_again_while_it_is_young(folder: Path) -> None:
    path = folder / "local_module.py"
    write(path, "VERSION = 1")
    importlib.import_module("local_module")
    one, found = code_here(), path.stat()
    path.write_text("VERSION = 2")
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert code_here() != one


def settle(folder: Path) -> None:
    """As if everything had been written long ago."""
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (1_000, 1_000))


@pytest.mark.parametrize("change", ["edit", "add", "make a package", "remove"])
def test_as_long_as_nothing_changes_nothing_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch, change: str) -> None:
    write(folder / "local_package" / "__init__.py", "")
    write(folder / "local_package" / "one.py", "VERSION = 1")
    write(folder / "local_package" / "data" / "two.py", "")
    importlib.import_module("local_package.one")
    settle(folder)
    before, read = code_here(), code_module._read
    monkeypatch.setattr(code_module, "_read", None)
    assert code_here() is before
    monkeypatch.setattr(code_module, "_read", read)
    match change:
        case "edit":
            write(folder / "local_package" / "one.py", "VERSION = 2", at=2_000)
        case "add":
            write(folder / "local_package" / "new.py", "")
        case "make a package":
            write(folder / "local_package" / "data" / "__init__.py", "")
        case "remove":
            (folder / "local_package" / "one.py").unlink()
    assert code_here().digest != before.digest


def test_a_large_folder_of_other_things_costs_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_module, "_LARGEST", 10)
    monkeypatch.setattr(code_module, "_driver_paths", lambda: iter([str(tmp_path)]))
    for number in range(20):
        write(tmp_path / f"file_{number}.py", "")
    before = code_here()
    write(tmp_path / "file_3.py", "changed")
    assert code_here() == before


def test_an_installed_package_does_not_count(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(code_module, "_INSTALLED", (f"{folder}/",))
    write(folder / "installed_module.py", "")
    before = code_here()
    importlib.import_module("installed_module")
    assert code_here() == before


@pytest.mark.parametrize("site", ["site-packages", "dist-packages"])
def test_what_another_environment_has_installed_does_not_count(
    folder: Path, monkeypatch: pytest.MonkeyPatch, site: str
) -> None:
    """A virtual environment may be made over another: `--system-site-packages`, a .pth file, the user's own site."""
    write(folder / site / "installed_elsewhere" / "__init__.py", "")
    monkeypatch.syspath_prepend(str(folder / site))
    before = code_here()
    importlib.import_module("installed_elsewhere")
    assert code_here() == before


class _HasEverything:
    """Stands in `sys.modules` as `torch.classes` does: every attribute is there, and is no path."""

    def __getattr__(self, name: str) -> object:
        if name == "__file__":
            raise RuntimeError("no such class")
        return object()


@pytest.mark.parametrize("module", [_HasEverything(), None, object()])
def test_whatever_stands_in_for_a_module_does_not_count(monkeypatch: pytest.MonkeyPatch, module: object) -> None:
    before = code_here()
    monkeypatch.setitem(sys.modules, "odd_module", module)  # type: ignore[arg-type]
    assert code_here() == before


def test_a_path_that_cannot_be_read_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = code_here()
    monkeypatch.setitem(sys.modules, "odd_module", SimpleNamespace(__file__=None, __path__=object()))  # type: ignore[arg-type]
    assert code_here() == before
