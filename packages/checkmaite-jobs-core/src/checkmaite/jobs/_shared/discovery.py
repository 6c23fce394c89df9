"""Job backends, stores and hooks found by entry point; a plug-in that is broken breaks only itself."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, cast

import attrs
from checkmaite.jobs._shared.config import ArtifactFolder, StoreSpec, parse_options, uri_problem
from checkmaite.jobs._shared.errors import ConfigurationError, MissingDependencyError
from checkmaite.jobs._shared.hooks import HookSpec, JobHook
from checkmaite.jobs._shared.problems import Problem, nearest_name
from checkmaite.jobs._shared.store_config import DEFAULT_STORE, as_mapping
from checkmaite.jobs._shared.store_protocols import AnalyticsStore
from checkmaite.jobs._shared.values import with_article

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

C = TypeVar("C")

BACKENDS_GROUP = "checkmaite.jobs.backends"
STORES_GROUP = "checkmaite.stores"
HOOKS_GROUP = "checkmaite.jobs.hooks"

_KNOWN_EXTRAS: Mapping[str, Mapping[str, str]] = {
    BACKENDS_GROUP: {"ray": "checkmaite-jobs[ray]", "ray-simple": "checkmaite-jobs[ray-simple]"},
    STORES_GROUP: {"delta": "checkmaite-jobs[delta]", "parquet": "checkmaite-jobs[parquet]"},
    HOOKS_GROUP: {},
}
_WHAT = {BACKENDS_GROUP: "job backend", STORES_GROUP: "analytics store", HOOKS_GROUP: "hook"}


@cache
def _entries(group: str) -> Mapping[str, EntryPoint]:
    from importlib.metadata import entry_points  # 20 ms of the import, needed only once something is configured

    return {entry.name: entry for entry in entry_points(group=group)}


def forget_plugins() -> None:
    """Look for plug-ins anew the next time, for example after an installation into the running process."""
    _entries.cache_clear()


def load_plugin(group: str, name: object, *, path: str) -> tuple[Any, list[Problem]]:
    """The object behind an entry point, or the problem why there is none.

    Args:
        group: `BACKENDS_GROUP`, `STORES_GROUP` or `HOOKS_GROUP`.
        name: The name that the user gave.
        path: Where the user gave it.
    """
    what, entries = _WHAT[group], _entries(group)
    if not isinstance(name, str):
        cause = f"expected the name of {with_article(what)}, got {type(name).__name__}."
        return None, [Problem(path, cause, f"Installed: {_names(entries)}.")]
    entry = entries.get(name)
    if entry is None:
        return None, [Problem(path, f"no {what} {name!r} is installed.", _how_to_get(group, name, entries))]
    try:
        return entry.load(), []
    except MissingDependencyError as error:
        cause, _, remedy = str(error).partition(" Install it with: ")
        return None, [Problem(path, f"the {what} {name!r} cannot be used here: {cause}", f"Install it with: {remedy}")]
    except Exception as error:  # noqa: BLE001 - a plug-in's import may raise anything; it must be named, not passed on raw
        distribution = entry.dist.name if entry.dist else "an unknown distribution"
        cause = f"the {what} {name!r} of {distribution} does not import: {type(error).__name__}: {error}."
        return None, [Problem(path, cause, f"Mend or reinstall {distribution}.")]


def _how_to_get(group: str, name: str, entries: Mapping[str, EntryPoint]) -> str:
    extras = _KNOWN_EXTRAS[group]
    near = nearest_name(name, [*entries, *extras])
    wanted = name if name in extras else near or ""
    if wanted in entries:
        return f"Did you mean {wanted!r}? Installed: {_names(entries)}."
    if wanted in extras:
        meant = "" if wanted == name else f"Did you mean {wanted!r}? "
        return f'{meant}Install it with: pip install "{extras[wanted]}". Installed: {_names(entries)}.'
    others = f" Others come with: {', '.join(sorted(set(extras.values())))}." if extras else ""
    return f"Installed: {_names(entries)}.{others}"


def _names(entries: Mapping[str, EntryPoint]) -> str:
    return ", ".join(sorted(entries)) or "none"


def store_spec(given: object, *, remote: bool, path: str = "analytics_store") -> tuple[StoreSpec | None, list[Problem]]:
    """A store's spec from the mapping that a user gave, checked by the store's own ``config_type``.

    Args:
        given: ``{"backend": name, ...}``, the Parquet store when no backend is named; or an `AnalyticsStoreConfig`.
        remote: Whether workers may run on other machines.
        path: Where it stands in the configuration.
    """
    given = as_mapping(given)
    if not isinstance(given, Mapping):
        cause = f"expected a mapping, got {type(given).__name__}."
        return None, [Problem(path, cause, 'Pass, for example, {"backend": "parquet", "uri": "./analytics_store"}.')]
    backend = given.get("backend", DEFAULT_STORE)
    store_type, problems = load_plugin(STORES_GROUP, backend, path=f"{path}.backend")
    if problems:
        return None, problems
    own = {name: value for name, value in given.items() if name != "backend"}
    options, problems = _checked(store_type.config_type, own, remote=remote, path=path, beside=["backend"])
    if options is None:
        return None, problems
    plain = {item.alias: getattr(options, item.name) for item in attrs.fields(type(options))}
    normalized = getattr(store_type, "normalized_options", dict)(plain)
    return StoreSpec(cast(str, backend), normalized), []


def artifact_folder(
    given: object, *, remote: bool, path: str = "artifact_store"
) -> tuple[ArtifactFolder | None, list[Problem]]:
    """Where documents go, from the mapping that a user gave; None when none was given.

    Args:
        given: ``{"uri": ..., "storage_options": {...}}``, an `ArtifactStoreConfig`, or None.
        remote: Whether workers may run on other machines.
        path: Where it stands in the configuration.
    """
    if given is None:
        return None, []
    given = as_mapping(given)
    if not isinstance(given, Mapping):
        cause = f"expected a mapping, got {type(given).__name__}."
        return None, [Problem(path, cause, 'Pass, for example, {"uri": "s3://bucket/artifacts"}, or leave it out.')]
    found, problems = _checked(ArtifactFolder, given, remote=remote, path=path)
    if found is None:
        return None, problems
    from checkmaite.jobs._shared.objects import ObjectStore  # fsspec takes longer to import than all of core

    return attrs.evolve(found, uri=ObjectStore(found.uri).root), []


def hook_specs(given: object, *, path: str = "hooks") -> tuple[tuple[HookSpec, ...], list[Problem]]:
    """The hooks that a user named, with options that each one's own ``config_type`` has checked.

    Args:
        given: ``{name: {option: value, ...}, ...}``; None for none.
        path: Where it stands in the configuration.
    """
    if given is None:
        return (), []
    if not isinstance(given, Mapping):
        cause = f"expected a mapping, got {type(given).__name__}."
        return (), [Problem(path, cause, 'Pass, for example, {"webhook": {"url": "https://example.org/jobs"}}.')]
    specs: list[HookSpec] = []
    problems: list[Problem] = []
    for name, own in given.items():
        hook_type, faults = load_plugin(HOOKS_GROUP, name, path=f"{path}.{name}")
        if not faults and not isinstance(own, Mapping):
            cause = f"expected a mapping of its options, got {type(own).__name__}."
            faults = [Problem(f"{path}.{name}", cause, f'Pass {{}} for none: hooks={{"{name}": {{}}}}.')]
        if not faults:
            _, faults = parse_options(hook_type.config_type or _NoOptions, own, path=f"{path}.{name}")
        problems += faults
        if not faults:
            specs.append(HookSpec(name, dict(own), traces=getattr(hook_type, "traces", False) is True))
    return tuple(specs), problems


@attrs.frozen
class _NoOptions:
    """Of a hook that has none."""


def open_hook(spec: HookSpec) -> JobHook:
    """The hook that a spec means, on whatever machine this is.

    Raises:
        ConfigurationError: Its package is not installed here, or does not import, or its options mean nothing here.
    """
    hook_type, problems = load_plugin(HOOKS_GROUP, spec.name, path=f"hooks.{spec.name}")
    options = None
    if not problems and hook_type.config_type is not None:
        options, problems = parse_options(hook_type.config_type, spec.options, path=f"hooks.{spec.name}")
    if problems:
        raise ConfigurationError(f"The hook {spec.name!r} cannot be used here.", problems)
    return cast(JobHook, hook_type() if options is None else hook_type(options))


def _checked(
    options_type: type[C], given: Mapping[str, Any], *, remote: bool, path: str, beside: Iterable[str] = ()
) -> tuple[C | None, list[Problem]]:
    """Options of which ``uri``, if there is one, must mean the same on every machine and hold no secret."""
    options, problems = parse_options(options_type, given, path=path, beside=beside)
    uri = given.get("uri")
    if isinstance(uri, (str, os.PathLike)) and (fault := uri_problem(f"{path}.uri", os.fspath(uri), remote=remote)):
        problems.append(fault)
    return (None if problems else options), problems


def open_store(spec: StoreSpec) -> AnalyticsStore:
    """The store that a spec means, on whatever machine this is.

    Raises:
        ConfigurationError: The store's package is not installed here, or does not import.
    """
    store_type, problems = load_plugin(STORES_GROUP, spec.backend, path="analytics_store.backend")
    if problems:
        raise ConfigurationError("The analytics store cannot be opened here.", problems)
    return cast(AnalyticsStore, store_type(**spec.options))
