"""Deleting objects; creating and reading them is proved by the stores that do."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from checkmaite.jobs import StoreNotFoundError
from checkmaite.jobs.spi import ObjectStore


@pytest.mark.parametrize("scheme", ["", "memory://"])
def test_a_deleted_object_is_gone_and_may_be_created_again(tmp_path: Path, scheme: str) -> None:
    objects = ObjectStore(f"{scheme}{tmp_path}/{uuid.uuid4()}")
    objects.delete("folder/name")
    assert objects.create("folder/name", b"one")
    objects.delete("folder/name")
    objects.delete("folder/name")
    assert objects.names("folder") == []
    with pytest.raises(StoreNotFoundError):
        objects.read("folder/name")
    assert objects.create("folder/name", b"two")
