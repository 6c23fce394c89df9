"""What DuckDB says of a query, without what it says of itself: it knows more tables than the store has."""

from __future__ import annotations

import re
from collections.abc import Sequence

from checkmaite.jobs._shared.problems import nearest_name

_ASIDE = re.compile(r"\n(Did you mean|Candidate bindings|\tCandidate functions)[\s\S]*?(?=\n\nLINE|\Z)")
_TABLE = re.compile(r"Table with name \"?(\S+?)\"? does not exist")
_COLUMNS = (
    re.compile(r"Referenced column \"(.+?)\" not found"),
    re.compile(r"does not have a column named \"(.+?)\""),
    re.compile(r"Column \"(.+?)\" does not exist on"),
)
_FUNCTION = re.compile(r"Function with name (\S+) does not exist")


def said(error: Exception) -> str:
    """What DuckDB says is wrong, without its guesses, which may be of its own catalogue."""
    return _ASIDE.sub("", str(error)).rstrip()


def advice(error: Exception, tables: Sequence[str], columns: Sequence[str]) -> str:
    """What to do about it: the nearest of the store's tables, or of the columns of those that the query opened."""
    if missing := _TABLE.search(str(error)):
        return f"{_nearest(missing[1].rpartition('.')[2], tables)}Tables: {', '.join(tables) or 'none yet'}."
    for pattern in _COLUMNS:
        if missing := pattern.search(str(error)):
            return f"{_nearest(missing[1], columns)}describe_table() shows the columns of a table."
    if _FUNCTION.search(str(error)):
        return "Look its name up among DuckDB's functions; those that read files are not allowed."
    return "Only the store's tables can be read; describe_table() shows their columns."


def _nearest(name: str, known: Sequence[str]) -> str:
    near = nearest_name(name, known)
    return f"Did you mean {near!r}? " if near else ""
