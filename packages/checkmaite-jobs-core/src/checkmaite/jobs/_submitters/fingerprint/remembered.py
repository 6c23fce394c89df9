"""Large arrays that this process has digested before: digested again only when their content has changed.

That an array is the same object, at the same address, says nothing about its content, which can be changed in place
without a trace. So all of it is read each time, for a checksum that is several times faster than the digest: the sum of
each row of 1,024 words, and the exclusive or of each column. Changed elements give another one, and so do elements,
rows or columns that changed places; only a change that is made for the purpose does not.
"""

from __future__ import annotations

import hashlib
import sys
from collections import OrderedDict
from typing import Any

from checkmaite.jobs._submitters.fingerprint.hashing import Pace, content

_LARGE_BYTES = 16 * 2**20
_ROW_WORDS = 1024
_BLOCK_ROWS = 64  # half a megabyte, which stays in a core's cache for both sums
_MOST_REMEMBERED = 1024

_digests: OrderedDict[tuple[Any, ...], bytes] = OrderedDict()


def array_content(kind: str, flat: Any, place: tuple[Any, ...], pace: Pace) -> bytes:
    """A node of an array's content.

    Args:
        kind: What it is.
        flat: Its bytes, as a one-dimensional NumPy array of them.
        place: Where it lies in memory, so that only what lay there before is compared with it.
        pace: Told of the work done.
    """
    if flat.nbytes < _LARGE_BYTES:
        return content(kind, memoryview(flat), pace)
    key = kind, flat.nbytes, *place, _checksum(flat, pace)
    known = _digests.pop(key, None) or content(kind, memoryview(flat), pace)
    _digests[key] = known
    if len(_digests) > _MOST_REMEMBERED:
        _digests.popitem(last=False)
    return known


def _checksum(flat: Any, pace: Pace) -> bytes:
    numpy = sys.modules["numpy"]
    whole = flat.nbytes - flat.nbytes % (_ROW_WORDS * 8)
    rows = flat[:whole].view(numpy.uint64).reshape(-1, _ROW_WORDS)
    sums = numpy.empty(len(rows), numpy.uint64)
    columns = numpy.zeros(_ROW_WORDS, numpy.uint64)
    for start in range(0, len(rows), _BLOCK_ROWS):
        block = rows[start : start + _BLOCK_ROWS]
        numpy.add.reduce(block, axis=1, out=sums[start : start + _BLOCK_ROWS])
        columns ^= numpy.bitwise_xor.reduce(block, axis=0)
        pace.tick(block.nbytes)
    checked = hashlib.sha256(memoryview(sums))
    checked.update(memoryview(columns))
    checked.update(memoryview(flat[whole:]))
    return checked.digest()
