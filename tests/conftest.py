"""What tests of several folders share."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import threading
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

import pytest

# -- generated examples ------------------------------------------------------------------------------------------------


def pytest_configure() -> None:
    """Have Hypothesis try the same examples in each run, however long a busy machine takes for one."""
    with suppress(ImportError):  # core's environment is without it
        from hypothesis import HealthCheck, settings

        slow = [HealthCheck.too_slow]
        settings.register_profile("same", derandomize=True, database=None, deadline=None, suppress_health_check=slow)
        settings.load_profile("same")


# -- which worker of pytest-xdist runs what ----------------------------------------------------------------------------

PARTS = {"ray": "ray", "ray_simple": "ray", "acceptance": "ray", "distributions": "install"}
"""Folders whose tests have a mark."""
FIRST = (*PARTS, "ray_registry", "contract", "parquet")
"""Folders whose files take longest: short ones fill up what is left at the end."""
WHOLE = ("tests/distributions/",)
"""Folders whose files share what takes long to make."""


@pytest.hookimpl(tryfirst=True)  # before `-m` reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the parts, and begin with the files that take longest."""
    ranks = {folder: rank for rank, folder in enumerate(FIRST)}
    items.sort(key=lambda item: ranks.get(item.path.parent.name, len(FIRST)))
    for item in items:
        if mark := PARTS.get(item.path.parent.name):
            item.add_marker(mark)


@pytest.hookimpl(optionalhook=True)  # core's environment is without pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give a worker a whole file, since its tests share fixtures, and files that start Ray to the first two workers.

    The others begin with what starts none, and take the last of those files when nothing else is left.
    `--dist loadgroup` would say likewise, but does nothing in pytest 9.2.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return next((folder for folder in WHOLE if nodeid.startswith(folder)), nodeid.partition("::")[0])

        def _assign_work_unit(self, node: Any) -> None:
            # The first two that live: one that crashed has a successor with a later number.
            may_start_ray = node in sorted(self.nodes, key=lambda each: int(each.gateway.id[2:]))[:2]
            for unit, tests in list(self.workqueue.items()):
                if all(tests.values()):  # done by a worker that crashed: whoever got it would wait for ever
                    del self.workqueue[unit]
                    continue
                if may_start_ray or PARTS.get(Path(unit).parent.name) != "ray":
                    break
            else:
                if not self.workqueue:
                    node.shutdown()
                    return
                unit = next(reversed(self.workqueue))
            self.workqueue.move_to_end(unit, last=False)
            super()._assign_work_unit(node)

    config.option.loadscopereorder = False
    return ByFile(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Clients of two clusters must not begin at once on one machine.

    Ray's client server gives each client a server of its own, on the first port from 23000 on where nobody listens yet.
    gRPC lets two listen on one port, and connects either client to either.
    """
    if item.get_closest_marker("ray_client") is None:
        return (yield)
    with Path(os.environ["PYTEST_DEBUG_TEMPROOT"], "checkmaite-ray-client.lock").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        return (yield)


# -- a temporary folder ------------------------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist starts its workers
def pytest_sessionstart() -> None:
    """Have one of the session's own: jobs leave rows and output there, and Ray its logs and its `auto` address."""
    if worker := os.environ.get("PYTEST_XDIST_WORKER"):
        folder = f"{os.environ['TMPDIR']}/{worker}"
        Path(folder).mkdir(exist_ok=True)
    else:
        above = os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())  # `tmp_path` stays where it was
        folder = tempfile.mkdtemp(prefix="cm-", dir=above)  # short: Ray's sockets are below it
    tempfile.tempdir = os.environ["TMPDIR"] = folder


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Keep it, and the logs of Ray in it, when a test has failed."""
    if not session.testsfailed and "PYTEST_XDIST_WORKER" not in os.environ:
        after_its_own = -200  # multiprocessing empties a folder in it when the process ends
        Finalize(None, shutil.rmtree, (os.environ["TMPDIR"], True), exitpriority=after_its_own)


@pytest.fixture(scope="session", autouse=True)
def _no_syncs() -> Iterator[None]:
    """Spare the disk: a sync takes milliseconds, there are thousands, and no test cuts the power."""

    def sync(descriptor: int) -> None:
        os.fstat(descriptor)  # raises, too, for what is not open

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", sync)
        yield


# -- an S3 server ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def atomic_s3() -> Iterator[None]:
    """Makes moto's conditional put atomic, as S3's is; moto itself looks whether the object is there, then puts it."""
    from moto.s3.responses import S3Response

    put, locks = S3Response.put_object, defaultdict[tuple[str, str], threading.Lock](threading.Lock)

    def put_alone(self: S3Response) -> Any:
        with locks[self.bucket_name, self.parse_key_name()]:
            return put(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(S3Response, "put_object", put_alone)
        yield


@pytest.fixture
def careless_bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket of that server, to be made, where ``If-None-Match`` means nothing, as with older stores like S3."""
    from moto.s3.responses import S3Response

    name, put = "careless", S3Response.put_object

    def put_anyway(self: S3Response) -> Any:
        if self.bucket_name == name:
            self.headers = {each: value for each, value in self.headers.items() if each.lower() != "if-none-match"}
        return put(self)

    monkeypatch.setattr(S3Response, "put_object", put_anyway)
    return name


class Outage:
    """Whether objects can be created on that server: a request during an outage is answered with 503.

    Attributes:
        is_on: Whether there is one.
    """

    is_on = False


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Outage:
    """An outage of that server, which the test lets begin and end."""
    from moto.s3.exceptions import S3ClientError
    from moto.s3.responses import S3Response

    class SlowDownError(S3ClientError):
        code = 503

        def __init__(self) -> None:
            super().__init__("SlowDown", "Please reduce your request rate.")

    found, put = Outage(), S3Response.put_object

    def put_unless(self: S3Response) -> Any:
        if found.is_on:
            raise SlowDownError
        return put(self)

    monkeypatch.setattr(S3Response, "put_object", put_unless)
    return found


@pytest.fixture
def expired_keys(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Access keys that this server takes no more: its replies to HEAD have no body, as from S3."""
    from moto.s3.exceptions import S3ClientError
    from moto.s3.responses import S3Response

    class ExpiredTokenError(S3ClientError):
        code = 400

        def __init__(self) -> None:
            super().__init__("ExpiredToken", "The provided token has expired.")

    expired = set[str]()

    def unless_expired(answer: Any) -> Any:
        def answered(self: S3Response, *args: Any, **kwargs: Any) -> Any:
            if any(f"Credential={key}/" in self.headers.get("Authorization", "") for key in expired):
                raise ExpiredTokenError
            return answer(self, *args, **kwargs)

        return answered

    for name in ("put_object", "get_object", "head_object", "list_objects_v2"):
        monkeypatch.setattr(S3Response, name, unless_expired(getattr(S3Response, name)))
    return expired


@pytest.fixture
def s3_options(s3_endpoint: str) -> dict[str, Any]:
    """The options of a store on that server."""
    return {"key": "test-access-key", "secret": "test-secret-key", "endpoint_url": s3_endpoint}


@pytest.fixture
def bucket(s3_options: dict[str, Any]) -> str:
    """An empty bucket of the test's own."""
    import s3fs

    name = f"bucket-{uuid.uuid4().hex}"
    s3fs.S3FileSystem(**s3_options).mkdir(name)
    return name


@pytest.fixture(scope="session")
def s3_endpoint(atomic_s3: None) -> Iterator[str]:
    """The URL of an S3 server on loopback."""
    from moto.moto_server.threaded_moto_server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()
