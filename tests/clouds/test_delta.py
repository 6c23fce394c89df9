"""The Delta store there: the library and fsspec's driver, each with its own client, on the same servers."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import (
    StoreNotFoundError,
    StorePermissionError,
    StoreUnavailableError,
)
from checkmaite.jobs.testing import AnalyticsStoreContract
from checkmaite.jobs.testing._store import history
from checkmaite.store_delta import DeltaStore

from tests.clouds.conftest import ACCOUNT, KEY
from tests.clouds.front import Front
from tests.delta.test_racing import WRITERS, check_race, race
from tests.delta.writing import found_in, processes, run_of, whole_runs, write_all

AT_ONCE = {"max_retries": "0", "retry_timeout": "1s"}


@pytest.fixture
def delta_place(cloud: dict[str, Any], gcs_endpoint: str) -> Iterator[dict[str, Any]]:
    """A store on either, by a server that speaks both APIs of Google's."""
    if not cloud["uri"].startswith("gs"):
        yield cloud
        return
    server = Front(gcs_endpoint, is_open=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield {**cloud, "storage_options": {**cloud["storage_options"], "endpoint_url": server.url}}
    server.shutdown()
    server.server_close()


def test_what_is_written_is_read(delta_place: dict[str, Any]) -> None:
    store = DeltaStore(**delta_place)
    assert store.list_tables() == []
    assert store.write_with_receipt(run_of("one")).created
    assert not store.write_with_receipt(run_of("one", by=1)).created
    again = DeltaStore(**delta_place).write_with_receipt(run_of("one", by=2), supersede=True)
    assert (again.created, again.revision) == (True, 2)
    store.write(run_of("two", by=3))
    assert whole_runs(store) == {"one": 2, "two": 3}
    assert set(store.read_table("part_a", revision=1, run_uids=["one"]).column("maker").to_pylist()) == {0}
    asked = "select run_uid, sum(x) n from part_b join runs using (run_uid) group by all order by all"
    assert [row["run_uid"] for row in store.query_sql(asked).to_pylist()] == ["one", "two"]
    assert {check.state for check in store.doctor()} == {"ok"}


def test_processes_that_write_the_same_runs(delta_place: dict[str, Any]) -> None:
    where = delta_place["uri"], delta_place["storage_options"]
    check_race(DeltaStore(*where), ["one", "two"], race(where, ["one", "two"]))


def test_processes_that_write_runs_of_their_own(delta_place: dict[str, Any]) -> None:
    """Each commit meets those of the others, and none is lost."""
    where, told, go = (delta_place["uri"], delta_place["storage_options"]), processes.Queue(), processes.Event()
    uids = {by: [f"{by}-{number}" for number in range(4)] for by in range(WRITERS)}
    writers = [processes.Process(target=write_all, args=(where, uids[by], by, told, go)) for by in uids]
    for writer in writers:
        writer.start()
    go.set()
    said = [told.get(timeout=240) for _ in range(2 * 4 * WRITERS)]
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert all(is_created for *_, is_created in said)
    store = DeltaStore(*where)
    assert whole_runs(store) == {uid: by for by in uids for uid in uids[by]}
    assert found_in(store, "part_a", revision="all").num_rows == 2 * 2 * 4 * WRITERS


def test_compaction_tags_and_vacuum(delta_place: dict[str, Any]) -> None:
    store = DeltaStore(**delta_place)
    for number in range(6):
        store.write(run_of(f"run-{number}"))
    store.tag("six")
    compaction = store.compact()
    assert compaction.files >= 3 * 6
    assert not compaction.given_up
    store.write(run_of("later"))
    assert len(whole_runs(store)) == 7
    assert store.read_table("part_a", as_of="six").num_rows == 12
    assert store.vacuum() == 0


def test_a_log_with_checkpoints_is_read(delta_place: dict[str, Any]) -> None:
    store = DeltaStore(**delta_place)
    for number in range(25):
        store.write(run_of(f"run-{number}"))
    assert len(whole_runs(DeltaStore(**delta_place))) == 25


def test_a_bucket_that_is_not_there(delta_place: dict[str, Any]) -> None:
    store = DeltaStore(delta_place["uri"].replace("bucket-", "none-"), delta_place["storage_options"])
    for ask in (store.list_tables, store.probe, lambda: store.write(run_of("run"))):
        with pytest.raises(StoreNotFoundError, match="create the bucket"):
            ask()


def test_a_server_that_is_not_there(delta_place: dict[str, Any]) -> None:
    options = {**delta_place["storage_options"]}
    if "endpoint_url" in options:
        options["endpoint_url"] = "http://127.0.0.1:9"
    else:
        options["connection_string"] = f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint=http://127.0.0.1:9/x;"
    with pytest.raises(StoreUnavailableError):
        DeltaStore(delta_place["uri"], options, AT_ONCE).list_tables()


@pytest.mark.parametrize("scheme", ["abfs", "abfss"])
def test_other_names_of_azure(azure_place: dict[str, Any], scheme: str) -> None:
    store = DeltaStore(azure_place["uri"].replace("az://", f"{scheme}://"), azure_place["storage_options"])
    store.write(run_of("one"))
    assert whole_runs(DeltaStore(**azure_place)) == {"one": 0}


@pytest.mark.parametrize("cloud", ["gs"], indirect=True)
def test_the_other_name_of_google(delta_place: dict[str, Any]) -> None:
    store = DeltaStore(delta_place["uri"].replace("gs://", "gcs://"), delta_place["storage_options"])
    store.write(run_of("one"))
    assert whole_runs(DeltaStore(**delta_place)) == {"one": 0}
    assert str(store.get_run_uri("one")).startswith("gcs://")


@pytest.fixture
def azure_place(azure_endpoint: str) -> dict[str, Any]:
    """A store of Azure alone."""
    import adlfs

    name = f"bucket-{uuid.uuid4().hex}"
    options = {"connection_string": f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={azure_endpoint};"}
    adlfs.AzureBlobFileSystem(**options).mkdir(name)
    return {"uri": f"az://{name}/store", "storage_options": options}


def test_a_wrong_key_of_azure_is_told(azure_place: dict[str, Any]) -> None:
    text = azure_place["storage_options"]["connection_string"]
    store = DeltaStore(azure_place["uri"], {"connection_string": text.replace(KEY, "c3dvcmRmaXNo")}, AT_ONCE)
    for ask in (store.list_tables, lambda: store.write(run_of("run")), lambda: store.read_table("runs")):
        with pytest.raises(StorePermissionError) as caught:
            ask()
        assert "c3dvcmRmaXNo" not in str(caught.value)


class TestDeltaStore(AnalyticsStoreContract):
    """The kit that all stores are held to."""

    @pytest.fixture(autouse=True)
    def at(self, delta_place: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(history, "_APART_S", 1.1)  # Azure says to the second when an object was written
        self.place = delta_place

    def make_store(self, folder: Path) -> DeltaStore:
        return DeltaStore(f"{self.place['uri']}/{folder.name}", self.place["storage_options"])

    def make_broken_store(self, folder: Path) -> None:
        """A bucket that is not there is tried above; drivers take minutes for a server that is not."""
