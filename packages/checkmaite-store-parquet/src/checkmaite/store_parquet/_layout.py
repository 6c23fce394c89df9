"""Where things are in the store: names only, no I/O.

==============================  ==========================================================================
``TABLE/<run>.parquet``         the rows of one run in one table
``TABLE/<run>.<tag>.parquet``   those of another attempt of the same run, which had other results
``runs/<run>.parquet``          the run's commit object: its ``runs`` rows for all of its tables, which name their files
``TABLE/<run>!2.parquet``       the rows of the run's second revision; a tag may follow likewise
``runs/<run>!2.parquet``        its commit object
``_schema/TABLE.json``          column types of the table's first run; never changed
``_schema/TABLE/<column>.json`` type of a column that came later, by its name in lower case; never changed
``_schema/TABLE/,<column>.json`` what a column of whole numbers became: floats, or whole numbers that no float keeps
``_schema/,<table>``            how a table's name is written, by that name in lower case
``_artifacts/<name>``           documents, such as large reports
``_compact/<number>.json``      which parts hold copies of rows; the highest number counts
``_compact/<part>/``            copies of the rows of many results: ``TABLE.parquet``, ``TABLE!2.parquet`` and so on
``_compact/<part>/_index.parquet``  the commits that the part stands for
``_tags/<name>.parquet``        what the store held when somebody gave that a name: names of commits, types of columns
``_compact/originals.json``     says that commits and payloads of which there are copies may be deleted, or are
==============================  ==========================================================================

The first commit of a revision wins, and what it does not name is no part of the run. Revisions of a run have no gaps,
and ``!`` is in no run's name. A name that begins with ``_`` is never a table.
"""

from __future__ import annotations

import re

from checkmaite.jobs.spi import ARTIFACTS, object_name

RUNS = "runs"
SCHEMA = "_schema"
COMPACTED = "_compact"
TAGS = "_tags"
SUFFIX = ".parquet"
TABLE = r"[A-Za-z][A-Za-z0-9_]{0,99}"
"""What names of tables are like."""

_NUMBER = re.compile(r"[2-9]|[1-9][0-9]{1,8}")
_TABLE = re.compile(TABLE)
_MANIFEST = re.compile(r"([0-9]{8,})\.json")


def commit_key(run_uid: str, revision: int = 1) -> str:
    """Key of the object that makes a revision of a run visible."""
    return f"{RUNS}/{commit_name(object_name(run_uid), revision)}"


def commit_name(run: str, revision: int) -> str:
    """Name of that object in ``runs/``, from the run's name as `object_name` writes it."""
    return f"{run}{_mark(revision)}{SUFFIX}"


def payload_key(table: str, run_uid: str, revision: int = 1, tag: str = "") -> str:
    """Key of a revision's rows in a table; with a tag, of those of one attempt."""
    return f"{table}/{_revision_name(run_uid, revision)}{f'.{tag}' if tag else ''}{SUFFIX}"


def is_payload(key: object, table: object) -> bool:
    """Whether a commit may name this file as that of this table; what it names is not trusted."""
    if not isinstance(key, str) or not isinstance(table, str) or table == RUNS or not _TABLE.fullmatch(table):
        return False
    folder, _, name = key.partition("/")
    return folder == table and name.endswith(SUFFIX) and "/" not in name


def is_foreign_table(name: object) -> bool:
    """Whether rows of another store may be in a folder of this name: it leads nowhere else and hides nothing."""
    return isinstance(name, str) and object_name(name) == name and name[:1] not in ("", "_", ".") and name != RUNS


def revision_of(commit: str) -> tuple[str, int] | None:
    """The run's name, as `object_name` writes it, and the revision, from a name in ``runs/``; None of other names."""
    run, mark, number = commit.removesuffix(SUFFIX).partition("!")
    if not commit.endswith(SUFFIX) or (mark and not _NUMBER.fullmatch(number)):
        return None
    return run, int(number) if mark else 1


def schema_key(table: str) -> str:
    """Key of the types that a table began with."""
    return f"{SCHEMA}/{table}.json"


def spelling_key(table: str) -> str:
    """Key of how a table's name is written: one for all names that SQL takes for one; no table's types are there."""
    return f"{SCHEMA}/,{table.casefold()}"


def column_key(table: str, column: str) -> str:
    """Key of the type of a column that came after the table's first run: one for all names that SQL takes for one."""
    return f"{SCHEMA}/{table}/{object_name(column.casefold())}.json"


def widening_key(table: str, column: str) -> str:
    """Key of what a column of whole numbers became; no column's own key begins with a comma."""
    return f"{SCHEMA}/{table}/,{object_name(column)}.json"


def is_widening(name: str) -> bool:
    """Whether an object among a table's types says what a column became."""
    return name.startswith(",")


def manifest_key(number: int) -> str:
    """Key of a manifest."""
    return f"{COMPACTED}/{number:08}.json"


def manifest_number(name: str) -> int | None:
    """The number of a manifest, from a name in ``_compact/``; None of other names."""
    found = _MANIFEST.fullmatch(name)
    return int(found[1]) if found else None


ORIGINALS = f"{COMPACTED}/originals.json"
"""Key of what says that originals of copies may be gone."""


def part_key(part: str, table: str, revision: int) -> str:
    """Key of a part's copies of a table's rows."""
    return f"{COMPACTED}/{part}/{table}{_mark(revision)}{SUFFIX}"


def index_key(part: str) -> str:
    """Key of the list of commits that a part stands for; no table is named so."""
    return f"{COMPACTED}/{part}/_index{SUFFIX}"


def tag_key(name: str) -> str:
    """Key of a tag."""
    return f"{TAGS}/{name}{SUFFIX}"


def _revision_name(run_uid: str, revision: int) -> str:
    return f"{object_name(run_uid)}{_mark(revision)}"


def _mark(revision: int) -> str:
    return f"!{revision}" if revision > 1 else ""


def is_artifact(key: object) -> bool:
    """Whether a commit may name this object as a document; what it names is not trusted."""
    if not isinstance(key, str):
        return False
    folder, *rest = key.split("/")
    return folder == ARTIFACTS and bool(rest) and not any(part[:1] in ("", ".") for part in rest)
