"""Finds what is wrong with a runtime environment before Ray is asked, and names each fault by its path.

Ray passes over misspelt fields, and finds out about most others where workers are to start: some are told as a long
traceback, some never. What may be a secret is not shown: values of variables, options of installers.
"""

from __future__ import annotations

import inspect
import os
import shlex
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from attrs import evolve
from checkmaite.jobs import Problem
from checkmaite.jobs.spi import shown, unknown_name
from checkmaite.jobs_ray_simple.cluster.programs import REMEDIES, unstartable
from ray.runtime_env import RuntimeEnv, RuntimeEnvConfig

_PLUGINS = "RAY_RUNTIME_ENV_PLUGINS"
_ARCHIVES = (".zip", ".tar.gz", ".tgz", ".tar.xz")
_INSTALLERS = ("conda", "pip", "uv")
_IMAGES = ("container", "image_uri")
_BESIDE_IMAGES = {"config", "env_vars"}
_TRY_IMAGE = (
    "Every node must be able to start the image, which needs Ray and checkmaite-jobs-core of the versions that are "
    "here: try `podman run --rm IMAGE python -c 'import ray'` there. Or take the image out of runtime_env."
)
_SETUP_REMEDIES = (
    (
        "install virtualenv",
        "Install virtualenv in the Python of every node: pip install virtualenv. Or take pip or uv out of runtime_env.",
    ),
    ("Could not find Conda", "Install conda on every node, or set RAY_CONDA_HOME where Ray is started there."),
    ("directory: 'podman'", "Install podman on every node, or take the image out of runtime_env."),
    ("Podman command failed", _TRY_IMAGE),
)

Check = Callable[[Any], list[Problem]]


def environment_problems(given: Mapping[str, Any], *, here: bool) -> list[Problem]:
    """Everything that is wrong with a runtime environment, as far as it can be known without a cluster.

    Args:
        given: As a user wrote it. A field that is None counts as left out.
        here: Whether workers run on this machine, so that what they need must be here.
    """
    fields = {name: value for name, value in given.items() if value is not None}
    problems = _unknown_fields(given)
    for name, check in _CHECKS.items():
        if name in fields:
            problems += [each.below(name) for each in check(fields[name])]
    problems += _contradictions(fields)
    if here and not problems:
        problems += _lacking_here(fields)
    return [each.below("runtime_env") for each in problems]


def _unknown_fields(given: Mapping[str, Any]) -> list[Problem]:
    """Misspelt fields, which Ray ignores without a word: workers would lack the user's code."""
    if os.environ.get(_PLUGINS):
        return []
    known = {*RuntimeEnv.known_fields, *inspect.signature(RuntimeEnv).parameters} - {"_validate", "kwargs"}
    said = {name for name in known if not name.startswith("_")}
    found = [unknown_name(name, name, said, what="field") for name in given if name not in known]
    plugin = f"If it is a plugin's, set {_PLUGINS} here as on the cluster."
    return [evolve(each, remedy=f"{each.remedy} {plugin}") for each in found]


def setup_remedy(text: str) -> str:
    """What to do, from Ray's words about a runtime environment that could not be made; empty when unknown."""
    return next((remedy for sign, remedy in _SETUP_REMEDIES if sign in text), "")


def upload_problem(error: Exception) -> Problem:
    """Why code could not be sent to the cluster, from what Ray raised."""
    text = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    named = {"working_dir": ".working_dir", "module": ".py_modules"}
    name = next((path for sign, path in named.items() if sign in text), "")
    if "Package size" not in text:
        return Problem(f"runtime_env{name}", f"cannot be sent: {text.rstrip('.')}.", "Mend it and configure again.")
    size = text[text.index("Package size") :].split(". ")[0]
    remedy = 'Leave large files out with runtime_env={"excludes": [...]} or a .gitignore, or pass an archive\'s URL.'
    return Problem(f"runtime_env{name}", f"cannot be sent: {size}.", remedy)


# -- values -----------------------------------------------------------------------------------------------------------


def _wrong(expected: str, given: object, remedy: str, path: str = "") -> Problem:
    kind = type(given).__name__ if isinstance(given, str) else shown(given)  # a text may be a secret
    return Problem(path, f"expected {expected}, got {kind}.", remedy)


def _texts(given: Any, remedy: str) -> list[Problem]:
    if not isinstance(given, list):
        return [_wrong("a list of texts", given, remedy)]
    return [_wrong("text", each, remedy, f"[{index}]") for index, each in enumerate(given) if not isinstance(each, str)]


def _variables(given: Any) -> list[Problem]:
    remedy = 'Write names and values as text: {"NAME": "1"}.'
    if not isinstance(given, Mapping):
        return [_wrong("a mapping", given, remedy)]
    problems = [_wrong("text as a name", name, remedy) for name in given if not isinstance(name, str)]
    return problems + [
        Problem(str(name), f"expected text, got {type(value).__name__}.", remedy)
        for name, value in given.items()
        if isinstance(name, str) and not isinstance(value, str)
    ]


def _folder(given: Any) -> list[Problem]:
    remedy = f"Pass a folder, an archive ({', '.join(_ARCHIVES)}), or the URL of one."
    if not isinstance(given, (str, os.PathLike)):
        return [_wrong("a path or a URL", given, remedy)]
    return _missing(os.fspath(given), _ARCHIVES, remedy)


def _modules(given: Any) -> list[Problem]:
    remedy = "Pass a list of folders, .py and .whl files, modules, or URLs of archives."
    if not isinstance(given, list):
        return [_wrong("a list", given, remedy)]
    problems: list[Problem] = []
    for index, each in enumerate(given):
        if isinstance(each, (str, os.PathLike)):
            faults = _missing(os.fspath(each), (".py", ".whl"), remedy)
        else:
            faults = [] if isinstance(each, ModuleType) else [_wrong("a path, a module or a URL", each, remedy)]
        problems += [fault.below(f"[{index}]") for fault in faults]
    return problems


def _missing(path: str, kinds: tuple[str, ...], remedy: str) -> list[Problem]:
    """The problem of a path that leads neither to a folder nor to a file of these kinds."""
    if len(urlsplit(path).scheme) > 1:
        return []
    found = Path(path)
    if not found.exists():
        home = " Ray does not know ~; write the whole path." if path.startswith("~") else ""
        return [Problem("", f"there is no {path!r} in {str(Path.cwd())!r}.", f"{remedy}{home}")]
    return (
        []
        if found.is_dir() or path.endswith(kinds)
        else [Problem("", f"{path!r} is a file that Ray cannot send.", remedy)]
    )


def _file(given: str, what: str) -> list[Problem]:
    if Path(given).is_file():
        return []
    return [Problem("", f"there is no file {given!r} in {str(Path.cwd())!r}.", f"Pass {what}.")]


def _pip(given: Any) -> list[Problem]:
    return _installer(given, {"packages": None, "pip_check": bool, "pip_version": str, "pip_install_options": list})


def _uv(given: Any) -> list[Problem]:
    return _installer(given, {"packages": None, "uv_check": bool, "uv_version": str, "uv_pip_install_options": list})


def _installer(given: Any, known: Mapping[str, type | None]) -> list[Problem]:
    remedy = 'Pass a list such as ["scipy==1.14"], the path of a requirements file, or {"packages": [...]}.'
    if isinstance(given, str):
        return _file(given, "a list of packages, or the path of a requirements file")
    if isinstance(given, list):
        return _texts(given, remedy)
    if not isinstance(given, Mapping):
        return [_wrong("a list of packages", given, remedy)]
    problems = [unknown_name(str(name), str(name), known, what="field") for name in given if name not in known]
    for name, value in given.items():
        kind = known.get(name)
        if name == "packages" and isinstance(value, str):
            faults = _file(value, "a list of packages, or the path of a requirements file")
        elif name == "packages" or kind is list:
            faults = _texts(value, remedy)
        else:
            wanted = "True or False" if kind is bool else "text"
            faults = [] if kind is None or isinstance(value, kind) else [_wrong(wanted, value, remedy)]
        problems += [fault.below(str(name)) for fault in faults]
    if "packages" not in given:
        problems.append(Problem("packages", "is required.", remedy))
    return problems


def _conda(given: Any) -> list[Problem]:
    remedy = "Pass the name of an environment, its folder, a .yaml file, or a mapping as such a file holds."
    if isinstance(given, Mapping):
        return []
    if not isinstance(given, str):
        return [_wrong("text or a mapping", given, remedy)]
    if given.endswith((".yaml", ".yml")):
        return _file(given, "the path of an environment file that is here")
    if Path(given).is_absolute() and not Path(given).is_dir():
        return [Problem("", f"there is no folder {given!r}.", remedy)]
    return []


def _program(given: Any) -> list[Problem]:
    remedy = 'Pass the path of a Python, or a command that ends with one, such as "uv run python".'
    if not isinstance(given, str) or not given.strip():
        return [_wrong("a command", given, remedy)]
    try:
        shlex.split(given)
    except ValueError as error:
        return [Problem("", f"cannot be read as a command: {error}.", remedy)]
    return []


def _config(given: Any) -> list[Problem]:
    remedy = 'Pass, for example, {"setup_timeout_seconds": 600}.'
    if not isinstance(given, Mapping):
        return [_wrong("a mapping", given, remedy)]
    known = RuntimeEnvConfig.known_fields
    problems = [unknown_name(str(name), str(name), known, what="field") for name in given if name not in known]
    try:
        RuntimeEnvConfig(**{name: value for name, value in given.items() if name in known})
    except (TypeError, ValueError) as error:
        problems.append(Problem("", f"is refused by Ray: {error}.", remedy))
    return problems


def _image(given: Any) -> list[Problem]:
    return [] if isinstance(given, str) and given.strip() else [_wrong("the URI of an image", given, "Pass a text.")]


def _excludes(given: Any) -> list[Problem]:
    return _texts(given, 'Pass patterns as in .gitignore: ["data/", "*.ckpt"].')


_CHECKS: Mapping[str, Check] = {
    "conda": _conda,
    "config": _config,
    "env_vars": _variables,
    "excludes": _excludes,
    "image_uri": _image,
    "pip": _pip,
    "py_executable": _program,
    "py_modules": _modules,
    "uv": _uv,
    "working_dir": _folder,
}


# -- together, and with this machine ----------------------------------------------------------------------------------


def _contradictions(fields: Mapping[str, Any]) -> list[Problem]:
    several = [name for name in _INSTALLERS if name in fields]
    problems = [
        Problem(name, f"cannot be combined with {several[0]}.", "Keep one of them; conda can install pip's packages.")
        for name in several[1:]
    ]
    for name in _IMAGES:
        if name in fields and (others := sorted(fields.keys() - {name} - _BESIDE_IMAGES)):
            cause = f"cannot be combined with {', '.join(others)}."
            problems.append(Problem(name, cause, "Put these into the image, or leave the image out."))
    return problems


def _lacking_here(fields: Mapping[str, Any]) -> list[Problem]:
    """What workers on this machine would need and would not find."""
    problems = []
    for name in ("pip", "uv"):
        if name in fields and find_spec("virtualenv") is None:
            cause = "needs virtualenv, which is not installed here: no worker could start."
            problems.append(Problem(name, cause, "Install it with: pip install virtualenv."))
    if "conda" in fields and which(_conda_executable()) is None:
        cause = f"needs {_conda_executable()!r}, which is not here: no worker could start."
        problems.append(Problem("conda", cause, "Install conda, or set RAY_CONDA_HOME to its folder."))
    if (images := [name for name in _IMAGES if name in fields]) and which("podman") is None:
        cause = "needs podman, which is not here: no worker could start."
        problems.append(Problem(images[0], cause, "Install podman."))
    return problems + _unstartable(fields)


def _conda_executable() -> str:
    from ray._private.runtime_env.conda_utils import get_conda_bin_executable

    return str(get_conda_bin_executable("conda"))


def _unstartable(fields: Mapping[str, Any]) -> list[Problem]:
    folder = Path(fields.get("working_dir") or ".")
    found = unstartable(fields, folder, "this machine") if folder.is_dir() else None  # else it may be in the archive
    if found is None:
        return []
    field, cause = found
    return [Problem(field, f"{cause}: Ray would wait for it for ever.", REMEDIES[field])]
