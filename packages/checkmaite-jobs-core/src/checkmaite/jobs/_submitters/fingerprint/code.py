"""The code that a capability is made of: its module and what that imports from the same package or folder.

Modules are compared by their syntax trees, so comments, docstrings and formatting make no difference. Imports are read
from the source, nothing is imported; `importlib.import_module` with a computed name is not seen.
"""

from __future__ import annotations

import ast
import hashlib
import sys
import sysconfig
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache, lru_cache
from importlib.machinery import ModuleSpec
from pathlib import Path

from attrs import evolve, frozen
from checkmaite.jobs._shared.watched import Watched
from checkmaite.jobs._submitters.fingerprint.hashing import Pace
from checkmaite.jobs._submitters.fingerprint.patched import Defined, defined_in, patched_in

_OWN = ("checkmaite.jobs", "checkmaite.jobs_", "checkmaite.store_")
_SITE = {"site-packages", "dist-packages"}
_SHORT = 16
_MOST_FILES = 64
"""Files that are told by name."""


@frozen
class _Source:
    """What a file of Python says.

    Attributes:
        digest: Of its syntax tree.
        imports: Absolute names that it may import.
        defined: What it defines.
    """

    digest: str
    imports: tuple[str, ...]
    defined: Defined = ()


@frozen
class _Root:
    """Where the modules of one package or folder are.

    Attributes:
        folder: Where absolute names begin.
        prefix: Only names at or below this one belong to it; empty when all do.
    """

    folder: Path
    prefix: str


_Version = tuple[int, int]


@frozen
class _Found:
    """What was found of the code of some modules.

    Attributes:
        files: The digests, by file.
        defined: Names of modules, each with what its file defines.
        watched: What it was read from.
        specs: By name of a module that was asked for: what it was imported by, None where it was not.
    """

    files: dict[str, str]
    defined: list[tuple[str, Defined]]
    watched: Watched
    specs: dict[str, ModuleSpec | None]

    def holds(self) -> bool:
        """Whether it would be found again."""
        return self.watched.is_unchanged() and all(_spec_of(name) is spec for name, spec in self.specs.items())


_MOST_FOUND = 64
_found: dict[tuple[frozenset[str], frozenset[str], bool], _Found] = {}

_one_at_a_time = threading.Lock()
_read: dict[Path, tuple[_Version, _Source]] = {}
_versions: dict[str, tuple[ModuleSpec, _Version]] = {}
"""By name of a module: how its file was when `note_imported_code` was called."""
_imported: dict[str, tuple[ModuleSpec, _Source]] = {}
"""By name of a module: what its file said when it was first looked at. Reloading a module gives it another spec."""


def note_imported_code() -> None:
    """Note how the files of all modules are that this process has imported, so that a later edit is noticed."""
    for name, module in list(sys.modules.items()):
        spec, file = getattr(module, "__spec__", None), getattr(module, "__file__", None)
        if spec is None or not isinstance(file, str) or is_own(name) or is_installed(Path(file)):
            continue
        known = _versions.get(name)
        if known is None or known[0] is not spec:
            with suppress(OSError):  # deleted since it was imported
                _versions[name] = spec, _version(Path(file))


def code_files(
    modules: Iterable[str],
    *,
    pace: Pace,
    installed: Iterable[str] = (),
    as_imported: bool = False,
    patched: dict[str, object] | None = None,
) -> dict[str, str]:
    """The digest of each file that these modules are made of, by its path below the folder that imports start from.

    Args:
        modules: Names of imported modules. Those that are installed are left out, and so is this product.
        pace: Told of the work done.
        installed: Names of modules that count although they are installed.
        as_imported: Take what this process has imported already as it was then, whatever its files say now.
        patched: Gets what stands in these modules in the place of what their files define, by name.
    """
    asked = frozenset(modules), frozenset(installed), as_imported
    found = _found.get(asked)
    if found is None or not found.holds():
        found = _read_files(*asked[:2], pace, as_imported=as_imported)
        if len(_found) >= _MOST_FOUND:
            _found.clear()
        if found.watched.is_settled:
            _found[asked] = found
    if patched is not None:  # asked each time, because a module is patched without a trace
        for name, defined in found.defined:
            patched |= {f"{name}.{what}": value for what, value in patched_in(name, defined)}
    return dict(found.files)


def _read_files(modules: frozenset[str], wanted: frozenset[str], pace: Pace, *, as_imported: bool) -> _Found:
    """What `code_files` gives, and what that depends on."""
    watched = Watched()
    specs: dict[str, ModuleSpec | None] = {}
    defined: list[tuple[str, Defined]] = []
    waiting: list[tuple[_Root, str, Path]] = []
    for name in modules | wanted:
        specs[name] = _spec_of(name)
        found = _located(name)
        if found is not None and (name in wanted or not is_installed(found[1])):
            waiting.append((*found[:1], name, found[1]))
    seen: dict[Path, tuple[_Root, _Source]] = {}
    while waiting:
        root, name, path = waiting.pop()
        if path in seen:
            continue
        watched.look(str(path))
        specs[name] = _spec_of(name)
        try:
            pace.tick()
            source = _imported_source(path, name) if as_imported else _source(path, name)
        except OSError:  # deleted since it was imported
            continue
        seen[path] = root, source
        defined.append((name, source.defined))
        for imported in (name, *source.imports):  # a module runs the __init__.py of the packages around it
            waiting += ((root, below, file) for below, file in _resolved(root, imported, watched) if file not in seen)
    files: dict[str, str] = {}
    for path, (root, source) in sorted(seen.items()):
        shown = path.relative_to(root.folder).as_posix()
        known = files.get(shown)  # two folders may hold a file of this name
        files[shown] = (
            source.digest if known is None else hashlib.sha256((known + source.digest).encode()).hexdigest()[:_SHORT]
        )
    return _Found(_folded(files), defined, watched, specs)


def _folded(files: dict[str, str]) -> dict[str, str]:
    """At most `_MOST_FILES` entries: of large packages the digest of a folder stands for the files in it."""
    depth = max((name.count("/") for name in files), default=0)
    while len(files) > _MOST_FILES and depth >= 0:
        depth -= 1
        inside: dict[str, list[str]] = {}
        for name, digest in files.items():
            folders = name.split("/")[: depth + 1]
            shown = "/".join([*folders, "*"]) if name.count("/") > depth else name
            inside.setdefault(shown, []).append(f"{name} {digest}")
        files = {
            shown: hashlib.sha256("\n".join(sorted(held)).encode()).hexdigest()[:_SHORT]
            for shown, held in inside.items()
        }
    return files


@lru_cache(maxsize=4096)
def is_installed(path: Path) -> bool:
    """Whether a file belongs to an installed distribution or to Python."""
    return bool(_SITE.intersection(path.parts)) or any(path.is_relative_to(each) for each in _library())


@cache
def _library() -> tuple[str, ...]:
    return tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def _located(name: str) -> tuple[_Root, Path] | None:
    """A module's root and file; None when it has no file, or is part of this product."""
    module = sys.modules.get(name)
    file = getattr(module, "__file__", None)
    if not isinstance(file, str) or name == "__main__" or is_own(name):
        return None
    return _root_of(name, Path(file)), Path(file)


@lru_cache(maxsize=4096)
def _root_of(name: str, path: Path) -> _Root:
    parts = name.split(".")
    place = path.parent if path.stem == "__init__" else path.with_suffix("")
    if tuple(parts) != place.parts[-len(parts) :]:  # imported by other means, under a name of its own
        return _Root(path.parent, "")
    folder = place.parents[len(parts) - 1]
    if not is_installed(path):
        return _Root(folder, "")
    regular = (index for index in range(1, len(parts)) if (folder.joinpath(*parts[:index]) / "__init__.py").exists())
    return _Root(folder, ".".join(parts[: next(regular, len(parts))]))


def _spec_of(name: str) -> ModuleSpec | None:
    """What a module was imported by; reloading it gives it another one."""
    return getattr(sys.modules.get(name), "__spec__", None)


def is_own(name: str) -> bool:
    """Whether a module is part of this product."""
    return name == _OWN[0] or name.startswith((f"{_OWN[0]}.", *_OWN[1:]))


def _resolved(root: _Root, name: str, watched: Watched) -> Iterator[tuple[str, Path]]:
    """The files below a root that importing a name runs."""
    if is_own(name):
        return
    parts = name.split(".")
    for count in range(1, len(parts) + 1):
        below = ".".join(parts[:count])
        if root.prefix and below != root.prefix and not below.startswith(f"{root.prefix}."):
            continue
        place = root.folder.joinpath(*parts[:count])
        for file in (place / "__init__.py", place.with_name(f"{place.name}.py")):
            if watched.look_for(str(file)):
                yield below, file
                break


def _source(path: Path, name: str) -> _Source:
    """What a file says, read again when it has changed."""
    version = _version(path)
    known = _read.get(path)
    if known is None or known[0] != version:
        known = _read[path] = version, _parsed(path.read_bytes(), path, name)
    return known[1]


def _imported_source(path: Path, name: str) -> _Source:
    """What a file said when this process imported it; what it says now, when it is not imported."""
    module = sys.modules.get(name)
    spec = getattr(module, "__spec__", None)
    if spec is None or getattr(module, "__file__", None) != str(path):
        return _source(path, name)
    known = _imported.get(name)
    if known is None or known[0] is not spec:
        source, noted = _source(path, name), _versions.get(name)
        if noted is not None and noted[0] is spec and noted[1] != _version(path):  # nobody knows what it said
            source = evolve(source, digest=hashlib.sha256(ascii(noted[1]).encode()).hexdigest()[:_SHORT])
        known = _imported[name] = spec, source
    return known[1]


def _version(path: Path) -> _Version:
    stat = path.stat()
    return stat.st_mtime_ns, stat.st_size


def _parsed(text: bytes, path: Path, name: str) -> _Source:
    try:
        tree = _tree(text)
        imports = tuple(sorted(set(_imports(tree, name if path.stem == "__init__" else name.rpartition(".")[0]))))
        written = "".join(_written(tree)).encode("utf-8", "surrogatepass")
        defined = defined_in(tree)
    except (SyntaxError, ValueError, RecursionError):  # not Python, such as an extension module: by its bytes
        return _Source(hashlib.sha256(text).hexdigest()[:_SHORT], ())
    return _Source(hashlib.sha256(written).hexdigest()[:_SHORT], imports, defined)


def _tree(text: bytes) -> ast.AST:
    """The syntax tree, one at a time: threads share the filters of warnings, and what `ast` counts while it parses."""
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(text)
        except SystemError:  # a thread of the user's has parsed meanwhile: cpython#106905
            return ast.parse(text)


def _imports(tree: ast.AST, package: str) -> Iterator[str]:
    for each in ast.walk(tree):
        if isinstance(each, ast.Import):
            yield from (alias.name for alias in each.names)
        elif isinstance(each, ast.ImportFrom):
            around = package.split(".") if package else []
            if each.level > len(around) + 1:
                continue
            base = around[: len(around) - each.level + 1] if each.level else []
            module = ".".join([*base, *([each.module] if each.module else [])])
            if module:
                yield module
            yield from (f"{module}.{alias.name}" if module else alias.name for alias in each.names)


def _written(tree: object) -> Iterator[str]:
    """A syntax tree as text that later versions of Python write in the same way: what is empty is left out."""
    if isinstance(tree, ast.AST):
        yield f"{type(tree).__name__}("
        for name, each in ast.iter_fields(tree):
            if name in ("ctx", "kind", "type_comment", "type_ignores") or each is None or each == []:
                continue
            if name == "body" and _has_docstring(tree):
                each = each[1:]
            yield f"{name}="
            yield from _written(each)
        yield ")"
    elif isinstance(tree, list):
        yield "["
        for each in tree:
            yield from _written(each)
        yield "]"
    else:
        yield f"{tree!a},"


def _has_docstring(tree: ast.AST) -> bool:
    kinds = ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef
    return isinstance(tree, kinds) and ast.get_docstring(tree, clean=False) is not None
