"""Payloads that only processes with their key can read: the submitter, and the workers.

A sealed payload says where workers find its key, so that keys of several names can be in use at once. It is bound to
its job: put in the place of another job's, it does not open. The cipher is AES-256-GCM of the package `cryptography`.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode
from functools import lru_cache
from typing import Any

from checkmaite.jobs._shared.errors import MissingDependencyError, PayloadKeyError
from checkmaite.jobs._shared.keys import KeyPlace

_MARK = b"checkmaite-sealed-1 "  # no pickle begins like this
_MOST_HEAD_BYTES = 8 * 2**10
_KEY_BYTES = 32
_NONCE_BYTES = 12


def check_key(place: KeyPlace) -> None:
    """See that this process can seal with the key in that place.

    Raises:
        ValueError: There is no key.
        MissingDependencyError: The package that encrypts is not installed here.
    """
    _cipher(_bytes_of(place.read(), str(place)))


def sealed(payload: bytes, job_id: str, place: KeyPlace) -> bytes:
    """A payload as only those can read it who find the key in that place.

    Raises:
        PayloadKeyError: It is not there.
    """
    head = _MARK + json.dumps(place.plain()).encode() + b"\n"
    nonce = os.urandom(_NONCE_BYTES)
    return b"".join((head, nonce, _cipher_at(place).encrypt(nonce, payload, head + job_id.encode())))


def opened(payload: bytes | memoryview, job_id: str) -> bytes | memoryview:
    """What was sealed; a payload that never was is itself.

    Raises:
        PayloadKeyError: This process has not its key, or another one; or the payload is another job's, or damaged.
        MissingDependencyError: The package that decrypts is not installed here.
    """
    whole = memoryview(payload)
    if bytes(whole[: len(_MARK)]) != _MARK:
        return payload
    head = bytes(whole[:_MOST_HEAD_BYTES]).partition(b"\n")[0] + b"\n"
    nonce, rest = whole[len(head) : len(head) + _NONCE_BYTES], whole[len(head) + _NONCE_BYTES :]
    try:
        place = KeyPlace.from_given(json.loads(head[len(_MARK) :]))
    except (ValueError, TypeError) as error:
        raise PayloadKeyError(f"The encrypted payload of {job_id} is damaged: submit the run again.") from error
    cipher = _cipher_at(place)
    try:
        content: bytes = cipher.decrypt(bytes(nonce), rest, head + job_id.encode())
    except (ValueError, _invalid_tag()) as error:
        raise PayloadKeyError(
            f"The payload of {job_id} cannot be decrypted with the key in {place}: it is another key than the "
            "submitter's, or the payload was changed. Give the workers the submitter's key there."
        ) from error
    return content


def resealed(payload: bytes | memoryview, job_id: str, new_job_id: str, place: KeyPlace | None) -> bytes | memoryview:
    """A payload for another job.

    Args:
        payload: That of a job, sealed or not.
        job_id: This job.
        new_job_id: The other one.
        place: Where the key is that this process seals with. With None what was sealed is sealed by its own key again,
            and what never was is itself.

    Raises:
        PayloadKeyError: See `opened`.
        MissingDependencyError: Likewise.
    """
    content = opened(payload, job_id)
    if place is None:
        if content is payload:
            return payload
        head = bytes(payload[:_MOST_HEAD_BYTES]).partition(b"\n")[0]
        place = KeyPlace.from_given(json.loads(head[len(_MARK) :]))
    return sealed(bytes(content), new_job_id, place)


def _cipher_at(place: KeyPlace) -> Any:
    try:
        return _cipher(_bytes_of(place.read(), str(place)))
    except ValueError as error:
        if isinstance(error, MissingDependencyError):
            raise
        raise PayloadKeyError(
            f"There is no key for the encrypted payload here: {error}. Every process that submits or runs such jobs "
            "needs the same key there: set the variable where `ray start` runs on each node, or put the file there."
        ) from error


def _bytes_of(text: str, where: str) -> bytes:
    """The key that a text stands for, in either alphabet of base64.

    Raises:
        ValueError: It is none; the text is not shown.
    """
    try:
        key = b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise ValueError(
            f"{where} holds no key: that is {_KEY_BYTES} random bytes in base64, as from `openssl rand -base64 32`"
        )
    return key


@lru_cache(maxsize=4)
def _cipher(key: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError as error:
        raise MissingDependencyError(
            "Encrypted payloads need a package that is not installed here.", requirement="checkmaite-jobs[encryption]"
        ) from error
    return AESGCM(key)


def _invalid_tag() -> type[Exception]:
    from cryptography.exceptions import InvalidTag

    return InvalidTag
