"""What tests of several folders share."""

from __future__ import annotations

import os
import shutil
import sys
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
    return _refused_keys(monkeypatch, 400, "ExpiredToken", "The provided token has expired.")


@pytest.fixture
def deleted_keys(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Access keys that this server does not know any more."""
    said = "The AWS Access Key Id you provided does not exist in our records."
    return _refused_keys(monkeypatch, 403, "InvalidAccessKeyId", said)


def _refused_keys(monkeypatch: pytest.MonkeyPatch, status: int, name: str, said: str) -> set[str]:
    from moto.s3.exceptions import S3ClientError
    from moto.s3.responses import S3Response

    class RefusedKeyError(S3ClientError):
        code = status

        def __init__(self) -> None:
            super().__init__(name, said)

    refused = set[str]()

    def unless_refused(answer: Any) -> Any:
        def answered(self: S3Response, *args: Any, **kwargs: Any) -> Any:
            if any(f"Credential={key}/" in self.headers.get("Authorization", "") for key in refused):
                raise RefusedKeyError
            return answer(self, *args, **kwargs)

        return answered

    for method in ("put_object", "get_object", "head_object", "list_objects_v2"):
        monkeypatch.setattr(S3Response, method, unless_refused(getattr(S3Response, method)))
    return refused


class FoundCredentials:
    """Where this process and its children look for S3 credentials, in a folder of the test's own.

    Args:
        folder: The folder.
        monkeypatch: Puts the environment back.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._monkeypatch = folder, monkeypatch
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")  # nobody is asked beyond this machine

    def in_file(self, key: str, profile: str = "default") -> None:
        """In the file of credentials, which says nothing of their end."""
        found = f"[{profile}]\naws_access_key_id = {key}\naws_secret_access_key = s\n"
        (self._folder / "credentials").write_text(found)

    def in_environment(self, key: str) -> None:
        """In variables."""
        self._monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
        self._monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")

    def by_process(self, key: str) -> None:
        """From a program, the ``credential_process`` of a profile, which says that they end in an hour."""
        program = self._folder / "program.py"
        program.write_text(
            "import datetime, json\n"
            "end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)\n"
            f"found = dict(Version=1, AccessKeyId={key!r}, SecretAccessKey='s', SessionToken='t')\n"
            "print(json.dumps({**found, 'Expiration': end.isoformat()}))\n"
        )
        (self._folder / "config").write_text(f"[default]\ncredential_process = {sys.executable} {program}\n")


@pytest.fixture
def found_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FoundCredentials]:
    """Where S3 credentials are looked for, which is empty."""
    import s3fs

    folder = tmp_path / "aws"
    folder.mkdir()
    s3fs.S3FileSystem.clear_instance_cache()  # one with the same options has what others have found
    yield FoundCredentials(folder, monkeypatch)
    s3fs.S3FileSystem.clear_instance_cache()


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
