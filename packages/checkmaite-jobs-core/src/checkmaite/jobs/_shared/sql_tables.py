"""Which tables a SELECT means."""

from __future__ import annotations

import json
from typing import Any

from checkmaite.jobs._shared.errors import QueryError
from checkmaite.jobs._shared.naming import case_twins


def tables_in(connection: Any, sql: str, names: list[str]) -> list[str]:
    """Those of the tables that a SELECT may read, by the engine's own parse: a text, comment or alias opens none.

    All of them where that names none, but asks which there are (``SHOW TABLES``, ``information_schema``) or calls a
    function that makes a table.
    """
    ((parsed,),) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()
    named: set[str] = set()
    opens_all = False

    def note(node: dict[str, Any]) -> dict[str, Any]:
        nonlocal opens_all
        match node:
            case {"type": "BASE_TABLE", "schema_name": "" | "main", "table_name": name}:
                named.add(name.casefold())
            case {"type": "BASE_TABLE" | "TABLE_FUNCTION"}:
                opens_all = True
            case {"type": "SHOW_REF", "table_name": name} if name:
                opens_all = True
        return node

    try:
        failed = json.loads(parsed, object_hook=note)["error"]
    except RecursionError:  # deeper than Python reads
        return names
    return names if failed or opens_all else [name for name in names if name.casefold() in named]


def refuse_twins(what: str, names: list[str]) -> None:
    """SQL does not tell names apart that differ only in case."""
    for twin, name in case_twins(names):
        raise QueryError.of(
            f"the {what} {twin!r} and {name!r} differ only in case, which SQL does not see.", "Use read_table()."
        )
