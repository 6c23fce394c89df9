"""The output of finished jobs as objects beside the journal: what they are called, and what is in them."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from checkmaite.jobs import StoreCorruptError, StoreNotFoundError
from checkmaite.jobs.spi import LOG_LIMIT_CHARACTERS, ObjectStore

LOGS = "log"
_ENDING = ".txt.gz"
_GZIP = 31  # zlib's name for the format
_MOST_BYTES = 5 * LOG_LIMIT_CHARACTERS


class KeptLog(NamedTuple):
    """One job's output, as it is kept.

    Attributes:
        key: Its object's, with the size in it, so that a listing tells both.
        size: Its bytes.
    """

    key: str
    size: int


def kept_log(job_id: str, text: str) -> tuple[KeptLog, bytes]:
    """How to keep a job's output: gzip, which everybody can read."""
    content = gzip.compress(text.encode("utf-8", "replace"), 6, mtime=0)
    return KeptLog(f"{LOGS}/{job_id}.{len(content)}{_ENDING}", len(content)), content


def kept_logs(names: Iterable[str]) -> Mapping[str, KeptLog]:
    """What a listing of the folder says, by job, the oldest job first. What else is there is nobody's concern."""
    found = {}
    for name in sorted(names):
        job_id, _, size = name.removesuffix(_ENDING).rpartition(".")
        if job_id and size.isdigit() and name.endswith(_ENDING):
            found[job_id] = KeptLog(f"{LOGS}/{name}", int(size))
    return found


def read_log(objects: ObjectStore, kept: KeptLog) -> str:
    """The output that is kept.

    Raises:
        StoreError: It cannot be read, or is damaged.
    """
    content, inside = objects.read(kept.key), zlib.decompressobj(_GZIP)
    try:
        text = inside.decompress(content, _MOST_BYTES).decode("utf-8", "replace")
        if not inside.eof:
            raise zlib.error("it is cut short, or longer than any that is kept")
        return text
    except zlib.error as error:
        raise StoreCorruptError(
            f"{objects.uri_of(kept.key)}: the output of a job is damaged ({error}). Delete it, or restore it from a "
            "copy.",
            uri=objects.uri_of(kept.key),
        ) from error


def find_log(objects: ObjectStore, job_id: str) -> str:
    """The output of a job of which only its id is known.

    Raises:
        StoreNotFoundError: None is kept.
        StoreError: It cannot be read, or is damaged.
    """
    kept = kept_logs(objects.names(LOGS)).get(job_id)
    if kept is None:
        raise StoreNotFoundError(
            f"{objects.uri_of(LOGS)}: no output of the job {job_id!r} is kept. Of jobs that failed it is kept, of "
            'others with keep_logs="all", for as long as a registry lists the job.',
            uri=objects.uri_of(LOGS),
        )
    return read_log(objects, kept)
