"""Stores as typed values, for who prefers them to mappings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import asdict, field, frozen

DEFAULT_STORE = "parquet"

_LEFT_OUT = ("storage_options", "private_files")
"""Options that not every store has: they are passed on where something is said."""


@frozen(kw_only=True)
class ArtifactStoreConfig:
    """What ``artifact_store=`` takes, as a value.

    Attributes:
        uri: A folder or an fsspec URL.
        storage_options: Options of the fsspec filesystem. They may hold secrets, so they are never shown.
        private_files: Whether what is kept there on a disk is for its owner alone, modes 0700 and 0600.
    """

    uri: str
    storage_options: Mapping[str, Any] = field(factory=dict, repr=False, hash=False)
    private_files: bool = False


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
    return {name: value for name, value in named.items() if value or name not in _LEFT_OUT}
