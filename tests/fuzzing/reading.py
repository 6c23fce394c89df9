"""What every reader promises of what it is given: a right answer, or an error of this project that names the object."""

from __future__ import annotations

import resource
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from random import Random
from typing import Protocol

from attrs import frozen
from checkmaite.jobs import IncompatibleVersionError, StoreError, StoreNotFoundError
from checkmaite.jobs.spi import ObjectStore

MOST_S = 5.0
"""CPU seconds that one reading may take; the slowest that is right takes a tenth of one."""
MOST_BYTES = 512 * 2**20
"""By so much one reading may raise what its process has had in memory at most."""


class Reader(Protocol):
    """Reads one kind of object, and knows what it must be like.

    Attributes:
        weight: How many of the cases are its own, beside those of others.
    """

    weight: int

    @property
    def keys(self) -> Sequence[str]:
        """The objects that can be changed, by their keys."""
        ...

    def changed(self, random: Random, key: str) -> bytes:
        """Another content for one of them."""
        ...

    def read(self, key: str, content: bytes) -> None:
        """Read it with this content as users do, and use all that it says.

        Raises:
            StoreError, IncompatibleVersionError: It is refused.
            AssertionError: A promise was broken.
        """
        ...


@frozen
class Case:
    """One object that somebody has changed.

    Attributes:
        number: Says all that is random in it.
        reader: Name of its reader.
        key: Which object.
        content: Its bytes now.
    """

    number: int
    reader: str
    key: str
    content: bytes


def case_of(number: int, readers: Mapping[str, Reader]) -> Case:
    """The case of a number; the same one always."""
    random = Random(number)
    names = sorted(readers)
    (name,) = random.choices(names, [readers[name].weight for name in names])
    key = random.choice(readers[name].keys)
    return Case(number, name, key, readers[name].changed(random, key))


def check(case: Case, reader: Reader) -> str:
    """See that a reader keeps its promises; what it made of the case.

    Raises:
        AssertionError: It does not.
    """
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            reader.read(case.key, case.content)
        found = "read"
    except (StoreError, IncompatibleVersionError) as error:
        found = type(error).__name__
    took = time.process_time() - began
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert took < MOST_S, f"reading it took {took:.1f} s"
    assert more < MOST_BYTES, f"reading it took {more >> 20} MB"
    return found


@contextmanager
def refusals_name(objects: ObjectStore, *keys: str) -> Iterator[None]:
    """Within the block an error must name one of these objects, and say more than that something is wrong."""
    try:
        yield
    except (StoreError, IncompatibleVersionError) as error:
        named = [key for key in keys if objects.uri_of(key) in str(error)]
        if not named:
            raise AssertionError(f"names none of {keys}: {error}") from error
        if isinstance(error, StoreNotFoundError) and "_artifacts/" not in named:
            raise AssertionError(f"what is there is said not to be: {error}") from error
        raise


class Shelf(ObjectStore):
    """Objects in memory: a million cases need no disk."""

    def __init__(self, contents: Mapping[str, bytes], root: str = "s3://shelf/of") -> None:
        super().__init__(root)
        self.contents = dict(contents)

    def create(self, key: str, content: bytes | memoryview) -> bool:
        return self.contents.setdefault(key, bytes(content)) is content

    def read(self, key: str) -> bytes:
        if (content := self.find(key)) is None:
            raise StoreNotFoundError(f"{self.uri_of(key)}: it does not exist.", uri=self.uri_of(key))
        return content

    def find(self, key: str) -> bytes | None:
        return self.contents.get(key)

    def exists(self, key: str) -> bool:
        return key in self.contents

    def delete(self, key: str) -> None:
        self.contents.pop(key, None)

    def names(self, prefix: str) -> list[str]:
        return self._below(prefix, 1)

    def folders(self, prefix: str = "") -> list[str]:
        return self._below(prefix, 2)

    def _below(self, prefix: str, depth: int) -> list[str]:
        begin = f"{prefix}/" if prefix else ""
        below = [key.removeprefix(begin).split("/") for key in self.contents if key.startswith(begin)]
        return sorted({parts[0] for parts in below if (len(parts) == 1) is (depth == 1)})
