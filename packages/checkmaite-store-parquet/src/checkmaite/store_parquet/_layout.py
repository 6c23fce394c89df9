"""Where things are in the store: names only, no I/O.

==============================  ==========================================================================
``TABLE/<run>.parquet``         the rows of one run in one table; the first write wins
``runs/<run>.parquet``          the run's commit object: its ``runs`` rows for all of its tables
``_schema/TABLE.json``          column types of the table's first run; never changed
``_schema/TABLE/<column>.json`` type of a column that came later; never changed
``_artifacts/<name>``           documents, such as large reports
==============================  ==========================================================================

A name that begins with ``_`` is never a table.
"""

from __future__ import annotations

import hashlib
from urllib.parse import quote

RUNS = "runs"
SCHEMA = "_schema"
SUFFIX = ".parquet"
_LONGEST_NAME = 180
"""Characters of an encoded uid that are kept; digest and suffix still fit in the 255 bytes of a file name."""


def encoded(run_uid: str) -> str:
    """A run uid as a file name: percent-encoded, shortened with a digest when it is too long, never hidden."""
    name = quote(run_uid, safe="-_.~=+@")
    if name.startswith("."):
        name = f"%2E{name[1:]}"
    if len(name) <= _LONGEST_NAME:
        return name
    digest = hashlib.sha256(run_uid.encode()).hexdigest()[:32]
    return f"{name[:_LONGEST_NAME]}%{digest}"


def commit_key(run_uid: str) -> str:
    """Key of the object that makes a run visible."""
    return f"{RUNS}/{encoded(run_uid)}{SUFFIX}"


def payload_key(table: str, run_uid: str) -> str:
    """Key of a run's rows in a table."""
    return f"{table}/{encoded(run_uid)}{SUFFIX}"


def schema_key(table: str) -> str:
    """Key of the types that a table began with."""
    return f"{SCHEMA}/{table}.json"


def column_key(table: str, column: str) -> str:
    """Key of the type of a column that came after the table's first run."""
    return f"{SCHEMA}/{table}/{encoded(column)}.json"


def artifact_key(name: str) -> str:
    """Key of a document."""
    return "_artifacts/" + "/".join(encoded(part) for part in name.split("/"))
