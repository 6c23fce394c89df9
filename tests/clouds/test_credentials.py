"""A token that ends in the middle of a run: real servers refuse it, and stores that are open find the next one."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs import (
    JobStatus,
    StorePermissionError,
    configure_job_backend,
    shutdown_job_backend,
    submit_capability,
)
from checkmaite.jobs.spi import ObjectStore
from checkmaite.jobs.testing import SampleCapability
from checkmaite.store_parquet import ParquetStore

from tests import outages
from tests.clouds.conftest import ACCOUNT, KEY
from tests.clouds.front import Front


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


def test_a_signature_of_azure_ends(azure_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import adlfs
    from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas

    def signed(seconds: float) -> str:
        may = AccountSasPermissions(read=True, write=True, create=True, list=True, delete=True)
        on = ResourceTypes(service=True, container=True, object=True)
        end = datetime.now(UTC) + timedelta(seconds=seconds)
        signature = generate_account_sas(ACCOUNT, KEY, on, may, end)
        return f"BlobEndpoint={azure_endpoint};SharedAccessSignature={signature}"

    name = f"bucket-{uuid.uuid4().hex}"
    adlfs.AzureBlobFileSystem(connection_string=signed(3600)).mkdir(name)
    place: dict[str, Any] = {"uri": f"az://{name}/store", "storage_options": {}}
    short = signed(30)
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", short)

    def end() -> None:
        given = ObjectStore(place["uri"], {"connection_string": short})
        deadline = time.monotonic() + 120
        while True:
            try:
                given.names("")
            except StorePermissionError:
                break
            assert time.monotonic() < deadline
            time.sleep(0.2)
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", signed(3600))

    ends_in_the_middle(place, tmp_path, end)
