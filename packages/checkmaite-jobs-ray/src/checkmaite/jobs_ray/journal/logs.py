"""The output of jobs as objects beside the journal: what they are called, and what is in them.

Of a job that is over there is one. Of an attempt that goes on, or was lost, there may be one of its own: what it had
printed when that was kept last. Its name has the number of the attempt, and when it was kept.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from checkmaite.jobs import StoreCorruptError, StoreNotFoundError
from checkmaite.jobs.spi import LOG_LIMIT_CHARACTERS, ObjectStore, joined_output

LOGS = "log"
_ENDING = ".txt.gz"
_OF_ATTEMPT = "~"
_NUMBER = re.compile(r"[0-9]{1,18}")
_GZIP = 31  # zlib's name for the format
_MOST_BYTES = 5 * LOG_LIMIT_CHARACTERS


class KeptLog(NamedTuple):
    """One job's output, as it is kept.

    Attributes:
        key: Its object's, with all the rest in it, so that a listing tells it.
        size: Its bytes.
        attempt: The attempt that printed it; 0 for a job that is over.
        number: Of two of one attempt, the larger is the later one.
    """

    key: str
    size: int
    attempt: int = 0
    number: int = 0


def kept_log(job_id: str, text: str, attempt: int = 0, number: int = 0) -> tuple[KeptLog, bytes]:
    """How to keep a job's output: gzip, which everybody can read."""
    content = gzip.compress(text.encode("utf-8", "replace"), 6, mtime=0)
    whose = f"{job_id}{_OF_ATTEMPT}{attempt}-{number}" if attempt else job_id
    return KeptLog(f"{LOGS}/{whose}.{len(content)}{_ENDING}", len(content), attempt, number), content


def kept_logs(names: Iterable[str]) -> Mapping[str, Mapping[int, KeptLog]]:
    """What a listing of the folder says, by job and attempt, the oldest job first; what else is there is not ours.

    Of two of one attempt the later one counts.
    """
    found: dict[str, dict[int, KeptLog]] = {}
    for job_id, log in _all_logs(names):
        of_job = found.setdefault(job_id, {})
        if log.attempt not in of_job or of_job[log.attempt].number < log.number:
            of_job[log.attempt] = log
    return found


def outdated_logs(names: Iterable[str]) -> list[KeptLog]:
    """Those that a later one was to take the place of when its registry died."""
    names = list(names)
    latest = {each.key for of_job in kept_logs(names).values() for each in of_job.values()}
    return [log for _, log in _all_logs(names) if log.key not in latest]


def _all_logs(names: Iterable[str]) -> Iterator[tuple[str, KeptLog]]:
    for name in sorted(names):
        whose, _, size = name.removesuffix(_ENDING).rpartition(".")
        job_id, of_attempt, which = whose.partition(_OF_ATTEMPT)
        attempt, _, number = which.partition("-") if of_attempt else ("0", "", "0")
        if job_id and name.endswith(_ENDING) and all(map(_NUMBER.fullmatch, (size, attempt, number))):
            yield job_id, KeptLog(f"{LOGS}/{name}", int(size), int(attempt), int(number))


def read_log(objects: ObjectStore, log: KeptLog) -> str:
    """The output that is kept.

    Raises:
        StoreError: It cannot be read, or is damaged.
    """
    return text_of(objects.read(log.key), objects.uri_of(log.key))


def text_of(content: bytes, uri: str) -> str:
    """The output that is kept as this.

    Args:
        content: The object.
        uri: Where it is, for errors.

    Raises:
        StoreCorruptError: It is damaged.
    """
    inside = zlib.decompressobj(_GZIP)
    try:
        text = inside.decompress(content, _MOST_BYTES).decode("utf-8", "replace")
        if not inside.eof:
            raise zlib.error("it is cut short, or longer than any that is kept")
        return text
    except zlib.error as error:
        raise StoreCorruptError(
            f"{uri}: the output of a job is damaged ({error}). Delete it, or restore it from a copy.", uri=uri
        ) from error


def find_log(objects: ObjectStore, job_id: str) -> str:
    """The output of a job of which only its id is known.

    Raises:
        StoreNotFoundError: None is kept.
        StoreError: It cannot be read, or is damaged.
    """
    logs = kept_logs(objects.names(LOGS)).get(job_id)
    if logs is None:
        raise StoreNotFoundError(
            f"{objects.uri_of(LOGS)}: no output of the job {job_id!r} is kept. Of jobs that failed it is kept, of "
            'others with keep_logs="all", for as long as a registry lists the job.',
            uri=objects.uri_of(LOGS),
        )
    texts = {attempt: read_log(objects, each) for attempt, each in logs.items()}
    last = texts.pop(0, None)
    return joined_output(texts, last)
