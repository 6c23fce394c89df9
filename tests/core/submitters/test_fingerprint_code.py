"""Code that changed is noticed and named; comments, and code that the capability does not use, are not."""

from __future__ import annotations

import ast
import importlib
import os
import shutil
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from checkmaite.jobs._shared.prints import Fingerprints, differences
from checkmaite.jobs._submitters.fingerprint import Fingerprinter, code, distributions, fingerprints_of

CAPABILITY = """
class Capability:
    id = "capability"

    def run(self, **given):
        return 1
"""

Write = Callable[..., None]
Load = Callable[[str], ModuleType]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(**files: str) -> None:
        for name, text in files.items():
            path = tmp_path / f"{name.replace('__', '/')}.py".replace("INIT", "__init__")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))

    return write


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Load]:
    """Imports a module of the folder, as a new process would."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = {*sys.modules}

    def forget() -> None:
        for name in {*sys.modules} - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
                del sys.modules[name]

    def load(name: str) -> ModuleType:
        forget()
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield load
    forget()


def of(module: ModuleType, **given: Any) -> Fingerprints:
    return fingerprints_of(module.Capability(), **given)


def test_what_a_capability_imports_is_followed_and_nothing_else(write: Write, load: Load) -> None:
    write(
        mycaps=f"import json, helpers\nfrom toolbox.scale import scaled\n{CAPABILITY}",
        helpers="def help(): return later()\ndef later():\n    from steps import step\n    return step",
        steps="step = 1",
        toolbox__INIT="",
        toolbox__scale="from . import sizes\nfrom .units import unit as scaled",
        toolbox__sizes="size = 1",
        toolbox__units="unit = 1",
        toolbox__unused="unused = 1",
        plots="import mycaps",
    )
    before = of(load("mycaps"))
    assert set(before.code.parts) == {
        "mycaps.py",
        "helpers.py",
        "steps.py",
        "toolbox/__init__.py",
        "toolbox/scale.py",
        "toolbox/sizes.py",
        "toolbox/units.py",
    }
    write(plots="import mycaps\nprint()", toolbox__unused="unused = 2")
    assert differences(before, of(load("mycaps"))) == ()
    write(toolbox__units="unit = 22", steps="step = 22")
    assert differences(before, of(load("mycaps"))) == ("code: steps.py", "code: toolbox/units.py")


def test_comments_docstrings_and_formatting_make_no_difference(write: Write, load: Load) -> None:
    write(mycaps=CAPABILITY)
    before = of(load("mycaps"))
    write(
        mycaps='''
        """What it is for."""

        class Capability:
            """What it does."""
            # why
            id = ("capability")
            def run(self, **given):
                "How."
                return (
                    1
                )
        '''
    )
    assert differences(before, of(load("mycaps"))) == ()
    write(mycaps=CAPABILITY.replace("return 1", "return 2"))
    assert differences(before, of(load("mycaps"))) == ("code: mycaps.py",)
    write(mycaps=CAPABILITY.replace("return 1", "return True"))
    assert differences(before, of(load("mycaps"))) == ("code: mycaps.py",)


def test_a_file_is_read_again_only_when_it_has_changed(
    write: Write, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    real = code._parsed
    monkeypatch.setattr(code, "_parsed", lambda text, path, name: read.append(name) or real(text, path, name))
    write(mycaps=f"import helpers\n{CAPABILITY}", helpers="a = 1")
    module = load("mycaps")
    of(module)
    of(module)
    assert sorted(read) == ["helpers", "mycaps"]
    write(helpers="a = 1000")
    of(module)
    assert sorted(read) == ["helpers", "helpers", "mycaps"]


@pytest.mark.parametrize("change", ["edit", "a new module", "a new package", "remove", "reload"])
def test_imports_are_followed_again_only_when_something_has_changed(
    write: Write, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    write(mycaps=f"import helpers, later.deep\n{CAPABILITY}", helpers="a = 1")
    monkeypatch.setitem(sys.modules, "later", ModuleType("later"))
    monkeypatch.setitem(sys.modules, "later.deep", ModuleType("later.deep"))
    module = load("mycaps")
    for path in (tmp_path, *tmp_path.iterdir()):
        os.utime(path, (1_000, 1_000))
    before, follow = of(module), code._read_files
    monkeypatch.setattr(code, "_read_files", None)
    assert of(module) == before
    monkeypatch.setattr(code, "_read_files", follow)
    match change:
        case "edit":
            (tmp_path / "helpers.py").write_text("a = 2")
            os.utime(tmp_path / "helpers.py", (2_000, 2_000))
        case "a new module":
            write(later="b = 1")
        case "a new package":
            write(later__deep="b = 1")
        case "remove":
            (tmp_path / "helpers.py").unlink()
        case "reload":
            (tmp_path / "mycaps.py").write_text(CAPABILITY)
            os.utime(tmp_path / "mycaps.py", (2_000, 2_000))
            importlib.reload(module)
    assert differences(before, of(module))


def test_a_module_that_is_patched_is_noticed_where_its_imports_are_not_followed_again(
    write: Write, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(mycaps=f"import helpers\n{CAPABILITY}", helpers="a = 1")
    module = load("mycaps")
    for path in (tmp_path, *tmp_path.iterdir()):
        os.utime(path, (1_000, 1_000))
    before = Fingerprinter(in_process=True).of(module.Capability())
    followed, follow = list[Any](), code._read_files
    monkeypatch.setattr(
        code, "_read_files", lambda asked, *rest, **how: followed.append(asked) or follow(asked, *rest, **how)
    )
    assert Fingerprinter(in_process=True).of(module.Capability()) == before
    monkeypatch.setattr(sys.modules["helpers"], "a", 2)
    assert differences(before, Fingerprinter(in_process=True).of(module.Capability())) == (
        "code: helpers.a (changed at run time)",
    )
    assert not any(followed)


def test_the_classes_of_models_and_of_what_they_hold_count(write: Write, load: Load) -> None:
    write(
        mycaps=CAPABILITY,
        mymodels="import mylayers\nclass Model:\n    def __init__(self): self.layer = mylayers.Layer()",
        mylayers="class Layer:\n    size = 1",
    )
    before = of(load("mycaps"), models=[importlib.import_module("mymodels").Model()])
    assert set(before.code.parts) == {"mycaps.py", "mymodels.py", "mylayers.py"}
    write(mylayers="class Layer:\n    size = 2222")
    after = of(load("mycaps"), models=[importlib.import_module("mymodels").Model()])
    assert differences(before, after) == ("code: mylayers.py",)


def test_a_base_class_from_elsewhere_counts(write: Write, load: Load, tmp_path: Path) -> None:
    write(elsewhere__mybase=CAPABILITY, mycaps="from mybase import Capability as Base\nclass Capability(Base): pass")
    sys.path.append(str(tmp_path / "elsewhere"))
    try:
        before = of(load("mycaps"))
        assert set(before.code.parts) == {"mycaps.py", "mybase.py"}
    finally:
        sys.path.remove(str(tmp_path / "elsewhere"))


def test_a_large_package_is_told_by_its_folders(write: Write, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code, "_MOST_FILES", 6)
    deep = {f"toolbox__deep__m{n}": f"a = {n}" for n in range(9)}
    imports = "".join(f"import toolbox.deep.m{n}\n" for n in range(9))
    write(mycaps=f"import helpers\n{imports}{CAPABILITY}", helpers="", toolbox__INIT="", toolbox__deep__INIT="", **deep)
    before = of(load("mycaps"))
    assert set(before.code.parts) == {"mycaps.py", "helpers.py", "toolbox/__init__.py", "toolbox/deep/*"}
    write(toolbox__deep__m8="a = 88")
    assert differences(before, of(load("mycaps"))) == ("code: toolbox/deep/*",)
    monkeypatch.setattr(code, "_MOST_FILES", 2)
    assert set(of(load("mycaps")).code.parts) == {"*"}


def test_code_that_is_no_python_counts_by_its_bytes(write: Write, load: Load) -> None:
    write(mycaps=f"try:\n    import broken\nexcept SyntaxError:\n    pass\n{CAPABILITY}", broken="def f(:")
    before = of(load("mycaps"))
    write(broken="def g(:::")
    assert differences(before, of(load("mycaps"))) == ("code: broken.py",)


def test_a_module_without_a_file_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("made_up")
    exec(CAPABILITY, module.__dict__)
    monkeypatch.setitem(sys.modules, "made_up", module)
    assert of(module).unknown == ("code: the module made_up has no file that could be read",)


def test_a_package_in_a_namespace_and_this_product_are_bounds(write: Write, load: Load) -> None:
    write(
        space__mine__INIT="",
        space__mine__caps=f"import checkmaite.jobs\nfrom checkmaite.jobs import Record\n{CAPABILITY}",
    )
    assert set(of(load("space.mine.caps")).code.parts) == {"space/mine/__init__.py", "space/mine/caps.py"}


def test_this_product_beside_a_capability_is_not_its_code(write: Write, load: Load) -> None:
    write(
        mycaps=f"import checkmaite.jobs.extra\n{CAPABILITY}".replace("import", "if 0: import"),
        checkmaite__jobs__extra="",
    )
    assert set(of(load("mycaps")).code.parts) == {"mycaps.py"}


def test_an_installed_capability_counts_with_its_version(
    write: Write, load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site-packages"
    write(
        **{
            "site-packages__mycaps__INIT": "",
            "site-packages__mycaps__digits": f"import other\nfrom mycaps import sizes\n{CAPABILITY}",
            "site-packages__mycaps__sizes": "size = 1",
            "site-packages__other": "other = 1",
        }
    )

    def install(version: str) -> None:
        folder = site / "my_caps.dist-info"
        folder.mkdir(exist_ok=True)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: my-caps\nVersion: {version}\n")
        (folder / "RECORD").write_text("mycaps/__init__.py,,\nmycaps/digits.py,,\nmycaps/sizes.py,,\n")

    install("1.0")
    monkeypatch.syspath_prepend(str(site))
    before = of(load("mycaps.digits"))
    assert set(before.code.parts) == {"mycaps/__init__.py", "mycaps/digits.py", "mycaps/sizes.py"}
    assert before.distributions == {"my-caps": "1.0"}
    install("1.1")
    assert differences(before, of(load("mycaps.digits"))) == ("code: my-caps 1.0, now 1.1",)


class Site:
    """A folder of installed distributions, which the capabilities of one namespace come from."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, distribution: str, version: str, *files: str) -> None:
        """As pip does: what another version left is gone, and the folder of the metadata is new."""
        self.remove(distribution)
        for file in files:
            (self.folder / file).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / file).write_text(CAPABILITY)
        metadata = self.folder / f"{distribution}-{version}.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (metadata / "RECORD").write_text("".join(f"{file},,\n" for file in files))

    def remove(self, distribution: str) -> None:
        for folder in self.folder.glob(f"{distribution}-*.dist-info"):
            shutil.rmtree(folder)

    def settle(self) -> None:
        """Let an hour pass: what was just written may be written again in the same instant, so it would not be kept."""
        at = time.time() - 3600
        for path in [self.folder.parent, self.folder, *self.folder.rglob("*")]:
            os.utime(path, (at, at))


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    found = Site(tmp_path / "site-packages")
    found.install("ours", "1.0", "sharedspace/ours.py")
    found.install("theirs", "2.0", "sharedspace/theirs.py")
    found.settle()
    monkeypatch.syspath_prepend(str(found.folder))
    return found


def test_what_is_installed_is_read_once(site: Site, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("sharedspace.ours")
    assert of(module).distributions == {"ours": "1.0"}

    def read(*_: object) -> Any:
        raise AssertionError("nothing has changed")

    monkeypatch.setattr(distributions.importlib.metadata, "distribution", read)
    monkeypatch.setattr(distributions.importlib.metadata, "packages_distributions", read)
    again = of(module)
    assert again.distributions == {"ours": "1.0"}
    assert not again.code.reason


@pytest.mark.parametrize("change", ["upgrade", "reinstall", "edit", "remove", "give away", "take in", "shadow"])
def test_what_is_installed_otherwise_is_noticed(
    site: Site, load: Load, change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = load("sharedspace.ours")
    assert of(module).distributions == {"ours": "1.0"}
    assert distributions._Installed.last is not None, "it would not be kept, so nothing would be seen here"
    match change:
        case "upgrade":
            site.install("ours", "1.1", "sharedspace/ours.py")
            expected = {"ours": "1.1"}
        case "reinstall":  # of the same version, with another file
            site.install("ours", "1.0", "sharedspace/others.py")
            expected = {}
        case "edit":
            metadata = site.folder / "ours-1.0.dist-info" / "METADATA"
            metadata.write_text(metadata.read_text().replace("1.0", "1.5"))
            expected = {"ours": "1.5"}
        case "remove":
            site.remove("ours")
            site.remove("theirs")
            expected = {}
        case "give away":
            site.install("ours", "1.0")
            site.install("theirs", "2.1", "sharedspace/theirs.py", "sharedspace/ours.py")
            expected = {"theirs": "2.1"}
        case "take in":
            site.install("third", "3.0", "sharedspace/ours.py")
            expected = {"ours": "1.0", "third": "3.0"}
        case "shadow":
            other = Site(tmp_path / "first" / "site-packages")
            other.install("ours", "9.0", "sharedspace/ours.py")
            monkeypatch.syspath_prepend(str(other.folder))
            expected = {}  # the one that is found has not brought the module
    assert of(module).distributions == expected


def test_a_capability_of_a_notebook_counts_by_what_travels() -> None:
    def defined(source: str, **names: object) -> Any:
        space: dict[str, Any] = {"__name__": "__main__", **names}
        exec(dedent(source), space)
        return fingerprints_of(space["Capability"]())

    source = """
    def scaled(x):
        return x * FACTOR

    class Capability:
        id = "c"
        def run(self, **given):
            return scaled(1)
    """
    before = defined(source, FACTOR=1)
    assert set(before.code.parts) == {"__main__.Capability"}
    assert differences(before, defined(source.replace("return x", "# how\n        return x"), FACTOR=1)) == ()
    for changed, factor in [
        (source, 2),
        (source.replace("x *", "x +"), 1),
        (source.replace("scaled(1)", "scaled(2)"), 1),
    ]:
        assert differences(before, defined(changed, FACTOR=factor)) == ("code: __main__.Capability",)


def test_threads_that_submit_at_once_leave_the_filters_of_warnings_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    second_is_in, first_is_out = threading.Event(), threading.Event()

    def parse(text: bytes) -> ast.AST:
        if threading.current_thread() is second:
            second_is_in.set()
            assert first_is_out.wait(30)
        else:
            second.start()
            second_is_in.wait(0.2)  # it comes in only when nothing keeps it out
        return ast.Module([], [])

    monkeypatch.setattr(code, "ast", SimpleNamespace(parse=parse, AST=ast.AST))
    second = threading.Thread(target=code._tree, args=(b"",))
    before = list(warnings.filters)
    code._tree(b"")
    first_is_out.set()
    second.join()
    assert warnings.filters == before


def test_another_thread_that_parses_meanwhile_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([SystemError("AST constructor recursion depth mismatch (before=18, after=12)"), ast.Module([], [])])

    def parse(text: bytes) -> ast.AST:
        answer = next(answers)
        if isinstance(answer, SystemError):
            raise answer
        return answer

    monkeypatch.setattr(code, "ast", SimpleNamespace(parse=parse, AST=ast.AST))
    assert isinstance(code._tree(b""), ast.Module)


def test_an_object_that_was_pickled_has_the_same_class_as_before() -> None:
    space: dict[str, Any] = {"__name__": "__main__"}
    exec("class Model:\n    weight: float = 1.0", space)
    model = dataclass(space["Model"])
    before = fingerprints_of(object(), config=model())
    model().__reduce_ex__(4)  # as pickle asks, which leaves something in the class
    assert "__slotnames__" in vars(model)
    assert differences(before, fingerprints_of(object(), config=model())) == ()
