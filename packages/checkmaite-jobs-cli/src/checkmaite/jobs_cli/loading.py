"""Objects and configurations that a user names on a command line."""

from __future__ import annotations

import importlib
import json
import os
import sys
import tomllib
from collections.abc import Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

from checkmaite.jobs import ConfigurationError


def find_modules_here() -> None:
    """Find modules of the working folder, as ``python -m`` does and a console script does not."""
    here = os.getcwd()  # noqa: PTH109 - `sys.path` has texts
    if here not in sys.path:
        sys.path.insert(0, here)


def load_object(name: str) -> Any:
    """The object that ``module:object`` means; modules of the working folder are found, as ``python -m`` finds them.

    Raises:
        ConfigurationError: There is none.
    """
    module_name, separator, path = name.partition(":")
    if not separator or not module_name or not path:
        raise ConfigurationError(
            f"{name!r} names no object. Write module:object, for example mycaps.robustness:Robustness."
        )
    find_modules_here()
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ConfigurationError(
            f"The module {module_name!r} cannot be imported: {error}. Run the command where it is, or install it."
        ) from error
    try:
        return attrgetter(path)(module)
    except AttributeError as error:
        raise ConfigurationError(f"The module {module_name!r} has no {path!r}.") from error


def made(name: str) -> Any:
    """The object that is named; what a class or a function of that name gives when it is called without arguments."""
    found = load_object(name)
    if isinstance(found, type) or (callable(found) and not hasattr(found, "run")):
        try:
            return found()
        except TypeError as error:
            raise ConfigurationError(
                f"{name} cannot be called without arguments: {error}. Name an object, or a function that makes one."
            ) from error
    return found


def load_config(place: str) -> Mapping[str, Any]:
    """The mapping in a file of JSON or TOML, or in JSON on standard input where the place is ``-``.

    Raises:
        ConfigurationError: There is none.
    """
    try:
        text = sys.stdin.read() if place == "-" else Path(place).read_text("utf-8")
        found = tomllib.loads(text) if place.endswith(".toml") else json.loads(text)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ConfigurationError(f"The configuration {place} cannot be read: {error}.") from error
    if not isinstance(found, dict):
        raise ConfigurationError(f"The configuration {place} is no object of JSON, but {type(found).__name__}.")
    return found
