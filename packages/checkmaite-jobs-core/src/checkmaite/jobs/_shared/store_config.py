"""Stores as typed values, for who prefers them to mappings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import asdict, field, frozen

DEFAULT_STORE = "parquet"


@frozen(kw_only=True)
class ArtifactStoreConfig:
    """What ``artifact_store=`` takes, as a value.

    Attributes:
        uri: A folder or an fsspec URL.
        storage_options: Options of the fsspec filesystem. They may hold secrets, so they are never shown.
    """

    uri: str
    storage_options: Mapping[str, Any] = field(factory=dict, repr=False, hash=False)


@frozen(kw_only=True)
class AnalyticsStoreConfig(ArtifactStoreConfig):
    """What ``analytics_store=`` takes, as a value: for a store that is told its place by a uri.

    Attributes:
        backend: Name of the store.
    """

    backend: str = DEFAULT_STORE


def as_mapping(given: object) -> object:
    """A typed configuration as the mapping that means the same; anything else as it is."""
    if not isinstance(given, ArtifactStoreConfig):
        return given
    named = asdict(given, recurse=False)
    return named if named["storage_options"] else {key: named[key] for key in named if key != "storage_options"}
