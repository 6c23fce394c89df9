"""The rows of one run, as whatever the user works with."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from html import escape
from typing import Any

from checkmaite.jobs._shared.errors import MissingDependencyError
from checkmaite.jobs._shared.store_protocols import AnalyticsStore, KeepsRevisions

_SHOWN_ROWS = 20


class RunTable:
    """Rows of one run, read from the store: Arrow, pandas or Polars in one call.

    It speaks Arrow's C stream interface, so that ``pyarrow.table(...)``, ``polars.DataFrame(...)`` and others take it
    as it is.

    Attributes:
        name: The table of the store that they are from.
        run_uid: The run.
    """

    def __init__(self, name: str, run_uid: str, rows: Any) -> None:
        self.name = name
        self.run_uid = run_uid
        self._rows = rows

    @property
    def column_names(self) -> list[str]:
        """Names of the columns."""
        return list(self._rows.column_names)

    def to_arrow(self) -> Any:
        """The rows as a ``pyarrow.Table``."""
        return self._rows

    def to_pandas(self) -> Any:
        """The rows as a ``pandas.DataFrame``.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        _installed("pandas")
        return self._rows.to_pandas()

    def to_polars(self) -> Any:
        """The rows as a ``polars.DataFrame``.

        Raises:
            MissingDependencyError: Polars is not installed.
        """
        return _installed("polars").from_arrow(self._rows)

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        return self._rows.__arrow_c_stream__(requested_schema)

    def __len__(self) -> int:
        return int(self._rows.num_rows)

    def __repr__(self) -> str:
        columns = ", ".join(self.column_names)
        return f"<RunTable {self.name!r} of the run {self.run_uid!r}: {len(self):,} rows; {columns}>"

    def _repr_html_(self) -> str:
        head = _cells("th", self.column_names)
        body = "".join(_cells("td", row.values()) for row in self._rows.slice(0, _SHOWN_ROWS).to_pylist())
        more = f"<p>and {len(self) - _SHOWN_ROWS:,} more rows</p>" if len(self) > _SHOWN_ROWS else ""
        return f"<table><caption>{escape(self.name)}</caption><tr>{head}</tr>{body}</table>{more}"


def run_table(store: AnalyticsStore, run_uid: str, revision: int, name: str | None) -> RunTable:
    """The rows of a run's result in one table of its store.

    Args:
        store: The store.
        run_uid: The run.
        revision: Which of its results.
        name: The table; the one that there is when None.

    Raises:
        LookupError: The run has no rows, or none in this table, or rows in several tables and no name is given.
        StoreError: The store cannot be read.
    """
    newest: dict[str, Any] = {"revision": revision} if isinstance(store, KeepsRevisions) else {}
    about = store.read_table("runs", columns=["capability_table"], run_uids=[run_uid], **newest)
    names = sorted({each for each in about.column("capability_table").to_pylist() if each})
    if not names:
        raise LookupError(f"the store holds no rows of the run {run_uid!r}.")
    if name is None and len(names) > 1:
        raise LookupError(f"the run {run_uid!r} has rows in several tables: pass one of {', '.join(names)}.")
    if name is not None and name not in names:
        raise LookupError(f"the run {run_uid!r} has no rows in {name!r}; it has some in {', '.join(names)}.")
    chosen = name or names[0]
    return RunTable(chosen, run_uid, store.read_table(chosen, run_uids=[run_uid], **newest))


def _cells(tag: str, texts: Iterable[object]) -> str:
    cells = "".join(f"<{tag}>{escape(str(text))}</{tag}>" for text in texts)
    return cells if tag == "th" else f"<tr>{cells}</tr>"


def _installed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(f"This needs {module}.", requirement=module) from error
