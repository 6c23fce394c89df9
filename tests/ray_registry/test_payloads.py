"""What jobs start from: from the journal where a copy in Ray's object store is lost, and not asked for without end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from checkmaite.jobs import StoreNotFoundError
from checkmaite.jobs_ray.config import RegistrySettings
from checkmaite.jobs_ray.registry.cluster import Cluster
from checkmaite.jobs_ray.registry.payloads import PayloadObjects, Payloads, Reading
from checkmaite.jobs_ray.wire import StoredPayload

from tests.ray_registry.making import spec


class Objects(PayloadObjects):
    def __init__(self) -> None:
        pass

    async def load(self, key: str) -> bytes:
        return f"from {key}".encode()


def test_a_lost_copy_is_loaded_from_the_journal() -> None:
    async def story() -> None:
        payloads = Payloads(Cluster("namespace", RegistrySettings()), Objects(), lambda _: True)
        large = spec("large", payload=StoredPayload("key", 60_000, "copy"))
        assert await payloads.of(large, Reading()) == "copy"
        payloads.note(["large", "other"], ["other"])
        assert await payloads.of(large, Reading()) == b"from key"
        payloads.note(["large"], ["large"])
        assert await payloads.of(large, Reading()) == "copy"

    asyncio.run(story())


class Away(Cluster):
    """One in which a payload is somewhere else when it is called a reference."""

    def is_elsewhere(self, payload: Any) -> bool:
        return bool(payload == "reference")


def test_what_is_nowhere_else_is_given_up_in_the_end() -> None:
    async def story() -> None:
        live = {"large", "small"}
        payloads = Payloads(Away("namespace", RegistrySettings()), None, live.__contains__)
        large, small = spec("large", payload="reference"), spec("small")
        for _ in range(9):
            payloads.note(["large", "small"], [])
        assert await payloads.of(large, Reading()) == "reference"
        payloads.note(["large", "small"], [])
        with pytest.raises(StoreNotFoundError, match="lost with the process"):
            await payloads.of(large, Reading())
        assert await payloads.of(small, Reading()) == small.payload
        live.clear()
        payloads.note(["another"], [])
        assert not payloads._missed, "jobs that are over are remembered"

    asyncio.run(story())
