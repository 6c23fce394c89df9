"""Deleting objects, and who may read them; creating and reading are proved by the stores that do."""

from __future__ import annotations

import os
import pickle
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from checkmaite.jobs import StoreNotFoundError
from checkmaite.jobs._shared import files
from checkmaite.jobs.spi import ObjectStore

from tests.processes import left_by_killed_writer

HOUR = 3600


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

    @contextmanager
    def syncing(folder: str) -> Iterator[None]:
        yield
        synced.append(str(Path(folder).relative_to(tmp_path)))

    monkeypatch.setattr(files, "_durable", syncing)
    objects = ObjectStore(str(tmp_path / "a"))
    assert objects.create("b/name", b"one")
    assert synced == [".", "a", "a/b"]
    assert not objects.create("b/name", b"two")
    assert synced == [".", "a", "a/b", "a/b"]


def test_a_folder_that_another_process_makes_during_the_probe_is_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two jobs that begin at the same time, on a store that is not there yet."""
    store = tmp_path / "store"
    exists = os.path.lexists

    def made_meanwhile(folder: str) -> bool:
        store.mkdir(exist_ok=True)
        return exists(folder)

    monkeypatch.setattr(os.path, "lexists", made_meanwhile)
    ObjectStore(str(store)).probe()
    assert list(store.iterdir()) == []


def test_what_killed_writers_left_is_swept_after_a_day_and_nothing_else(tmp_path: Path) -> None:
    objects = ObjectStore(str(tmp_path))
    old, new = (left_by_killed_writer(objects, f"{age_s}/name", age_s=age_s) for age_s in (25 * HOUR, 23 * HOUR))
    objects.create("25/of-users", b"old")
    others = [tmp_path / "25/.gitkeep", tmp_path / "25/.0123456789abcdef.json", tmp_path / "25/0123456789abcdef.tmp"]
    for path in (*others, tmp_path / "25/of-users"):
        path.touch()
        os.utime(path, (0, 0))
    assert objects.sweep() == 1
    assert not old.exists()
    assert all(path.exists() for path in (new, *others))
    assert objects.sweep(time.time()) == 1
    assert objects.read("25/of-users") == b"old"


def test_what_another_user_left_keeps_nothing_from_being_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects, unlink, refused = ObjectStore(str(tmp_path)), os.unlink, list[str]()
    paths = [tmp_path / f".{number:016x}.tmp" for number in range(3)]
    for path in paths:
        path.touch()

    def delete(path: str) -> None:
        if not refused:
            refused.append(path)
            raise PermissionError(path)
        unlink(path)

    monkeypatch.setattr(os, "unlink", delete)
    assert objects.sweep(time.time() + HOUR) == 2
    assert [str(path) for path in paths if path.exists()] == refused


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277])
def test_private_files_are_for_their_owner_alone_whatever_the_umask_is(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        objects = pickle.loads(pickle.dumps(ObjectStore(str(tmp_path / "own"), private=True)))
        assert objects.create("a/b/name", b"one")
        assert not objects.create("a/b/name", b"two")
    finally:
        os.umask(before)
    assert {path.name: mode(path) for path in sorted((tmp_path / "own").rglob("*"))} == {
        "a": 0o700,
        "b": 0o700,
        "name": 0o600,
    }
    assert mode(tmp_path / "own") == 0o700
    assert objects.read("a/b/name") == b"one"


def test_a_private_folder_that_was_open_is_closed_and_those_above_it_stay(tmp_path: Path) -> None:
    above, folder = tmp_path / "above", tmp_path / "above" / "folder"
    ObjectStore(str(folder)).create("old/name", b"one")
    above.chmod(0o755)
    folder.chmod(0o755)
    ObjectStore(str(folder), private=True).create("new/name", b"two")
    assert [mode(each) for each in (above, folder, folder / "new", folder / "new/name")] == [0o755, 0o700, 0o700, 0o600]


def test_without_the_option_the_umask_says_who_may_read(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        ObjectStore(str(tmp_path / "shared")).create("a/name", b"one")
    finally:
        os.umask(before)
    assert [mode(tmp_path / each) for each in ("shared", "shared/a", "shared/a/name")] == [0o750, 0o750, 0o640]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
