"""What finished jobs were given, as objects beside the journal: what they are called, and what is in them.

An object has the rows of one job's submission, as the journal had them, so that it is read as the journal is. A payload
that is an object of its own stays where it is: the name says so, since a registry that begins reads names alone.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from checkmaite.jobs import IncompatibleVersionError, StoreCorruptError
from checkmaite.jobs_ray.journal.format import JOURNAL_PROTOCOL
from checkmaite.jobs_ray.journal.replay import IMPOSSIBLE
from checkmaite.jobs_ray.journal.schema import PAYLOADS, events_of, rows_of
from checkmaite.jobs_ray.registry.model.contexts import RedactedContext
from checkmaite.jobs_ray.registry.model.events import Introduced, Submitted
from checkmaite.jobs_ray.wire import JobSpec, StoredPayload

INPUTS = "input"
_ENDING = ".json.gz"
_NUMBER = re.compile(r"[0-9]{1,18}")
_NO_PAYLOAD = "-"
_PACK_BYTES = 4 * 2**20
_ALONE_BYTES = 32 * 1024
_GZIP = 31  # zlib's name for the format
_MOST_BYTES = 64 * 2**20
"""More than any has: a payload within it has at most 32 KiB, and what workers are told of the code as much."""


class KeptInputs(NamedTuple):
    """What one job was given, as it is kept.

    Attributes:
        key: Its object's, with all the rest in it, so that a listing tells it.
        size: Bytes of that object.
        payload: Key of the object that has its payload, perhaps with those of other jobs; empty when it is in this one.
        payload_size: Bytes that this other object may have.
    """

    key: str
    size: int
    payload: str = ""
    payload_size: int = 0


def kept_inputs(spec: JobSpec, redacted: RedactedContext) -> tuple[KeptInputs, bytes]:
    """How to keep what a job was given. Its payload is bytes, or beside the journal."""
    rows = rows_of([Introduced(spec.context, redacted), Submitted(spec, 0.0, None)])
    content = gzip.compress(json.dumps({"protocol": JOURNAL_PROTOCOL, "rows": rows}).encode(), 1, mtime=0)
    payload, payload_size = payload_object(spec)
    named = payload.removeprefix(f"{PAYLOADS}/") or _NO_PAYLOAD
    key = f"{INPUTS}/{spec.job_id}~{len(content)}~{payload_size}~{named}{_ENDING}"
    return KeptInputs(key, len(content), payload, payload_size), content


def payload_object(spec: JobSpec) -> tuple[str, int]:
    """Key and size of the object beside the journal that has a job's payload; empty and 0 when none has.

    One that has those of several jobs is as large as it can be, whatever it is.
    """
    if not isinstance(spec.payload, StoredPayload):
        return "", 0
    return spec.payload.key, spec.payload.size if spec.payload.size > _ALONE_BYTES else _PACK_BYTES


def all_kept_inputs(names: Iterable[str]) -> Mapping[str, KeptInputs]:
    """What a listing of the folder says, by job, the oldest first; what else is there is not ours."""
    found: dict[str, KeptInputs] = {}
    for name in sorted(names):
        job_id, *rest = name.removesuffix(_ENDING).split("~", 3)
        if not (name.endswith(_ENDING) and len(rest) == 3 and all(map(_NUMBER.fullmatch, rest[:2]))):
            continue
        size, payload_size, payload = rest
        where = "" if payload == _NO_PAYLOAD else f"{PAYLOADS}/{payload}"
        found[job_id] = KeptInputs(f"{INPUTS}/{name}", int(size), where, int(payload_size))
    return found


def inputs_of(content: bytes, uri: str) -> tuple[JobSpec, RedactedContext]:
    """The submission and the context that are kept as this.

    Args:
        content: The object.
        uri: Where it is, for errors.

    Raises:
        StoreCorruptError: It is damaged.
        IncompatibleVersionError: A newer version has written it.
    """
    inside = zlib.decompressobj(_GZIP)
    try:
        said = json.loads(inside.decompress(content, _MOST_BYTES))
        if not inside.eof:
            raise ValueError("it is cut short, or longer than any that is kept")
        protocol = int(said["protocol"])
        if protocol <= JOURNAL_PROTOCOL:
            introduced, submitted, *_ = events_of(said["rows"], protocol)
            if not isinstance(introduced, Introduced) or not isinstance(submitted, Submitted):
                raise ValueError("it holds other events")
            return submitted.spec, introduced.redacted
    except (zlib.error, *IMPOSSIBLE) as error:
        raise StoreCorruptError(
            f"{uri}: what a job was given is damaged ({error}). Delete it, or restore it from a copy.", uri=uri
        ) from error
    raise IncompatibleVersionError(
        f"{uri}: a newer version has kept what this job was given. Upgrade checkmaite-jobs-ray on the cluster.",
        here=f"protocol {JOURNAL_PROTOCOL}",
        there=f"protocol {protocol}",
    )
