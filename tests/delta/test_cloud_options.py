"""What the deltalake library is told of the options of gcsfs and adlfs; `tests/clouds` does so on servers."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from checkmaite.jobs import ConfigurationError
from checkmaite.jobs._shared import drivers
from checkmaite.store_delta import DeltaStore
from checkmaite.store_delta._azure import azure_options
from checkmaite.store_delta._credentials import FoundOptions
from checkmaite.store_delta._google import google_options

ACCOUNT = {"type": "service_account", "private_key": "swordfish", "private_key_id": "7", "client_email": "me@x"}


def gcsfs(token: Any = None, found: Any = "somebody") -> Any:
    """What is asked of its filesystem."""
    credentials = SimpleNamespace(token=token, credentials=found)
    return SimpleNamespace(base="https://storage.example.org/storage/v1/", credentials=credentials)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where no credentials are."""
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    return tmp_path


def written(file: Path, kind: str) -> str:
    file.write_text(json.dumps({"type": kind}))
    return str(file)


def test_google_is_told_where_and_who(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = {"google_base_url": "https://storage.example.org"}
    key = {name: ACCOUNT[name] for name in ("private_key", "private_key_id", "client_email")}
    assert google_options(gcsfs(ACCOUNT)) == {**place, "google_service_account_key": json.dumps(key)}
    nobody = google_options(gcsfs("anon", None))
    assert nobody["google_skip_signature"] == "true"
    assert json.loads(nobody["google_service_account_key"])["disable_oauth"], "nothing is looked for"
    file = written(home / "given.json", "service_account")
    assert google_options(gcsfs(file)) == {**place, "google_application_credentials": file}
    around = written(home / "application_default_credentials.json", "authorized_user")
    assert google_options(gcsfs()) == {**place, "google_application_credentials": around}
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
    assert google_options(gcsfs("google_default")) == {**place, "google_application_credentials": file}


def test_the_account_of_a_machine_of_google(home: Path) -> None:
    machine = type("Credentials", (), {"__module__": "google.auth.compute_engine.credentials"})()
    assert google_options(gcsfs("cloud", machine)) == {"google_base_url": "https://storage.example.org"}
    written(home / "application_default_credentials.json", "authorized_user")
    with pytest.raises(ValueError, match=r"compute_engine.*where there is no file"):
        google_options(gcsfs("cloud", machine))


def test_what_google_has_found_and_the_library_cannot_use(home: Path) -> None:
    with pytest.raises(ValueError, match="of the kind builtins"):
        google_options(gcsfs())
    written(home / "application_default_credentials.json", "external_account")
    with pytest.raises(ValueError, match="of the kind external_account"):
        google_options(gcsfs())


def adlfs(**found: Any) -> Any:
    """What is asked of its filesystem."""
    return SimpleNamespace(**{"account_name": "team", **found})


NAMED = "AccountName=team;EndpointSuffix=core.windows.net"
SIGNED = "SharedAccessSignature=sv=1&sig=2%3D"
PLACE = {
    "azure_storage_account_name": "team",
    "azure_storage_endpoint": "https://team.blob.core.windows.net",
    "azure_storage_use_emulator": "false",
}


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"account_key": "k", "sas_token": "s"}, {"azure_storage_account_key": "k"}),
        ({"sas_token": "?sv=1&sig=2"}, {"azure_storage_sas_token": "sv=1&sig=2"}),
        ({"credential": "k"}, {"azure_storage_account_key": "k"}),
        ({"credential": "?sv=1&sig=2"}, {"azure_storage_sas_token": "sv=1&sig=2"}),
        ({"credential": SimpleNamespace(signature="sv=1&sig=2")}, {"azure_storage_sas_token": "sv=1&sig=2"}),
        ({}, {"azure_skip_signature": "true"}),
        (
            {"account_host": "h.example.org"},
            {"azure_skip_signature": "true", "azure_storage_endpoint": "https://h.example.org"},
        ),
        (
            {"connection_string": f"DefaultEndpointsProtocol=https;{NAMED};AccountKey=a=="},
            {"azure_storage_account_key": "a=="},
        ),
        (
            {
                "connection_string": f"blobendpoint=http://127.0.0.1:9/team/;{SIGNED};",
                "account_key": "k",
            },
            {
                "azure_storage_sas_token": "sv=1&sig=2%3D",
                "azure_storage_endpoint": "http://127.0.0.1:9/team",
                "azure_allow_http": "true",
            },
        ),
        (
            {"connection_string": "BlobEndpoint=https://team.blob.core.windows.net", "account_name": None},
            {"azure_skip_signature": "true"},
        ),
    ],
)
def test_azure_is_told_where_and_who(found: dict[str, Any], said: dict[str, str]) -> None:
    assert azure_options(adlfs(**found)) == {**PLACE, **said}


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A driver's own, in its thread."""
    running = asyncio.new_event_loop()
    thread = threading.Thread(target=running.run_forever)
    thread.start()
    yield running
    running.call_soon_threadsafe(running.stop)
    thread.join()
    running.close()


def test_a_token_of_azure_is_asked_for_each_time(loop: asyncio.AbstractEventLoop) -> None:
    asked: list[str] = []

    class Identity:
        async def get_token(self, scope: str) -> Any:
            asked.append(scope)
            return SimpleNamespace(token=f"token-{len(asked)}")

    filesystem = adlfs(credential=Identity(), loop=loop)
    for number in (1, 2):
        assert azure_options(filesystem) == {**PLACE, "azure_storage_token": f"token-{number}"}
    assert set(asked) == {"https://storage.azure.com/.default"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, {"google_base_url", "google_application_credentials"}),
        ({"BASE_URL": "https://x"}, {"google_application_credentials"}),
        ({"service_account": "file"}, {"google_base_url"}),
        ({"timeout": "30s"}, {"google_base_url", "google_application_credentials"}),
    ],
)
def test_the_library_is_told_once(home: Path, given: dict[str, str], said: set[str]) -> None:
    """What is in delta_options stays, whichever of its names it has, and credentials are of one kind."""
    from contextlib import nullcontext

    written(home / "application_default_credentials.json", "authorized_user")
    objects: Any = SimpleNamespace(root="gs://bucket", filesystem=gcsfs(), errors_of=nullcontext)
    assert FoundOptions(objects, given, None).options().keys() == said


@pytest.mark.parametrize(
    ("uri", "options", "said"),
    [
        ("gs://bucket", {"token": "ya29.swordfish"}, "storage_options.token.*no token and no object.*service account"),
        ("gs://bucket", {"token": "browser"}, "storage_options.token"),
        ("gcs://bucket", {"token": object()}, "storage_options.token"),
        ("gs://bucket", {"token": {"refresh_token": "swordfish"}}, "storage_options.token.*no private_key"),
        ("gs://bucket", {"access": "read_only"}, "storage_options.access"),
        ("gs://bucket", {"requester_pays": True}, "storage_options.requester_pays.*delta_options"),
        ("az://bucket", {"request_session": None}, "storage_options.request_session.*delta_options"),
        ("az://bucket", {"location_mode": "secondary"}, "storage_options.location_mode"),
        ("abfs://bucket", {"connection_string": "swordfish"}, "storage_options.connection_string.*AccountName"),
        ("az://bucket", {"connection_string": "AccountKey=swordfish"}, "storage_options.connection_string"),
        ("abfss://bucket", {"credential": {"account_key": "swordfish"}}, "storage_options.credential.*is a dict"),
    ],
)
def test_what_the_library_cannot_be_told_is_refused(uri: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        DeltaStore(uri, options)
    assert "swordfish" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "options"),
    [
        ("gs://bucket/a", {"project": "p", "token": ACCOUNT, "endpoint_url": "https://x", "access": "full_control"}),
        ("gs://bucket/a", {"token": "/only/on/workers.json", "default_block_size": 1, "block_size": 2}),
        ("gcs://bucket/a", {"token": "cloud"}),
        ("az://bucket/a", {"account_name": "team", "anon": False, "exclude_environment_credential": True}),
        ("az://bucket/a", {"account_name": "t", "client_id": "1", "client_secret": "2", "tenant_id": "3"}),
        ("abfss://bucket@team.dfs.core.windows.net/a", {"account_name": "team", "managed_identity_client_id": "1"}),
    ],
)
def test_what_it_can_be_told_is_taken(uri: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is opened yet: the drivers need not be here."""
    monkeypatch.setattr(drivers, "find_spec", lambda name: name)
    assert repr(DeltaStore(uri, options)) == f"DeltaStore({uri!r})"
