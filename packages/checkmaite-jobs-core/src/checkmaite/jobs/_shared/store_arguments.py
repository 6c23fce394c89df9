"""What callers of a store pass: refused by name before anything is read or written. For authors of stores."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from os import PathLike, fspath

from checkmaite.jobs._shared.config import uri_problem
from checkmaite.jobs._shared.errors import ArgumentError, ConfigurationError, QueryError
from checkmaite.jobs._shared.problems import Problem
from checkmaite.jobs._shared.provenance import Provenance
from checkmaite.jobs._shared.values import shown

_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


def check_place(uri: object, storage_options: object) -> None:
    """Refuse what cannot be a store's place.

    Raises:
        ConfigurationError: It is of the wrong kind, or there can be no store.
    """
    problems = []
    if not isinstance(uri, (str, PathLike)):
        problems.append(Problem("uri", f"expected text, got {shown(uri)}.", "Pass a folder, or an fsspec URL."))
    elif fault := uri_problem("uri", fspath(uri)):
        problems.append(fault)
    remedy = 'Pass, for example, {"endpoint_url": "..."}.'
    if storage_options is not None and not isinstance(storage_options, Mapping):
        cause = f"expected a mapping, got {type(storage_options).__name__}."  # a text may be a secret
        problems.append(Problem("storage_options", cause, remedy))
    elif unnamed := [key for key in storage_options or () if not isinstance(key, str)]:
        problems.append(Problem("storage_options", f"expected text keys, got {shown(unnamed[0])}.", remedy))
    if problems:
        raise ConfigurationError("The store cannot be opened.", problems)


def check_runs(runs: object) -> None:
    """Refuse what holds no runs.

    Raises:
        ArgumentError: It is neither a run nor an iterable; what is in it is told one by one, when it is written.
    """
    if not hasattr(runs, "extract") and (isinstance(runs, (str, bytes, Mapping)) or not isinstance(runs, Iterable)):
        remedy = "Pass what a capability's run() returned, or a list of such runs."
        problem = Problem("runs", f"expected one run or several, got {shown(runs)}.", remedy)
        raise ArgumentError("Nothing was written.", [problem])


def provenance_given(provenance: object, supersede: object) -> Provenance:
    """The provenance that a user gave; refuses what a run cannot be written with.

    Raises:
        ArgumentError: It is of the wrong kind.
    """
    problems = []
    if isinstance(provenance, Mapping):
        provenance = Provenance.of(provenance)
    if provenance is not None and not isinstance(provenance, Provenance):
        cause = f"expected a Provenance or a mapping, got {shown(provenance)}."
        problems.append(Problem("provenance", cause, 'Pass, for example, Provenance(user_id="ada").'))
    if not isinstance(supersede, bool):
        problems.append(Problem("supersede", f"expected True or False, got {shown(supersede)}.", "Pass one of them."))
    if problems:
        raise ArgumentError("Nothing was written.", problems)
    return provenance if isinstance(provenance, Provenance) else Provenance()


def check_one_run(run: object) -> None:
    """Refuse several runs where one is written.

    Raises:
        ArgumentError: It is no run.
    """
    if not hasattr(run, "extract"):
        remedy = "Pass one run. For a list, write(runs) returns a receipt for each."
        raise ArgumentError("Nothing was written.", [Problem("run", f"expected one run, got {shown(run)}.", remedy)])


def check_text(name: str, given: object) -> None:
    """Refuse what is no text.

    Raises:
        ArgumentError: It is none.
    """
    if not isinstance(given, str):
        problem = Problem(name, f"expected text, got {shown(given)}.", "Pass a text.")
        raise ArgumentError("The store was not asked.", [problem])


def check_document(name: object) -> None:
    """Refuse what cannot name a document.

    Raises:
        ArgumentError: It is no text, or names no object: it is empty, or a part between two slashes is.
    """
    check_text("name", name)
    if not all(str(name).split("/")):
        problem = Problem("name", f"{shown(name)} has an empty part.", 'Pass a name such as "run-1/plot.png".')
        raise ArgumentError("The store was not asked.", [problem])


def check_flag(name: str, given: object) -> None:
    """Refuse what says neither yes nor no.

    Raises:
        ArgumentError: It is neither True nor False.
    """
    if not isinstance(given, bool):
        problem = Problem(name, f"expected True or False, got {shown(given)}.", "Pass True or False.")
        raise ArgumentError("Nothing was done.", [problem])


def check_tag(name: object) -> None:
    """Refuse what can name no tag.

    Raises:
        ArgumentError: It is no text, has other characters, or could be taken for an instant.
    """
    check_text("name", name)
    remedy = 'Pass letters, digits, ".", "_" and "-", such as "report-2026-11".'
    if _is_instant(str(name)):
        cause = f"{shown(name)} would be taken for a date."
    elif not _TAG.fullmatch(str(name)):
        cause = f"{shown(name)} can be no tag's name."
    else:
        return
    raise ArgumentError("Nothing was done.", [Problem("name", cause, remedy)])


def check_as_of(as_of: object) -> None:
    """Refuse what says no moment.

    Raises:
        QueryError: It is neither what may be a tag's name, nor an aware datetime that has passed, nor None.
    """
    given = as_of.isoformat() if isinstance(as_of, datetime) else shown(as_of)
    remedy = 'Pass a tag, such as "report-2026-11", or an instant, such as datetime(2026, 11, 1, tzinfo=UTC).'
    if isinstance(as_of, str) and (_is_instant(as_of) or not _TAG.fullmatch(as_of)):
        raise QueryError.of(f"as_of is {given}, which is no tag's name.", remedy)
    if as_of is None or isinstance(as_of, str):
        return
    if not isinstance(as_of, datetime):
        raise QueryError.of(f"as_of is {given}.", remedy)
    if as_of.utcoffset() is None:
        raise QueryError.of(f"as_of is {given}, which has no time zone.", remedy)
    now = datetime.now(UTC)
    if as_of > now:
        raise QueryError.of(f"as_of is {given}, but it is only {now.isoformat()} here.", "Pass what has passed.")


def _is_instant(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def check_query(name: str, given: object) -> None:
    """Refuse a table or a query that is no text.

    Raises:
        QueryError: It is none.
    """
    if not isinstance(given, str):
        raise QueryError.of(f"{name} is {shown(given)}, not a text.", "Pass a text; list_tables() shows the tables.")


def check_choice(*, columns: object, run_uids: object, limit: object) -> None:
    """Refuse a choice of rows that makes no sense.

    Raises:
        QueryError: One is of the wrong kind.
    """
    for name, given in (("columns", columns), ("run_uids", run_uids)):
        if isinstance(given, (str, bytes)):
            raise QueryError.of(f"{name} is the text {given!r}, not a list of texts.", f"Pass {name}=[{given!r}].")
        if given is not None and not isinstance(given, Collection):
            raise QueryError.of(f"{name} is {shown(given)}, not a list of texts.", f"Pass {name}=[...].")
        for index, each in enumerate(given or ()):
            if not isinstance(each, str):
                raise QueryError.of(f"{name}[{index}] is {shown(each)}, not a text.", "Pass a list of texts.")
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 0):
        raise QueryError.of(f"limit is {shown(limit)}.", "Pass a whole number from 0 on, or leave it out.")


def check_revision(revision: object) -> None:
    """Refuse what numbers no revision.

    Raises:
        QueryError: It is neither a number from 1 on, nor None.
    """
    if revision is not None and (type(revision) is not int or revision < 1):
        raise QueryError.of(f"revision is {shown(revision)}.", "Pass a whole number from 1 on, or leave it out.")


def check_whole(name: str, given: object) -> None:
    """Refuse what is no whole number from 1 on.

    Raises:
        QueryError: It is none.
    """
    if type(given) is not int or given < 1:
        raise QueryError.of(f"{name} is {shown(given)}.", "Pass a whole number from 1 on, or leave it out.")


def check_seconds(name: str, given: object) -> None:
    """Refuse what is no time to wait.

    Raises:
        QueryError: It is neither a number above 0, nor None.
    """
    if given is not None and (isinstance(given, bool) or not isinstance(given, (int, float)) or not given > 0):
        raise QueryError.of(f"{name} is {shown(given)}.", "Pass seconds, more than 0, or leave it out.")
