"""Where a trial's store and journal are: on a disk, on a small one that can be full, or on S3 behind the proxy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.ray.clusters import listens
from tests.ray_simple.conftest import free_port
from tools.trials.proxy import FaultProxy

_SERVER = Path(__file__).parent.parent / "bench" / "s3_server.py"
_CREDENTIALS = {"key": "trials", "secret": "trials-secret"}
_SMALL_MIB = 16
_START_S = 60.0


class S3:
    """An S3 server on loopback, in a process of its own, and the proxy before it."""

    def __init__(self) -> None:
        port = free_port()
        self._server = subprocess.Popen([sys.executable, str(_SERVER), str(port)], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_S
        while not listens(port):
            assert time.monotonic() < deadline, "the S3 server does not listen"
            time.sleep(0.05)
        self.proxy = FaultProxy(port)
        self._options = {**_CREDENTIALS, "endpoint_url": f"http://127.0.0.1:{port}"}

    @contextmanager
    def store(self, bucket: str, folder: Path) -> Iterator[dict[str, Any]]:
        """The options of a store in a bucket, reached through the proxy; then what is in it goes into a folder."""
        import s3fs

        files = s3fs.S3FileSystem(**self._options)
        files.mkdir(bucket)
        through_proxy = {**self._options, "endpoint_url": self.proxy.endpoint}
        yield {"backend": "parquet", "uri": f"s3://{bucket}/store", "storage_options": through_proxy}
        self.proxy.trouble(None)
        files.invalidate_cache()
        files.get(f"{bucket}/", f"{folder / 'bucket'}/", recursive=True)
        files.rm(bucket, recursive=True)

    def close(self) -> None:
        self.proxy.close()
        self._server.terminate()
        self._server.wait()


class SmallDisk:
    """A file system of a few megabytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={_SMALL_MIB}m", "tmpfs", str(folder)]
        subprocess.run(mount, check=True, capture_output=True)

    def fill(self) -> None:
        """Leave no byte free, until `free`."""
        with suppress(OSError), self._ballast.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(2**12))

    def free(self) -> None:
        self._ballast.unlink(missing_ok=True)

    def close(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)
        self.folder.rmdir()


def can_mount(folder: Path) -> bool:
    """Whether this process may make a small disk."""
    with suppress(OSError, subprocess.CalledProcessError):
        SmallDisk(folder / f"probe-{os.getpid()}").close()
        return True
    return False


@contextmanager
def disk(folder: Path, *, small: bool) -> Iterator[tuple[dict[str, Any], SmallDisk | None]]:
    """The options of a store on a disk, and the disk when it is a small one, of which a copy stays."""
    place = folder / "disk"
    made = SmallDisk(place) if small else None
    place.mkdir(exist_ok=True)
    try:
        yield {"backend": "parquet", "uri": str(place / "store")}, made
    finally:
        if made is not None:
            made.free()
            shutil.copytree(place / "store", folder / "store", dirs_exist_ok=True)
            made.close()
