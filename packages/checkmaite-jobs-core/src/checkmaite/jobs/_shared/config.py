"""Options as frozen attrs classes, read from keyword arguments with every fault reported at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl, urlsplit

import attrs
from attrs import NOTHING, field, frozen
from checkmaite.jobs._shared.codec import structure
from checkmaite.jobs._shared.deprecation import deprecated
from checkmaite.jobs._shared.errors import ConfigurationError
from checkmaite.jobs._shared.hooks import HookSpec
from checkmaite.jobs._shared.problems import Problem, unknown_name

C = TypeVar("C")
DEFAULT_RETRY_S = 3600.0


def option(doc: str, **arguments: Any) -> Any:
    """An attrs field of an options class.

    Args:
        doc: What the option means and its unit; shown as the remedy when the value is missing or wrong.
        **arguments: Passed on to `attrs.field`.
    """
    return field(metadata={"doc": doc}, kw_only=True, **arguments)


def parse_options(
    config_type: type[C], given: Mapping[str, Any], *, path: str = "", beside: Iterable[str] = ()
) -> tuple[C | None, list[Problem]]:
    """An options class from what a user gave, or everything that is wrong with it.

    Args:
        config_type: An attrs class; its fields' ``metadata["doc"]`` become remedies, and their validators run. Rules
            between options are checked in ``__attrs_post_init__``, which raises a `ConfigurationError` with problems.
            A classmethod ``refused_options() -> Mapping[str, str]`` may name options that others take and this
            one refuses, with the reason; ``renamed_options() -> Mapping[str, str]`` other names that are taken for
            one of its own, with a DeprecationWarning.
        given: Option names and values.
        path: Where `given` stands, as the prefix of every problem's path.
        beside: Names that are given elsewhere in the same call, and that a misspelt one may have meant.
    """
    # The cast is for type checkers only: attrs.fields wants a type that is known to be an attrs class.
    declared = {item.alias: item for item in attrs.fields(attrs.resolve_types(cast("type[Any]", config_type)))}
    refused: Mapping[str, str] = getattr(config_type, "refused_options", dict)()
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    given = _by_own_names(given, getattr(config_type, "renamed_options", dict)(), problems)
    for name in given:
        if not isinstance(name, str):
            problems.append(Problem(f"[{name!r}]", "is no name of an option: names are text.", "Take it out."))
        elif name in refused:
            problems.append(Problem(name, "is not an option here.", refused[name]))
        elif name not in declared:
            problems.append(unknown_name(name, name, {*declared, *beside}))
    for name, item in declared.items():
        if name in given:
            problem = _read(item, given[name], values)
        elif item.default is NOTHING:
            problem = Problem(name, "is required.", _doc(item))
        else:
            problem = None
        if problem:
            problems.append(problem)
    made = None
    if not problems:
        made, problems = _made(config_type, values)
    return made, [problem.below(path) for problem in problems]


def _by_own_names(given: Mapping[str, Any], renamed: Mapping[str, str], problems: list[Problem]) -> Mapping[str, Any]:
    own = {name: value for name, value in given.items() if name not in renamed}
    for former in [name for name in given if name in renamed]:
        name = renamed[former]
        if name in own:
            problems.append(Problem(former, f"is another name of {name}, which was given too.", "Leave it out."))
            continue
        deprecated(f"{former} is taken for {name}: write {name}.")
        own[name] = given[former]
    return own


def _made(config_type: type[C], values: Mapping[str, Any]) -> tuple[C | None, list[Problem]]:
    """The options, or what the rules between them found."""
    try:
        return config_type(**values), []
    except ConfigurationError as error:
        return None, list(error.problems)
    except ValueError as error:
        return None, [Problem("", str(error), "")]


def _read(item: Any, value: object, values: dict[str, Any]) -> Problem | None:
    try:
        structured = structure(value, item.type)
        if item.validator is not None:
            item.validator(None, item, structured)
    except Exception as error:  # noqa: BLE001 - validators and structure hooks may raise anything: all of it is bad input
        return Problem(item.alias, f"{_first_line(error)}.", _doc(item))
    values[item.alias] = structured
    return None


def _first_line(error: BaseException) -> str:
    text = str(error.args[0]) if error.args else type(error).__name__
    return (text.splitlines() or [type(error).__name__])[0].rstrip(".")


def _doc(item: Any) -> str:
    doc = item.metadata.get("doc", "")
    return f"Meaning: {doc}" if doc else ""


def usable_uri(_: object, attribute: Any, value: str) -> None:
    """An option's validator: the text is a path, or a URL of a filesystem that is installed here.

    Raises:
        ValueError: It is not; the message says what to install.
    """
    from checkmaite.jobs._shared.drivers import check_scheme  # fsspec takes longer to import than all of core

    check_scheme(value)


@frozen
class ArtifactFolder:
    """Where documents such as large reports go, when that is not the analytics store.

    Attributes:
        uri: A folder or an fsspec URL, absolute once it is configured.
        storage_options: Options of the fsspec filesystem. They may hold secrets, so they are never shown.
        private_files: Whether documents on a disk are for their owner alone.
    """

    uri: str = option('a folder, or an fsspec URL such as "s3://bucket/artifacts".', validator=usable_uri)
    storage_options: Mapping[str, Any] = option(
        "options of the fsspec filesystem, such as key, secret and endpoint_url.", factory=dict, repr=False, hash=False
    )
    private_files: bool = option(
        "True gives its folder and its files on a disk the modes 0700 and 0600, whatever the umask is.", default=False
    )


@frozen
class StoreSpec:
    """Which analytics store to open, as plain values that any process can open it from.

    Attributes:
        backend: Name of the store's entry point.
        options: Its options, already checked and made absolute. They may hold secrets, so they are never shown.
        artifacts: Where documents go instead; None leaves them to the store, if it keeps any.
        retry_s: Seconds for which results that are computed are tried to be stored while a store does not answer;
            None: without end.
    """

    backend: str
    options: Mapping[str, Any] = field(factory=dict, repr=False, hash=False)
    artifacts: ArtifactFolder | None = None
    retry_s: float | None = DEFAULT_RETRY_S


@frozen
class BackendContext:
    """What a backend is given beside its own options.

    Attributes:
        store: The analytics store that its workers write to.
        hooks: What it tells of its jobs, if it can.
    """

    store: StoreSpec
    hooks: tuple[HookSpec, ...] = ()


_SECRET_NAME = re.compile(r"secret|token|password|passwd|credential|access_?key|signature|sas\b|^sig$", re.IGNORECASE)

_LOCAL_SCHEMES = frozenset({"file", "local"})
_BUCKET_SCHEMES = frozenset({"s3", "s3a", "gs", "gcs"})
_ACCOUNT_SCHEMES = frozenset({"abfs", "abfss"})  # their URLs are container@account
_MISWRITTEN = re.compile(r"(?P<scheme>[a-z0-9+.-]{2,}):/?(?!/)", re.IGNORECASE)
_DRIVE = re.compile(r"[a-z]:[\\/]", re.IGNORECASE)


def uri_problem(path: str, uri: str, *, remote: bool = False) -> Problem | None:
    """What is wrong with the URI of a store or journal, if anything.

    Args:
        path: Where it stands in the configuration.
        uri: A path or an fsspec URL.
        remote: Whether other machines must understand it too, so that a relative path means nothing.
    """
    if not uri.strip():
        return Problem(path, "is empty.", "Pass a folder, or an fsspec URL such as s3://bucket/folder.")
    if not uri.isprintable():
        return Problem(path, f"{uri!r} holds characters that cannot be printed.", "Take them out.")
    scheme, separator, place = uri.partition("://")
    if separator and scheme not in _LOCAL_SCHEMES:
        return _url_problem(path, scheme, uri)
    if not separator and (miswritten := _MISWRITTEN.match(uri)):
        scheme = miswritten["scheme"]
        return Problem(path, f"{uri!r} is no URL.", f"Write {scheme}://..., or ./{uri} for a folder of that name.")
    if not separator and os.name != "nt" and _DRIVE.match(uri):
        return Problem(path, f"{uri!r} is a path of another operating system.", "Pass a path of this one, or a URL.")
    folder = place if separator else uri
    if remote and not os.path.isabs(os.path.expanduser(folder)):
        return Problem(
            path,
            f"the relative path {folder!r} means another folder on every machine of a remote cluster.",
            "Pass an absolute path that all machines share, or an object store's URL.",
        )
    return None


def _url_problem(path: str, scheme: str, uri: str) -> Problem | None:
    try:
        parts = urlsplit(uri)
    except ValueError as error:
        return Problem(path, f"cannot be read as a URL ({error}).", "Pass, for example, s3://bucket/folder.")
    user, at, _ = parts.netloc.rpartition("@")
    named = [name for name, _ in parse_qsl(parts.query) if _SECRET_NAME.search(name)]
    if named or (at and (scheme not in _ACCOUNT_SCHEMES or ":" in user)):
        return Problem(
            path,
            f"the {scheme} URL holds credentials, which would end in logs and receipts.",
            "Take them out of the URL and pass them in storage_options, or let the environment supply them.",
        )
    if parts.query or parts.fragment:
        return Problem(
            path,
            f"the {scheme} URL has a part after ? or #, which would end in logs and receipts.",
            "Take it out of the URL; options of the filesystem belong in storage_options.",
        )
    if not parts.netloc and scheme in _BUCKET_SCHEMES:
        return Problem(path, f"{uri!r} names no bucket.", f"Pass {scheme}://bucket/folder.")
    return None
