"""What the deltalake library and Arrow raise, as this project's errors.

The library raises an `OSError` without a number for whatever an object store said, and the reply in its text. Its code
is taken out of the text, and core says of it what it says of the same reply to fsspec: the text may hold keys.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from checkmaite.jobs import JobsError, StoreCorruptError, StoreError, StoreUnavailableError
from checkmaite.jobs.spi import ObjectStore
from deltalake.exceptions import CommitFailedError, DeltaError, DeltaProtocolError

FOREIGN = (DeltaError, pa.ArrowException, OSError)
"""What the library and Arrow raise."""

_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"\b([45]\d\d) [A-Z][a-z]")
_NUMBER = re.compile(r"\bOs \{ code: (\d+)|\(os error (\d+)\)")
_UNREACHED = re.compile(r"error sending request|timed out|dns error|connection (closed|refused|reset)", re.IGNORECASE)
_DAMAGED = re.compile(
    r"Kernel error|Json error|Parquet error|Invalid|corrupt|missing|deserializ|Arrow error", re.IGNORECASE
)
_SAME_CODES = {"403": "AccessDenied", "AuthenticationRequired": "401"}
"""Of refusals, the word by which core knows the same."""


class _RefusedError(OSError):
    """A reply of an object store, in the shape in which core looks for its code."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}}


@contextmanager
def telling(objects: ObjectStore, name: str) -> Iterator[None]:
    """Within the block, what the library raises about a table becomes a `StoreError` that names it."""
    try:
        yield
    except JobsError:
        raise
    except FOREIGN as error:
        _tell(objects, name, error)


def _tell(objects: ObjectStore, name: str, error: Any) -> None:
    uri = objects.uri_of(name) if name else objects.root
    said = str(error)
    if isinstance(error, CommitFailedError):
        raise StoreUnavailableError(
            f"{uri}: other writers were first each time ({_first_line(said)}). Try again.", uri=uri
        ) from error
    if isinstance(error, DeltaProtocolError):
        raise StoreError(
            f"{uri}: this version of the deltalake library cannot use the table. Install a later one.", uri=uri
        ) from error
    if cause := refusal_in(error):
        with objects.errors_of(name):
            raise cause from error
    if isinstance(error, FileNotFoundError):
        raise StoreCorruptError(
            f"{uri}: a file of the table is gone. Restore it from a backup, or read again: a vacuum with a longer "
            "grace_s deletes nothing that a reader may still read.",
            uri=uri,
        ) from error
    if _is_damage(error, said):
        raise StoreCorruptError(
            f"{uri}: the table is damaged ({_first_line(said)}). Restore it from a backup.", uri=uri
        ) from error
    with objects.errors_of(name):
        raise error


def refusal_in(error: Exception) -> OSError | None:
    """What went wrong below the library, where its text says that."""
    said = str(error)
    if code := _CODE.search(said):
        return _RefusedError(_SAME_CODES.get(code[1], code[1]))
    if status := _STATUS.search(said):
        return _RefusedError(_SAME_CODES.get(status[1], status[1]))
    if number := _NUMBER.search(said):
        kind = int(number[1] or number[2])
        return None if kind == errno.ENOENT else OSError(kind, "")
    return ConnectionError() if _UNREACHED.search(said) else None


def _is_damage(error: Exception, said: str) -> bool:
    """Whether it is about what is in a file: what could not be reached the library calls a generic error."""
    if isinstance(error, DeltaError):
        return _DAMAGED.search(said) is not None
    return isinstance(error, pa.ArrowException) or (type(error) is OSError and "Generic" not in said)


def _first_line(said: str) -> str:
    return (said.strip().splitlines() or [""])[0]
