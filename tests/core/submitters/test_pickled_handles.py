"""A handle that was pickled finds its job where its backend is configured, and says elsewhere which one that was."""

from __future__ import annotations

import os
import pickle
import socket
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from checkmaite.jobs import (
    Job,
    JobBackend,
    JobNotFoundError,
    NotConfiguredError,
    configure_job_backend,
    get_job_backend,
    shutdown_job_backend,
    submit_capability,
)
from checkmaite.jobs.spi import JobHandle
from checkmaite.jobs.testing import SampleCapability

from tests.processes import serving

NULL = {"backend": "null"}


@pytest.fixture
def backend() -> Iterator[JobBackend]:
    yield configure_job_backend("inline", analytics_store=NULL)
    shutdown_job_backend(wait=True)


def submit(run_uid: str, capability: Any = None) -> Job:
    return submit_capability(capability or SampleCapability(), config={"run_uid": run_uid})


def unpickle(pickled: bytes, queue: Any, *, configures: bool) -> None:
    if configures:
        configure_job_backend("inline", analytics_store=NULL)
    try:
        queue.put(pickle.loads(pickled))
    except Exception as error:  # noqa: BLE001 - whatever it is, the test looks at it
        queue.put(error)


@pytest.mark.parametrize(
    ("configures", "kind"), [(True, JobNotFoundError), (False, NotConfiguredError)], ids=["configured", "not"]
)
def test_another_process_is_told_whose_the_job_is(backend: JobBackend, configures: bool, kind: type[Exception]) -> None:
    job = submit("one")
    pickled, queue = pickle.dumps({"jobs": [job]}), serving.SimpleQueue()
    process = serving.Process(target=unpickle, args=(pickled, queue), kwargs={"configures": configures})
    process.start()
    error = queue.get()
    process.join(60)
    assert type(error) is kind
    home = f"'inline' in process {os.getpid()} on {socket.gethostname()}, whose jobs no other process knows"
    assert job.job_id in str(error)
    assert home in str(error)


def test_a_handle_that_an_earlier_version_pickled_is_found(backend: JobBackend) -> None:
    job = submit("one")
    make, given = job.__reduce__()[:2]
    assert isinstance(given, tuple)
    assert callable(make)
    assert make(*given[:2]) is job
    shutdown_job_backend()
    configure_job_backend("inline", analytics_store=NULL)
    with pytest.raises(JobNotFoundError) as caught:
        make(*given[:2])
    assert "pickled" not in str(caught.value)


def test_a_backend_that_says_nothing_of_itself_is_not_spoken_of(backend: JobBackend) -> None:
    handle = JobHandle(
        job_id="job-1",
        job_name="name",
        capability_id="c",
        created_at=datetime.now(UTC),
        controls=backend,  # type: ignore[arg-type]
    )
    with pytest.raises(JobNotFoundError, match=r"no job 'job-1' in this process's inline backend\. list_jobs"):
        pickle.loads(pickle.dumps(handle))


class ReadsHandle:
    """Asks a job that it was given; no backend can be asked where it runs on a cluster."""

    id = "reads-handle"

    def __init__(self, job: Job) -> None:
        self.job = job

    def run(self, **given: Any) -> Any:
        return SampleCapability().run(config={"run_uid": f"after-{self.job.result(0).run_uid}"})


def test_a_job_may_be_given_the_handle_of_another(backend: JobBackend) -> None:
    first = submit("one")
    first.result(30)
    assert submit("two", ReadsHandle(first)).result(30).run_uid == "after-one"


def test_a_forked_child_has_no_backend(backend: JobBackend) -> None:
    """It has neither the threads nor the connections of its parent: a job would never end there."""
    pickled = pickle.dumps(submit("one"))

    def asked(ask: Callable[[], object]) -> str:
        try:
            return f"gave {ask()}"
        except NotConfiguredError as error:
            return type(error).__name__

    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from Python 3.12 on: this process has threads
        child = os.fork()
    if child == 0:
        try:
            said = [asked(get_job_backend), asked(lambda: pickle.loads(pickled)), asked(lambda: submit("two"))]
            os.write(writing, " ".join(said).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as said:
        assert said.read() == "NotConfiguredError NotConfiguredError NotConfiguredError"
    os.waitpid(child, 0)
    assert get_job_backend() is backend
