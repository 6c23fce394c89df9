"""Deleting objects; creating and reading are proved by the stores that do."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from checkmaite.jobs import StoreNotFoundError
from checkmaite.jobs._shared import files
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


def test_folders_and_names_are_durable_when_create_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when another process had created the object, and died before it had made the name durable."""
    synced: list[str] = []
    monkeypatch.setattr(files, "_sync_folder", lambda folder: synced.append(str(Path(folder).relative_to(tmp_path))))
    objects = ObjectStore(str(tmp_path / "a"))
    assert objects.create("b/name", b"one")
    assert synced == [".", "a", "a/b"]
    assert not objects.create("b/name", b"two")
    assert synced == [".", "a", "a/b", "a/b"]
