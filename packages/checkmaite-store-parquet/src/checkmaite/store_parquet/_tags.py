"""Tags: names for what the store held at one moment.

A tag lists the commits that were there. Commits, and the rows that they name, never change, and no maintenance deletes
a result, whether it is in small files or in copies: so the list alone gives the same answer for ever. What may change
beside them is listed too: columns that come later, or become floats, and files of the CheckMAITE package's store.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from attrs import frozen
from checkmaite.jobs import StoreConflictError, StoreCorruptError, StoreError, StoreNotFoundError, Tag
from checkmaite.jobs.spi import ColumnType, ObjectStore, check_tag, not_there
from checkmaite.store_parquet._datasets import open_file, reading
from checkmaite.store_parquet._layout import SCHEMA, SUFFIX, TAGS, tag_key
from checkmaite.store_parquet._moments import Moment
from checkmaite.store_parquet._parquet import UnreadableError, table_in
from checkmaite.store_parquet._reading import CommittedRuns, columns_of

_FORMAT = 1
_METADATA_KEY = b"checkmaite.tag"
"""Key of a tag's metadata under which all but the commits stands as JSON."""


@frozen(kw_only=True)
class _Said:
    """What a tag says beside the commits."""

    created_at: datetime
    token: str
    foreign: frozenset[str]
    columns: Mapping[str, Mapping[str, ColumnType]]


class Tags:
    """The tags of a store.

    Args:
        objects: The store.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def make(self, name: str) -> Tag:
        """Name what the store holds now; see `KeepsHistory.tag`.

        The commits are listed before the columns, so that every column that their rows have is among those.
        """
        check_tag(name)
        key = tag_key(name)
        if not self._objects.exists(key):
            runs = CommittedRuns(self._objects, revision="all")
            commits = sorted(runs.commits)
            created_at = datetime.now(UTC)
            said = {
                "format": _FORMAT,
                "created_at": created_at.isoformat(),
                "token": secrets.token_hex(8),
                "foreign": runs.foreign.files,
                "columns": {table: columns_of(self._objects, table, True) for table in self._tables()},
            }
            is_made = self._objects.create(key, _content(commits, said))
            if is_made or self._said(name).token == said["token"]:  # or the reply to its creation was lost
                return Tag(name=name, created_at=created_at, results=len(commits))
        uri = self._objects.uri_of(key)
        raise StoreConflictError(
            f"{uri}: there is a tag {name!r} already. It stays; choose another name, or delete it first.", uri=uri
        )

    def all(self) -> list[Tag]:
        """The tags, oldest first."""
        found = []
        for name in self._names():
            with suppress(StoreNotFoundError):  # deleted since it was listed
                found.append(self._tag(name))
        return sorted(found, key=lambda tag: (tag.created_at, tag.name))

    def delete(self, name: str) -> None:
        """Forget a tag; see `KeepsHistory.delete_tag`."""
        check_tag(name)
        if not self._objects.exists(tag_key(name)):
            raise self._missing(name)
        self._objects.delete(tag_key(name))

    def moment(self, name: str) -> Moment:
        """What a tag names.

        Raises:
            StoreNotFoundError: There is no such tag.
            StoreCorruptError: It is not readable.
        """
        content = self._objects.find(tag_key(name))
        if content is None:
            raise self._missing(name)
        try:
            table = table_in(content)
            said = _said_in(table.schema)
            commits = table.column("commit").combine_chunks().cast(pa.string())
        except (UnreadableError, pa.ArrowException, LookupError, TypeError, ValueError, RecursionError) as error:
            raise self._broken(name, error) from error
        return Moment(
            words=f"the tag {name!r}",
            commits=commits,
            sees=said.foreign.__contains__,
            columns=lambda table: said.columns.get(table, {}),
        )

    def _names(self) -> list[str]:
        return [name.removesuffix(SUFFIX) for name in self._objects.names(TAGS) if name.endswith(SUFFIX)]

    def _tables(self) -> list[str]:
        """Tables of which this store knows the columns."""
        return [name.removesuffix(".json") for name in self._objects.names(SCHEMA) if name.endswith(".json")]

    def _tag(self, name: str) -> Tag:
        """A tag by the end of its file, where how many commits it lists stands too."""
        with reading(self._objects, tag_key(name)):
            results = open_file(self._objects, tag_key(name)).count_rows()
        return Tag(name=name, created_at=self._said(name).created_at, results=results)

    def _said(self, name: str) -> _Said:
        try:
            return _said_in(open_file(self._objects, tag_key(name)).schema)
        except StoreError:
            raise
        except (LookupError, TypeError, ValueError, RecursionError) as error:
            raise self._broken(name, error) from error

    def _missing(self, name: str) -> StoreNotFoundError:
        uri = self._objects.uri_of(tag_key(name))
        return not_there("tag", name, self._names(), root=self._objects.root, uri=uri)

    def _broken(self, name: str, error: Exception) -> StoreCorruptError:
        uri = self._objects.uri_of(tag_key(name))
        return StoreCorruptError(
            f"{uri}: this version cannot read it as a tag ({type(error).__name__}). Restore it from a backup.", uri=uri
        )


def _content(commits: list[str], said: Mapping[str, Any]) -> bytes:
    sink = pa.BufferOutputStream()
    table = pa.table({"commit": pa.array(commits, pa.string())}, metadata={_METADATA_KEY: json.dumps(said).encode()})
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    return bytes(sink.getvalue().to_pybytes())


def _said_in(schema: pa.Schema) -> _Said:
    said = json.loads((schema.metadata or {})[_METADATA_KEY])
    if said["format"] != _FORMAT:
        raise ValueError(f"format {said['format']}")
    created_at = datetime.fromisoformat(said["created_at"])
    if created_at.tzinfo is None:
        raise ValueError("a naive instant")
    columns = {
        str(table): {str(name): ColumnType(kind) for name, kind in types.items()}
        for table, types in said["columns"].items()
    }
    return _Said(created_at=created_at, token=said["token"], foreign=frozenset(said["foreign"]), columns=columns)
