"""Staged objects in an object store: whole, by content, in parts that fit into memory.

An object is a folder, ``_staged/NAME/``: its parts, and ``manifest.json``, which is created last and says what the
parts must be. Its digest is a digest of the digests of its parts, so that each part is verified when it comes, and none
can be another object's. With a key each part is sealed, and the name depends on the key too.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from attrs import frozen
from checkmaite.jobs._shared.config import ArtifactFolder, StoreSpec
from checkmaite.jobs._shared.errors import StagedObjectError, StoreCorruptError, StoreError, StoreNotFoundError
from checkmaite.jobs._shared.keys import KeyPlace
from checkmaite.jobs._shared.objects import ObjectStore
from checkmaite.jobs._shared.sealing import opened, sealed
from checkmaite.jobs._shared.staged import Staged

FOLDER = "_staged"
PART_BYTES = 32 * 2**20
"""One request each: s3fs reads what is above 50 MiB in several ranges."""
_MANIFEST = "manifest.json"
_FORMAT = 1
_AT_ONCE = 4
"""Parts that are written or read at the same time: each is in memory once or twice."""


@frozen
class StagingPlace:
    """Where objects are staged.

    Attributes:
        folder: The artifact store, else the analytics store's own folder.
        key: Where the key is that they are sealed with; None: they are not.
    """

    folder: ArtifactFolder
    key: KeyPlace | None = None

    @classmethod
    def of(cls, store: StoreSpec, key: KeyPlace | None = None) -> StagingPlace | None:
        """The place beside a store; None where there is none that other processes can read."""
        if store.artifacts is not None:
            return cls(store.artifacts, key)
        uri = store.options.get("uri")
        if not isinstance(uri, str) or uri.startswith("memory:"):
            return None
        options = store.options.get("storage_options") or {}
        objects = ObjectStore(uri, options)
        try:
            _ = objects.filesystem
        except StoreError:  # no filesystem is known for it
            return None
        private = bool(store.options.get("private_files"))
        return cls(ArtifactFolder(uri=objects.root, storage_options=options, private_files=private), key)

    @property
    def objects(self) -> ObjectStore:
        """What is stored there."""
        return ObjectStore(self.folder.uri, self.folder.storage_options, self.folder.private_files)

    def name_of(self, digest: str) -> str:
        """The folder of an object; with a key that was changed it is another one, since nobody could open the first."""
        if self.key is None:
            return digest
        return f"{digest}-{hmac.new(self.key.read().encode(), digest.encode(), 'sha256').hexdigest()[:16]}"


def content_digest(size: int, parts: Sequence[str]) -> str:
    """The digest of a content, from its size and the digests of its parts."""
    return hashlib.sha256(f"checkmaite-staged-{_FORMAT} {size} {' '.join(parts)}".encode()).hexdigest()


def publish(
    place: StagingPlace,
    name: str,
    *,
    size: int,
    digests: Sequence[str],
    part: Callable[[int], bytes],
    tick: Callable[[int], object],
) -> None:
    """Write what is not there yet of an object; at the end all of it is.

    Args:
        place: Where to.
        name: Its folder.
        size: Bytes of the whole.
        digests: Of its parts, in hexadecimal.
        part: Gives a part, by number.
        tick: Is told of bytes that are done.

    Raises:
        StagedObjectError: It was changed meanwhile.
        StoreError: The store could not take it; nobody sees any of it.
    """
    objects = place.objects
    there = frozenset(objects.names(f"{FOLDER}/{name}"))
    missing = [number for number in range(len(digests)) if _part(number) not in there]

    def write(number: int) -> None:
        content = part(number)
        if hashlib.sha256(content).hexdigest() != digests[number]:
            raise StagedObjectError("The object was changed while it was staged: nobody can read what was written.")
        travels = content if place.key is None else sealed(content, _bound_to(name, number, len(digests)), place.key)
        objects.create(f"{FOLDER}/{name}/{_part(number)}", travels)
        tick(len(content))

    for _ in _at_once(write, missing):
        pass
    if _MANIFEST not in there:
        manifest = {"format": _FORMAT, "size": size, "parts": list(digests)}
        objects.create(f"{FOLDER}/{name}/{_MANIFEST}", json.dumps(manifest).encode())


def parts_of(place: StagingPlace, reference: Staged) -> Iterator[bytes]:
    """The parts of an object in their order, each verified against the reference's digest.

    Raises:
        StagedObjectError: It is gone, or not what was staged.
        StoreError: The store did not give it.
    """
    objects, folder = place.objects, f"{FOLDER}/{reference.name}"
    try:
        digests = _digests(objects.read(f"{folder}/{_MANIFEST}"), reference)

        def read(number: int) -> bytes:
            bound_to = _bound_to(reference.name, number, len(digests))
            content = bytes(opened(objects.read(f"{folder}/{_part(number)}"), bound_to))
            if hashlib.sha256(content).hexdigest() != digests[number]:
                raise _changed(reference, objects.uri_of(f"{folder}/{_part(number)}"))
            return content

        yield from _at_once(read, range(len(digests)))
    except StoreNotFoundError as error:
        raise StagedObjectError(
            f"{reference!r} is not there any more: {error.uri} does not exist. Somebody has unstaged it, or a rule of "
            "the bucket has deleted it. Stage the object again, and submit with the new reference.",
            uri=error.uri,
        ) from error
    except StoreCorruptError as error:
        raise _changed(reference, error.uri) from error


def remove(place: StagingPlace, name: str) -> bool:
    """Delete an object; its manifest first, so that nobody takes the rest for whole. Whether there was any of it."""
    objects = place.objects
    names = objects.names(f"{FOLDER}/{name}")
    for each in sorted(names, key=lambda each: each != _MANIFEST):
        objects.delete(f"{FOLDER}/{name}/{each}")
    return bool(names)


def _digests(manifest: bytes, reference: Staged) -> list[str]:
    """The digests of an object's parts, as its manifest says and its reference confirms."""
    try:
        said = json.loads(manifest)
        digests, size = [str(each) for each in said["parts"]], int(said["size"])
    except (ValueError, TypeError, KeyError) as error:
        raise _changed(reference, reference.place) from error
    if content_digest(size, digests) != reference.digest or size != reference.size:
        raise _changed(reference, reference.place)
    return digests


def _changed(reference: Staged, uri: str | None) -> StagedObjectError:
    return StagedObjectError(
        f"{reference!r} is not what was staged: {uri} holds other bytes, and nothing of it was unpickled. "
        "unstage() it, stage the object again, and submit with the new reference.",
        uri=uri,
    )


def _part(number: int) -> str:
    return f"{number:06}.part"


def _bound_to(name: str, number: int, count: int) -> str:
    """What a sealed part is bound to: put in the place of another part, or of another object's, it does not open."""
    return f"staged {name} {number}/{count}"


def _at_once(work: Callable[[int], Any], numbers: Sequence[int]) -> Iterator[Any]:
    """The results for these numbers in their order, of which a few are made at the same time and none is kept."""
    with ThreadPoolExecutor(_AT_ONCE, "checkmaite-staging") as threads:
        waiting = [threads.submit(work, number) for number in numbers[:_AT_ONCE]]
        try:
            for number in range(len(numbers)):
                result = waiting[0].result()
                del waiting[0]
                if number + _AT_ONCE < len(numbers):
                    waiting.append(threads.submit(work, numbers[number + _AT_ONCE]))
                yield result
                del result
        finally:
            for each in waiting:
                each.cancel()
