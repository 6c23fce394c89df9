"""The S3 endpoint of a run. Processes find it and the keys in their environment, so it is fixed before any starts."""

from __future__ import annotations

import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from checkmaite.jobs.spi import ObjectStore
from figures import p50_ms

_BUCKET = "bench"
READS = "reads"
_START_S = 60.0
_TIMES = 100
_SIZE = 2_000


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def listens(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as prober:
        return prober.connect_ex(("127.0.0.1", port)) == 0


_PORT = free_port()
os.environ.update(
    AWS_ACCESS_KEY_ID="bench",
    AWS_SECRET_ACCESS_KEY="bench-secret",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_ENDPOINT_URL=f"http://127.0.0.1:{_PORT}",
)


@contextmanager
def s3_bucket(reads: Path | None = None) -> Iterator[str]:
    """The URL of an empty bucket, on a server that runs meanwhile; it notes in a file how much is read of it."""
    import s3fs

    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("s3_server.py")), str(_PORT), str(reads or "")]
    )
    try:
        deadline = time.monotonic() + _START_S
        while not listens(_PORT):
            assert time.monotonic() < deadline, "the S3 server does not listen"
            time.sleep(0.05)
        s3fs.S3FileSystem().mkdir(_BUCKET)
        yield f"s3://{_BUCKET}"
    finally:
        server.terminate()
        server.wait()


@contextmanager
def journal_places() -> Iterator[dict[str, str]]:
    """Where journals can be: URI by a name that also says what one PUT takes there."""
    with tempfile.TemporaryDirectory() as folder, s3_bucket() as bucket:
        yield {"on disk": folder, f"on S3 (a PUT takes {_put_ms(bucket):.1f} ms)": f"{bucket}/journal"}


def _put_ms(uri: str) -> float:
    """What one exclusive create of a small object takes, in milliseconds: the median."""
    objects = ObjectStore(uri)
    return p50_ms(lambda: objects.create(f"latency/{secrets.token_hex(8)}", secrets.token_bytes(_SIZE)), _TIMES)
