"""Where a registry's journal is."""

from __future__ import annotations

import pickle
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from attrs import field, frozen
from checkmaite.jobs import StoreError
from checkmaite.jobs.spi import ObjectStore, StoreSpec
from checkmaite.jobs_ray.config import RayOptions

_FOLDER = "_jobs"


@frozen(kw_only=True)
class JournalLocation:
    """The journals' folder, with what opens it.

    Attributes:
        uri: Absolute; each registry has a folder of its own below.
        storage_options: Of the fsspec filesystem; they may hold secrets.
    """

    uri: str
    storage_options: Mapping[str, Any] = field(factory=dict, repr=False)

    @classmethod
    def of(cls, options: RayOptions, store: StoreSpec) -> JournalLocation | None:
        """Where these options want it; None for nowhere: because they say so, or because the store is no such place."""
        if options.journal_uri is None:
            return None
        beside = _beside(store)
        if not options.journal_uri:
            return beside
        uri = ObjectStore(options.journal_uri).root
        same = beside is not None and _scheme(beside.uri) == _scheme(uri)
        return cls(uri=uri, storage_options=beside.storage_options if beside is not None and same else {})

    def objects(self, namespace: str, registry: str, *, private: bool = False) -> ObjectStore:
        """The folder of one registry; `private` is as for `ObjectStore`."""
        folder = f"{self.uri}/{_folder_of(namespace)}/{_folder_of(registry)}"
        return ObjectStore(folder, self.storage_options, private)

    def registries(self, namespace: str) -> list[str]:
        """The registries of a namespace that have a folder here, by name."""
        return sorted(map(unquote, ObjectStore(self.uri, self.storage_options).folders(_folder_of(namespace))))

    def to_text(self) -> str:
        """The place as text, for `from_text`."""
        return b64encode(pickle.dumps((self.uri, dict(self.storage_options)))).decode()

    @classmethod
    def from_text(cls, text: str) -> JournalLocation:
        """The place that `to_text` wrote."""
        uri, storage_options = pickle.loads(b64decode(text))  # noqa: S301 - a client's settings, from Ray alone
        return cls(uri=uri, storage_options=storage_options)


def _beside(store: StoreSpec) -> JournalLocation | None:
    """A folder in the analytics store, where that is one that fsspec opens."""
    uri, storage_options = store.options.get("uri"), store.options.get("storage_options") or {}
    if not isinstance(uri, str) or _scheme(uri) == "memory":
        return None
    objects = ObjectStore(uri, storage_options)
    try:
        _ = objects.filesystem
    except StoreError:  # no filesystem is known for it
        return None
    return JournalLocation(uri=f"{objects.root.rstrip('/')}/{_FOLDER}", storage_options=storage_options)


def _folder_of(name: str) -> str:
    """A name that a user chose, as the name of a folder, which never means another one."""
    return name.replace(".", "%2E") if name in (".", "..") else quote(name, safe="")


def _scheme(uri: str) -> str:
    return uri.partition("://")[0] if "://" in uri else "file"
