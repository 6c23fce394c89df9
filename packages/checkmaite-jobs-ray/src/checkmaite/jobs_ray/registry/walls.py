"""The scopes of one registry that have a key: who has not shown it is told nothing and changes nothing."""

from __future__ import annotations

from collections.abc import Collection

from checkmaite.jobs import ConfigurationError, Problem
from checkmaite.jobs_ray.journal.steps import Create, Exists, Names
from checkmaite.jobs_ray.journal.walls import WALLS, Wall, wall_of
from checkmaite.jobs_ray.registry.storage import Storage


class Walls:
    """What the registry knows the keys by. All methods run on one event loop.

    Args:
        storage: Of the journal, beside which walls outlive the registry; None where there is none, and so no wall.
    """

    def __init__(self, storage: Storage | None) -> None:
        self._storage = storage
        self._known: dict[str, Wall] = {}

    async def load(self) -> None:
        """Learn the walls that earlier registries have raised.

        Raises:
            StoreError: One cannot be read, or is damaged: then nobody knows who may pass.
        """
        assert self._storage is not None, "there is a journal"
        for name in await self._storage.ask(Names(WALLS)):
            wall = await self._read(f"{WALLS}/{name}")
            self._known[wall.scope] = wall

    async def keep(self) -> None:
        """Keep those again that somebody has deleted, perhaps with the whole folder.

        Raises:
            StoreError: They cannot be written.
        """
        assert self._storage is not None, "there is a journal"
        for wall in list(self._known.values()):
            if not await self._storage.ask(Exists(wall.key)):
                await self._storage.ask(Create(wall.key, wall.content()))

    def scopes(self) -> Collection[str]:
        """The scopes that have a key."""
        return self._known.keys()

    def check(self, scope: str, proof: bytes | None) -> None:
        """Let those through who may use a scope.

        Raises:
            ScopeKeyError: The scope has a key, and this is not the proof of it.
        """
        wall = self._known.get(scope)
        if wall is not None:
            wall.check(proof)

    async def meet(self, scope: str, proof: bytes | None) -> bool:
        """Let a client in that begins to use a scope; the first one that shows a key gives it to the scope.

        Returns:
            Whether the scope had none before.

        Raises:
            ScopeKeyError: The scope has another key.
            ConfigurationError: It could have one only as long as this registry lives.
            StoreError: The wall cannot be kept.
        """
        is_new = proof is not None and scope not in self._known
        if proof is not None and is_new:
            self._known[scope] = await self._raised(scope, proof)
        self.check(scope, proof)
        return is_new

    async def _raised(self, scope: str, proof: bytes) -> Wall:
        if self._storage is None:
            cause = "the registry keeps no journal, so the scope would be open again once it has ended."
            remedy = "Pass journal_uri, and another registry_actor_name while this registry runs; or leave the key out."
            raise ConfigurationError("The scope cannot have a key.", [Problem("scope_key", cause, remedy)])
        wall = Wall.around(scope, proof, self._storage.new_nonce())
        created = await self._storage.ask(Create(wall.key, wall.content()))
        return wall if created else await self._read(wall.key)  # of an earlier try, or of another client

    async def _read(self, key: str) -> Wall:
        assert self._storage is not None, "there is a journal"
        return wall_of(await self._storage.read(key), f"{self._storage.root}/{key}")
