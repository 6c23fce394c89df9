"""Opening Parquet files of which nobody knows whether they are some.

What Arrow raises about a broken file is an `OSError` as often as an error of its own, and may come when a value is
taken from the table that it has given. Whoever reads a file here meets one error, and a table that holds what it says.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

BROKEN = (pa.ArrowException, OSError)
"""What Arrow raises where it scans files."""


class UnreadableError(ValueError):
    """A file is no Parquet file, or a damaged one."""


def table_in(content: bytes) -> pa.Table:
    """All of a Parquet file, whose pages' checksums are compared where it has some.

    Raises:
        UnreadableError: It is none, or says what cannot be.
    """
    try:
        table = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True).read()
        table.validate(full=True)
    except (*BROKEN, ValueError) as error:
        raise UnreadableError(first_line(error)) from error
    return table


def is_damage(error: Exception) -> bool:
    """Whether one of `BROKEN` is about what is in a file, and not about reaching it: then it is Arrow's own."""
    return isinstance(error, pa.ArrowException) or (type(error) is OSError and error.errno is None)


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return (str(error).splitlines() or [type(error).__name__])[0]
