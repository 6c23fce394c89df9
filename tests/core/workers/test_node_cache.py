"""Files that the processes of a node share: fetched once, verified, bounded, and gone when nobody uses them."""

from __future__ import annotations

import os
import signal
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import BinaryIO

import pytest
from checkmaite.jobs import StagedObjectError
from checkmaite.jobs._workers.node_cache import NodeCache, NodeFolder

from tests.processes import serving

DAY_S = 24 * 3600.0


class Source:
    """Gives contents and counts how often it was asked; each is one byte a hundred times."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def content(self, name: str) -> bytes:
        return name.encode() * 100

    def read(self, cache: NodeCache, name: str) -> bytes:
        def fetch(file: BinaryIO) -> None:
            self.asked.append(name)
            file.write(self.content(name))

        return _content_of(cache.opened(name, 100, fetch))


def _content_of(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


@pytest.fixture
def cache(tmp_path: Path) -> NodeCache:
    return NodeCache(NodeFolder(str(tmp_path), "node"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / f"checkmaite-staged-{os.getuid()}" / "node"


def test_it_is_fetched_once_however_many_want_it_at_the_same_time(cache: NodeCache) -> None:
    source, together = Source(), threading.Barrier(8)

    def read(_: int) -> bytes:
        together.wait(60)
        return source.read(cache, "a")

    with ThreadPoolExecutor(8) as threads:  # a lock is of an open file, so threads wait for it as processes do
        assert set(threads.map(read, range(8))) == {source.content("a")}
    assert source.asked == ["a"]


def test_only_its_owner_may_look_at_it(cache: NodeCache, folder: Path) -> None:
    Source().read(cache, "a")
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in (folder.parent, folder, *folder.iterdir())}
    assert modes == {folder.parent.name: 0o700, "node": 0o700, "a.staged": 0o400, "a.lock": 0o600}


def test_a_fetch_that_failed_is_made_again_and_leaves_nothing(cache: NodeCache, folder: Path) -> None:
    def fail(file: BinaryIO) -> None:
        file.write(b"half")
        raise ConnectionError

    with pytest.raises(ConnectionError):
        cache.opened("a", 100, fail)
    assert [each.name for each in folder.iterdir()] == ["a.lock"]
    source = Source()
    assert source.read(cache, "a") == source.content("a")


def test_who_waits_goes_on_when_the_fetching_process_is_killed(cache: NodeCache, folder: Path) -> None:
    here, there = serving.Pipe()
    fetching = serving.Process(target=_fetch_half, args=(cache, there))
    fetching.start()
    assert here.poll(120), "it has not begun to fetch"
    source = Source()
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(source.read, cache, "a")
        assert fetching.pid is not None
        os.kill(fetching.pid, signal.SIGKILL)
        fetching.join(60)
        assert waiting.result(60) == source.content("a")
    assert sorted(each.name for each in folder.iterdir()) == ["a.lock", "a.staged"]


def _fetch_half(cache: NodeCache, there: Connection) -> None:
    def fetch(file: BinaryIO) -> None:
        file.write(b"half")
        file.flush()
        there.send("fetching")
        signal.pause()

    cache.opened("a", 100, fetch)


def test_a_file_that_somebody_changed_is_fetched_again_whatever_its_time_says(cache: NodeCache, folder: Path) -> None:
    source = Source()
    source.read(cache, "a")
    file = folder / "a.staged"
    before = file.stat()
    file.chmod(0o600)
    file.write_bytes(b"b" * 100)
    file.chmod(0o400)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert source.read(cache, "a") == source.content("a")
    assert source.read(cache, "a") == source.content("a")
    assert source.asked == ["a", "a"]


def test_what_was_used_least_recently_makes_room(
    cache: NodeCache, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHECKMAITE_STAGED_CACHE_BYTES", "250")
    source = Source()
    held = cache.opened("a", 100, lambda file: file.write(source.content("a")))
    source.read(cache, "b")
    for age_s, name in ((20, "b"), (10, "a")):
        at = (folder / f"{name}.lock").stat().st_mtime - age_s
        os.utime(folder / f"{name}.lock", (at, at))
    source.read(cache, "c")
    assert sorted(each.name for each in folder.glob("*.staged")) == ["a.staged", "c.staged"]
    source.read(cache, "a")  # which makes "c" the one that was used least recently
    at = (folder / "c.lock").stat().st_mtime - 5
    os.utime(folder / "c.lock", (at, at))
    source.read(cache, "b")
    assert sorted(each.name for each in folder.glob("*.staged")) == ["a.staged", "b.staged"]
    monkeypatch.setenv("CHECKMAITE_STAGED_CACHE_BYTES", "50")
    assert source.read(cache, "c") == source.content("c")  # larger than the limit, and wanted all the same
    assert [each.name for each in folder.glob("*.staged")] == ["c.staged"]
    assert _content_of(held) == source.content("a")  # who has a file keeps it


def test_what_nobody_used_for_a_day_goes_with_the_next_fetch_on_the_disk(tmp_path: Path, folder: Path) -> None:
    source, other = Source(), NodeCache(NodeFolder(str(tmp_path), "another-node"))
    source.read(other, "a")
    left = folder.parent / "another-node"
    at = (left / "a.lock").stat().st_mtime - DAY_S - 60
    for each in (left / "a.lock", left):
        os.utime(each, (at, at))
    cache = NodeCache(NodeFolder(str(tmp_path), "node"))
    source.read(cache, "b")
    assert [each.name for each in folder.parent.iterdir()] == ["node"]
    source.read(NodeCache(NodeFolder(str(tmp_path), "third")), "c")
    assert source.read(cache, "b") == source.content("b")
    assert source.asked == ["a", "b", "c"]


def test_a_folder_that_is_not_this_account_s_is_refused(tmp_path: Path, folder: Path, cache: NodeCache) -> None:
    (tmp_path / "mine").mkdir()
    folder.parent.symlink_to(tmp_path / "mine")
    with pytest.raises(StagedObjectError, match=r"is not a folder of this account.*CHECKMAITE_STAGED_CACHE"):
        Source().read(cache, "a")


def test_the_environment_says_where_and_how_much(
    tmp_path: Path, cache: NodeCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHECKMAITE_STAGED_CACHE", str(tmp_path / "large disk"))
    elsewhere = NodeCache(NodeFolder(str(tmp_path), "node"))
    Source().read(elsewhere, "a")
    assert (tmp_path / "large disk" / f"checkmaite-staged-{os.getuid()}" / "node" / "a.staged").exists()
    monkeypatch.setenv("CHECKMAITE_STAGED_CACHE_BYTES", "1 GB")
    with pytest.raises(StagedObjectError, match="CHECKMAITE_STAGED_CACHE_BYTES='1 GB' is no number of bytes"):
        Source().read(elsewhere, "b")
