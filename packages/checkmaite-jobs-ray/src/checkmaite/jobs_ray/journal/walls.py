"""The walls around scopes, as objects beside the journal: by what a registry knows the key of a scope.

A client shows a proof that it derives from the key, and never the key; what is kept is a salted digest of the proof.
Whoever reads it has to try keys one by one, each at the price that `proof_of` has.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import NamedTuple

from checkmaite.jobs import Problem, ScopeKeyError, StoreCorruptError
from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs_ray.config import RayOptions

WALLS = "wall"
_COST, _BLOCK = 2**14, 8  # of scrypt: 16 MiB of memory and some 40 ms for each try
_DIGEST = "sha256"


def proof_of(options: RayOptions) -> bytes | None:
    """What a client shows for the key of its scope, of no use for another scope; None where it was given no key."""
    if options.scope_key is None:
        return None
    key, salt = options.scope_key.reveal().encode(), f"checkmaite-jobs scope {options.idempotency_scope}".encode()
    return hashlib.scrypt(key, salt=salt, n=_COST, r=_BLOCK, p=1, dklen=32)


class Wall(NamedTuple):
    """What is kept of the key of one scope.

    Attributes:
        scope: The scope.
        salt: What no other wall has.
        digest: Of a proof, with that salt.
    """

    scope: str
    salt: str
    digest: str

    @classmethod
    def around(cls, scope: str, proof: bytes, salt: str) -> Wall:
        """The wall that lets those through who show this proof."""
        return cls(scope, salt, _digest(proof, salt))

    def check(self, proof: bytes | None) -> None:
        """Let those through who know the key.

        Raises:
            ScopeKeyError: It is not the proof of its key.
        """
        if proof is None or not hmac.compare_digest(_digest(proof, self.salt), self.digest):
            cause = "none was passed." if proof is None else "another one was passed."
            remedy = "Pass the key that the scope was given, ask whoever gave it, or choose another idempotency_scope."
            raise ScopeKeyError(f"The scope {self.scope!r} has a key.", [Problem("scope_key", cause, remedy)])

    @property
    def key(self) -> str:
        """Its object's. A scope's name may be longer than that of a file."""
        return wall_key(self.scope)

    def content(self) -> bytes:
        """Its object."""
        return json.dumps(self._asdict(), ensure_ascii=False).encode()


def _digest(proof: bytes, salt: str) -> str:
    return hmac.new(salt.encode(), proof, _DIGEST).hexdigest()


def wall_key(scope: str) -> str:
    """Where the wall of a scope is kept, if it has one."""
    return f"{WALLS}/{hashlib.sha256(scope.encode()).hexdigest()[:32]}.json"


def wall_of(content: bytes, uri: str) -> Wall:
    """The wall that is kept as this.

    Args:
        content: The object.
        uri: Where it is, for errors.

    Raises:
        StoreCorruptError: It is damaged.
    """
    try:
        wall = Wall(**json.loads(content))
        for number in (wall.salt, wall.digest):
            bytes.fromhex(number)
        if not isinstance(wall.scope, str):
            raise TypeError("its scope is no text")
    except (ValueError, TypeError, RecursionError) as error:
        raise StoreCorruptError(
            f"{uri}: what is kept of the key of a scope is damaged ({error}). Restore it from a copy; without it the "
            "scope has no key.",
            uri=uri,
        ) from error
    return wall


def walled_scopes(objects: ObjectStore) -> set[str]:
    """The scopes that have a key, by the folder of a journal.

    Raises:
        StoreError: What is kept of one cannot be read, or is damaged.
    """
    keys = [f"{WALLS}/{name}" for name in objects.names(WALLS)]
    return {wall_of(objects.read(key), objects.uri_of(key)).scope for key in keys}


def find_wall(objects: ObjectStore, scope: str) -> Wall | None:
    """The wall of a scope in the folder of a journal; None when it has none.

    Raises:
        StoreError: It cannot be read, or is damaged.
    """
    content = objects.find(wall_key(scope))
    return None if content is None else wall_of(content, objects.uri_of(wall_key(scope)))
