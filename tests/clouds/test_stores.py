"""What stores promise, on servers that speak the protocols of Google Cloud Storage and Azure Blob Storage."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import StoreError, StoreNotFoundError
from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs.testing import AnalyticsStoreContract, SampleCapability
from checkmaite.store_parquet import ParquetStore


@pytest.mark.parametrize("size", [0, 5, 60 * 2**20, 70 * 2**20], ids=["empty", "small", "60 MiB", "70 MiB"])
def test_the_first_to_create_an_object_wins_whatever_its_size(cloud: dict[str, Any], size: int) -> None:
    """Drivers send large ones in pieces: from 50 MiB on to Google, from 64 MiB on to Azure."""
    objects = ObjectStore(**cloud)
    assert objects.create("object", b"1" * size)
    assert not objects.create("object", b"2" * (size + 1))
    assert objects.read("object") == b"1" * size


def test_of_many_that_create_one_object_at_once_one_wins(cloud: dict[str, Any]) -> None:
    for number in range(10):
        start, won = threading.Barrier(8), list[int]()

        def race(writer: int, key: str, start: threading.Barrier = start, won: list[int] = won) -> None:
            objects = ObjectStore(**cloud)
            start.wait()
            if objects.create(key, str(writer).encode()):
                won.append(writer)

        threads = [threading.Thread(target=race, args=(writer, f"race/{number}")) for writer in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [str(each).encode() for each in won] == [ObjectStore(**cloud).read(f"race/{number}")]


def test_a_bucket_that_is_not_there_is_never_empty(cloud: dict[str, Any]) -> None:
    objects = ObjectStore(cloud["uri"].replace("bucket-", "none-"), cloud["storage_options"])
    for ask in (
        lambda: objects.names(""),
        lambda: objects.folders(),
        lambda: objects.find("object"),
        lambda: objects.exists("object"),
        lambda: objects.delete("object"),
        lambda: objects.create("object", b""),
        objects.probe,
    ):
        with pytest.raises(StoreNotFoundError, match="create the bucket"):
            ask()


def test_an_object_that_came_after_a_listing_is_seen(cloud: dict[str, Any]) -> None:
    objects = ObjectStore(**cloud)
    assert objects.names("folder") == []
    assert not objects.exists("folder/object")
    ObjectStore(**cloud).create("folder/object", b"")
    assert objects.names("folder") == ["object"]
    assert objects.find("folder/object") == b""
    assert objects.folders() == ["folder"]
    assert objects.modified("folder").keys() == {"object"}


def test_a_store_says_that_nothing_is_wrong(cloud: dict[str, Any]) -> None:
    assert {check.state for check in ParquetStore(**cloud).doctor()} == {"ok"}


def test_compaction_tags_and_vacuum(cloud: dict[str, Any]) -> None:
    store = ParquetStore(**cloud)
    for number in range(12):
        store.write(SampleCapability().run(config={"run_uid": f"run-{number}"}, use_cache=False))
    store.tag("twelve")
    assert store.compact().results == 12
    assert store.query_sql("select count(*) n from sample_scores", as_of="twelve").to_pylist() == [{"n": 12}]
    assert store.vacuum().originals == 0
    assert store.verify().is_unchanged


def test_a_misspelt_option_is_named(cloud: dict[str, Any]) -> None:
    name, near = ("tokn", "token") if cloud["uri"].startswith("gs") else ("connection_strin", "connection_string")
    with pytest.raises(StoreError, match=f"'{name}', which is no option of .*'{near}'"):
        ParquetStore(cloud["uri"], {**cloud["storage_options"], name: "x"}).probe()


class TestParquetStore(AnalyticsStoreContract):
    """The kit that all stores are held to."""

    @pytest.fixture(autouse=True)
    def at(self, cloud: dict[str, Any]) -> None:
        self.cloud = cloud

    def make_store(self, folder: Path) -> ParquetStore:
        return ParquetStore(f"{self.cloud['uri']}/{folder.name}", self.cloud["storage_options"])

    def make_broken_store(self, folder: Path) -> None:
        """A bucket that is not there is tried above; drivers take minutes for a server that is not."""
