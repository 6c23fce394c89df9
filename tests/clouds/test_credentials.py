"""A token that ends in the middle of a run: real servers refuse it, and stores that are open find the next one."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import (
    JobStatus,
    StoreError,
    StorePermissionError,
    configure_job_backend,
    shutdown_job_backend,
    submit_capability,
)
from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs.testing import SampleCapability
from checkmaite.store_delta import DeltaStore
from checkmaite.store_parquet import ParquetStore

from tests import outages
from tests.clouds.conftest import ACCOUNT, KEY
from tests.clouds.front import Front
from tests.delta.writing import run_of, whole_runs


@pytest.fixture
def front(gcs_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Front]:
    """Google's side of it: a key of a service account is where this process looks, and the server asks for tokens."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    server = Front(gcs_endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "project_id": "test",
        "private_key": key.decode(),
        "private_key_id": server.key_id,
        "client_email": "worker@test.iam.gserviceaccount.com",
        "token_uri": f"{server.url}/token",
    }
    file = tmp_path / "account.json"
    file.write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def google(front: Front) -> dict[str, Any]:
    """A store there, whose options hold no credentials."""
    import gcsfs

    name = f"bucket-{uuid.uuid4().hex}"
    options = {"endpoint_url": front.url, "project": "test"}
    gcsfs.GCSFileSystem(**options).mkdir(name)
    return {"uri": f"gs://{name}/store", "storage_options": options}


def ends_in_the_middle(place: dict[str, Any], folder: Path, end: Any) -> None:
    """A job begins with one token, which ends before its results are stored; a reader is open since before."""
    reader = ParquetStore(**place)
    configure_job_backend("inline", analytics_store=place)
    submit_capability(SampleCapability(), config={"run_uid": "before"}).result(outages.SOON_S)
    assert reader.read_table("sample_scores").num_rows == 1
    job = submit_capability(SampleCapability(act="wait", folder=str(folder)), config={"run_uid": "during"})
    outages.wait_until((folder / "started").exists, job)
    end()
    (folder / "go").touch()
    assert job.wait(240) is JobStatus.COMPLETED, job.explain()
    shutdown_job_backend()
    assert reader.read_table("sample_scores").num_rows == 2


def test_a_token_of_google_is_renewed_before_it_ends(front: Front, google: dict[str, Any], tmp_path: Path) -> None:
    """The driver does so itself, five minutes before."""
    front.life_s = 200

    def end() -> None:
        front.number += 1

    front.number += 1  # those of the fixture live for an hour
    ends_in_the_middle(google, tmp_path, end)


def test_a_token_of_google_is_taken_back(front: Front, google: dict[str, Any], tmp_path: Path) -> None:
    """The driver tries the old one for half a minute; then the store looks for another."""

    def end() -> None:
        front.number += 1

    ends_in_the_middle(google, tmp_path, end)
    assert front.refused > 0


def test_a_token_in_the_options_is_told(front: Front, google: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FETCH_RAW_TOKEN_EXPIRY", "false")  # else the driver asks Google
    objects = ObjectStore(google["uri"], {**google["storage_options"], "token": "token-of-yesterday"})
    with pytest.raises(
        StorePermissionError, match=r"have expired, or were never right \(401\).*in storage_options"
    ) as caught:
        objects.names("")
    assert not caught.value.retryable
    assert "yesterday" not in str(caught.value)


def signed(endpoint: str, seconds: float) -> str:
    """A connection string that is good for so long."""
    from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

    may = AccountSasPermissions(read=True, write=True, create=True, list=True, delete=True)
    on = ResourceTypes(service=True, container=True, object=True)
    signature = generate_account_sas(ACCOUNT, KEY, on, may, datetime.now(UTC) + timedelta(seconds=seconds))
    return f"BlobEndpoint={endpoint};SharedAccessSignature={signature}"


def until_refused(ask: Callable[[], object]) -> StorePermissionError:
    """What is told once a signature has ended: ask until then."""
    deadline = time.monotonic() + 120
    while True:
        try:
            ask()
        except StorePermissionError as error:
            return error
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_a_signature_of_azure_ends(azure_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import adlfs

    name = f"bucket-{uuid.uuid4().hex}"
    adlfs.AzureBlobFileSystem(connection_string=signed(azure_endpoint, 3600)).mkdir(name)
    place: dict[str, Any] = {"uri": f"az://{name}/store", "storage_options": {}}
    short = signed(azure_endpoint, 30)
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", short)

    def end() -> None:
        given = ObjectStore(place["uri"], {"connection_string": short})
        until_refused(lambda: given.names(""))
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", signed(azure_endpoint, 3600))

    ends_in_the_middle(place, tmp_path, end)


def test_tables_have_the_key_of_now(
    front: Front, google: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library signs its tokens with the account's key itself: the file is another one, and the old key is gone."""
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", "of somebody else, which gcsfs would not use either")
    reader = DeltaStore(**google)
    reader.write(run_of("one"))
    file = tmp_path / "account.json"
    account = json.loads(file.read_text())
    file.write_text(json.dumps({**account, "private_key_id": "key-2"}))
    front.key_id = "key-2"
    DeltaStore(**google).write(run_of("two"))
    assert whole_runs(reader) == {"one": 0, "two": 0}


def test_a_key_of_google_that_is_taken_back_is_told(front: Front, google: dict[str, Any], tmp_path: Path) -> None:
    account = json.loads((tmp_path / "account.json").read_text())
    for token in (account, str(tmp_path / "account.json")):
        store = DeltaStore(google["uri"], {**google["storage_options"], "token": token}, {"max_retries": "0"})
        uid = type(token).__name__
        store.write(run_of(uid))
        front.key_id = "another"
        with pytest.raises(StorePermissionError, match=r"have expired, or were never right \(401\)") as caught:
            store.read_table("runs")
        assert "PRIVATE" not in str(caught.value)
        front.key_id = "key-1"
        assert store.find_run(uid) is not None


def test_a_key_of_google_that_the_library_cannot_use(front: Front, google: dict[str, Any], tmp_path: Path) -> None:
    """Workload identity federation, say: gcsfs can, the library cannot."""
    store = DeltaStore(**google)
    store.probe()
    file = tmp_path / "account.json"
    account = json.loads(file.read_text())
    file.write_text(json.dumps({**account, "type": "external_account"}))
    with pytest.raises(StoreError, match=r"of the kind external_account.*GOOGLE_APPLICATION_CREDENTIALS"):
        store.list_tables()


def test_tables_have_the_signature_of_now(azure_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import adlfs

    name = f"bucket-{uuid.uuid4().hex}"
    adlfs.AzureBlobFileSystem(connection_string=signed(azure_endpoint, 3600)).mkdir(name)
    short = signed(azure_endpoint, 30)
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", short)
    store, given = DeltaStore(f"az://{name}/store"), DeltaStore(f"az://{name}/store", {"connection_string": short})
    store.write(run_of("one"))
    assert "az://" in str(until_refused(given.list_tables))
    with pytest.raises(StorePermissionError):
        store.list_tables()
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", signed(azure_endpoint, 3600))
    store.write(run_of("two"))
    assert whole_runs(store) == {"one": 0, "two": 0}
