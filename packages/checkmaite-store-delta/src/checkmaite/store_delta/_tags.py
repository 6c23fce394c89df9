"""Tags: names for what the store held at one moment, which is a version of each of its tables."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from checkmaite.jobs import StoreConflictError, StoreCorruptError, StoreNotFoundError, Tag
from checkmaite.jobs.spi import check_tag, not_there
from checkmaite.store_delta._columns import RUNS
from checkmaite.store_delta._moments import Moment
from checkmaite.store_delta._reading import ChosenRuns
from checkmaite.store_delta._tables import Tables

_FOLDER = "_tags"
_SUFFIX = ".json"


class Tags:
    """The tags of a store.

    Args:
        tables: Its tables.
    """

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._objects = tables.objects

    def make(self, name: str) -> Tag:
        """Name what the store holds now; see `KeepsHistory.tag`. The table ``runs`` is looked at first."""
        check_tag(name)
        key = _key(name)
        if not self._objects.exists(key):
            runs = self._tables.open(RUNS)
            versions = {RUNS: runs.version()} if runs is not None else {}
            results = ChosenRuns(self._tables, revision="all", moment=Moment(words="now", versions=versions))
            for table in results.tables():
                if table != RUNS and (there := self._tables.open(table)) is not None:
                    versions[table] = there.version()
            tag = Tag(name=name, created_at=datetime.now(UTC), results=results.count())
            token = secrets.token_hex(8)
            said = {"created_at": tag.created_at.isoformat(), "results": tag.results, "versions": versions}
            is_made = self._objects.create(key, json.dumps({**said, "token": token}).encode())
            if is_made or self._said(name)["token"] == token:  # or the reply to its creation was lost
                return tag
        uri = self._objects.uri_of(key)
        raise StoreConflictError(
            f"{uri}: there is a tag {name!r} already. It stays; choose another name, or delete it first.", uri=uri
        )

    def all(self) -> list[Tag]:
        """The tags, oldest first."""
        found = []
        for name in self._names():
            with suppress(StoreNotFoundError):  # deleted since it was listed
                said = self._said(name)
                found.append(Tag(name=name, created_at=said["created_at"], results=said["results"]))
        return sorted(found, key=lambda tag: (tag.created_at, tag.name))

    def delete(self, name: str) -> None:
        """Forget a tag; see `KeepsHistory.delete_tag`."""
        check_tag(name)
        if not self._objects.exists(_key(name)):
            raise self._missing(name)
        self._objects.delete(_key(name))

    def moment(self, name: str) -> Moment:
        """What a tag names.

        Raises:
            StoreNotFoundError: There is no such tag.
            StoreCorruptError: It is not readable.
        """
        return Moment(words=f"the tag {name!r}", versions=self._said(name)["versions"])

    def versions_of(self, table: str) -> list[int]:
        """The versions of a table that tags name."""
        found = []
        for name in self._names():
            with suppress(StoreNotFoundError):
                found.append(self._said(name)["versions"].get(table))
        return sorted({version for version in found if version is not None})

    def _names(self) -> list[str]:
        names = self._objects.names(_FOLDER)
        return [name.removesuffix(_SUFFIX) for name in names if name.endswith(_SUFFIX)]

    def _said(self, name: str) -> Mapping[str, Any]:
        content = self._objects.find(_key(name))
        if content is None:
            raise self._missing(name)
        try:
            said = json.loads(content)
            return {
                "created_at": datetime.fromisoformat(said["created_at"]),
                "results": int(said["results"]),
                "versions": {str(table): int(version) for table, version in said["versions"].items()},
                "token": said["token"],
            }
        except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
            uri = self._objects.uri_of(_key(name))
            raise StoreCorruptError(
                f"{uri}: this is no tag ({type(error).__name__}). Restore it from a backup, or delete it.", uri=uri
            ) from error

    def _missing(self, name: str) -> StoreNotFoundError:
        uri = self._objects.uri_of(_key(name))
        return not_there("tag", name, self._names(), root=self._objects.root, uri=uri)


def _key(name: str) -> str:
    return f"{_FOLDER}/{name}{_SUFFIX}"
