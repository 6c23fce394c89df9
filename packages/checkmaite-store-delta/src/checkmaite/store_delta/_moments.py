"""What a store held at one moment: versions of its tables, which the library's log keeps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import frozen


@frozen(kw_only=True)
class Moment:
    """A moment.

    Attributes:
        words: How messages name it, such as ``the tag 'report'``.
        versions: The version of each table that there was; or the instant.
    """

    words: str
    versions: Mapping[str, int] | datetime

    def version_of(self, table: str) -> int | datetime | None:
        """Which version of a table is seen; None when the table was not there."""
        return self.versions if isinstance(self.versions, datetime) else self.versions.get(table)
