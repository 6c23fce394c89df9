"""Settings from outside a program: a file with profiles, the environment, and what is given on the spot.

Each layer overrides the one before it. What comes out are arguments of `configure_job_backend`, which checks them.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen
from checkmaite.jobs._shared.errors import ConfigurationError
from checkmaite.jobs._shared.problems import Problem, unknown_name

DEFAULT_PROFILE = "default"
"""The settings at the top of a file; every other profile begins with them."""

_FILE = "checkmaite-jobs.toml"
_PYPROJECT = "pyproject.toml"
_PROFILES = "profiles"
_PREFIX = "CHECKMAITE_JOBS_"
_SHORT = {"SCOPE": "idempotency_scope", "STORE": "analytics_store"}
_TEXTS = frozenset(
    {"kind", "address", "idempotency_scope", "analytics_store", "artifact_store", "journal_uri", "scope_key"}
)
_NO_SETTINGS = frozenset({"CODE", "CONFIG", "PROCESS", "PROFILE", "TRACEBACK"})
"""Variables of that prefix which say something else: where settings are, or what marks a worker."""
_STORES = ("analytics_store", "artifact_store")
_NONE = "none"
"""What stands for None, which TOML has not: ``journal_uri = "none"``."""


@frozen
class Settings:
    """What was found.

    Attributes:
        arguments: Arguments of `configure_job_backend`. They may hold secrets, so they are never shown.
        origins: Where each of them was found.
        profile: The profile's name.
        file: The file that was read; None when there is none.
        profiles: Every profile that the file has.
    """

    arguments: Mapping[str, Any] = field(repr=False)
    origins: Mapping[str, str]
    profile: str
    file: str | None
    profiles: tuple[str, ...]


def read_settings(
    profile: str | None = None,
    *,
    given: Mapping[str, Any] | None = None,
    file: str | os.PathLike[str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """The settings of a profile: what is given, then the environment, then the file.

    Args:
        profile: Its name; ``CHECKMAITE_JOBS_PROFILE``, else ``default`` when None.
        given: Arguments that override what is found. A store may be its URI alone.
        file: The file to read; ``CHECKMAITE_JOBS_CONFIG``, else the nearest one in this folder or above it.
        environment: Variables; those of this process when None.

    Raises:
        ConfigurationError: The file cannot be read, or has no such profile.
    """
    if not isinstance(profile, (str, type(None))):
        fault = Problem("profile", f"expected the name of a profile, got {type(profile).__name__}.", "Pass a text.")
        raise ConfigurationError("There is no such profile.", [fault])
    variables = os.environ if environment is None else environment
    name = profile or variables.get(f"{_PREFIX}PROFILE") or DEFAULT_PROFILE
    asked = file or variables.get(f"{_PREFIX}CONFIG")
    path, tables = _read(Path(asked)) if asked else _nearest(Path.cwd())
    profiles = _profiles(path, tables)
    if name != DEFAULT_PROFILE and name not in profiles:
        if path is None:
            where = f"Write it into {_FILE}: [{_PROFILES}.{name}]."
            raise ConfigurationError("There are no profiles here.", [Problem("profile", f"no {name!r}.", where)])
        fault = unknown_name("profile", name, {DEFAULT_PROFILE, *profiles}, what="profile")
        raise ConfigurationError(f"{path} has no such profile.", [fault])
    arguments: dict[str, Any] = {}
    origins: dict[str, str] = {}
    layers = (
        (f"{path}", {key: value for key, value in tables.items() if key != _PROFILES}, path),
        (f"profile {name!r} of {path}", profiles.get(name, {}), path),
        ("", dict(_from_environment(variables)), None),
        ("given", given or {}, None),
    )
    for origin, layer, source in layers:
        for key, value in layer.items():
            arguments[key] = _over(key, arguments.get(key), _placed(key, value, source))
            origins[key] = origin or _variable(key, variables)
    return Settings(arguments, origins, name, None if path is None else str(path), tuple(profiles))


def value_of(text: str) -> Any:
    """A value written as text, by hand: None for ``none``, else what it is in TOML, else the text itself."""
    if text == _NONE:
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _nearest(folder: Path) -> tuple[Path | None, Mapping[str, Any]]:
    """The nearest file with settings, in the folder or above it."""
    for place in (folder, *folder.parents):
        if (place / _FILE).is_file():
            return _read(place / _FILE)
        if (place / _PYPROJECT).is_file():
            found = _loaded(place / _PYPROJECT).get("tool", {}).get("checkmaite-jobs")
            if isinstance(found, Mapping):
                return place / _PYPROJECT, found
    return None, {}


def _read(path: Path) -> tuple[Path, Mapping[str, Any]]:
    path = path.absolute()
    loaded = _loaded(path)
    return path, loaded.get("tool", {}).get("checkmaite-jobs", {}) if path.name == _PYPROJECT else loaded


def _loaded(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ConfigurationError(f"There is no file {path}. Write one, or name another.") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read as TOML: {error}. Mend it.") from error


def _profiles(path: Path | None, tables: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = tables.get(_PROFILES, {})
    if not isinstance(found, Mapping) or not all(isinstance(each, Mapping) for each in found.values()):
        raise ConfigurationError(f"{path}: profiles are tables. Write [{_PROFILES}.NAME] above the settings of one.")
    return dict(found)


def _from_environment(variables: Mapping[str, str]) -> Iterator[tuple[str, Any]]:
    for variable in sorted(variables):
        word = variable.removeprefix(_PREFIX)
        if word != variable and word not in _NO_SETTINGS:
            name = _SHORT.get(word, word.lower())
            text = variables[variable]
            yield name, text if name in _TEXTS and text != _NONE else value_of(text)


def _variable(name: str, variables: Mapping[str, str]) -> str:
    short = {full: word for word, full in _SHORT.items()}
    words = (short.get(name, name.upper()), name.upper())
    return next(f"{_PREFIX}{word}" for word in words if f"{_PREFIX}{word}" in variables)


def _placed(name: str, value: Any, file: Path | None) -> Any:
    """The value that a file's text stands for: None, or a folder below the file's own where it is relative."""
    if file is None:
        return value
    if value == _NONE:
        return None
    if name in _STORES and isinstance(value, Mapping):
        return {key: _placed("uri", own, file) if key == "uri" else own for key, own in value.items()}
    if name in {*_STORES, "uri", "journal_uri"} and isinstance(value, str):
        is_relative = "://" not in value and not value.startswith("~") and not Path(value).is_absolute()
        return str(file.parent / value) if is_relative and value else value
    return value


def _over(name: str, lower: Any, upper: Any) -> Any:
    """A layer's value over that of the layer below: a store's URI alone keeps options of the same kind of place."""
    if name not in _STORES or not isinstance(upper, (str, os.PathLike)):
        return upper
    uri = os.fspath(upper)
    if isinstance(lower, Mapping) and _scheme(str(lower.get("uri", ""))) == _scheme(uri):
        return {**lower, "uri": uri}
    return {"uri": uri}


def _scheme(uri: str) -> str:
    return uri.partition("://")[0] if "://" in uri else ""
