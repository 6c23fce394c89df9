"""What the parts of the backends' suite share: the backend under test, jobs of the sample capability, and patience."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import pytest
from checkmaite.jobs import (
    Job,
    JobBackend,
    NotConfiguredError,
    configure_job_backend,
    list_jobs,
    shutdown_job_backend,
    submit_capability,
    wait_all,
)
from checkmaite.jobs.testing._samples import SampleCapability, is_marked, mark, wait_until

T = TypeVar("T")

CLOCKS_DIFFER = timedelta(minutes=1)
"""What the clocks of two machines may be apart."""


class BackendSuite:
    """The backend under test; `JobBackendContract` says what its attributes mean."""

    kind: ClassVar[str]
    analytics_store: ClassVar[Mapping[str, Any]] = {"backend": "null"}
    options: ClassVar[Mapping[str, Any]] = {}
    patience_s: ClassVar[float] = 10.0

    def wrap(self, job: Job) -> Job:
        """The job to test; override to test a copy of a backend with something changed."""
        return job

    @pytest.fixture
    def backend(self, tmp_path: Path) -> Iterator[JobBackend]:
        """The backend, configured for one test and stopped after it."""
        store = {
            name: value.replace("{folder}", str(tmp_path)) if isinstance(value, str) else value
            for name, value in self.analytics_store.items()
        }

        def release() -> None:
            for name in ("go", "write"):
                mark(str(tmp_path), name)

        # A call that blocks until its job is over would otherwise wait for a mark that the test makes after it.
        rescue = threading.Timer(2 * self.patience_s, release)
        rescue.daemon = True
        rescue.start()
        yield configure_job_backend(self.kind, analytics_store=store, **self.options)
        rescue.cancel()
        release()
        with suppress(NotConfiguredError):  # a test may have shut it down
            jobs = list_jobs(limit=None)
            for job in jobs:  # a Ray or a cluster that stays up goes on with what is not final
                job.cancel(grace=0)
            wait_all(jobs, timeout=self.patience_s)
        shutdown_job_backend(wait=False)

    def submit(self, folder: Path, act: str = "return", **arguments: Any) -> Job:
        """Submit the sample capability with a run uid of its own."""
        capability = SampleCapability(act=act, folder=str(folder))
        return self.wrap(submit_capability(capability, config={"run_uid": uuid.uuid4().hex}, **arguments))

    def submit_and_start(self, folder: Path, act: str = "wait") -> Job:
        """Submit a job that waits for the test, and wait until its worker has begun."""
        job = self.submit(folder, act)
        self.until(lambda: is_marked(str(folder), "started") or job.status.is_final, "no worker has begun with the job")
        assert is_marked(str(folder), "started"), f"the job ended before it began: {job.explain()}"
        return job

    def until(self, condition: Callable[[], object], otherwise: str) -> None:
        """Wait until `condition()` is true; after `patience_s` seconds the test fails with `otherwise`."""
        wait_until(condition, otherwise, self.patience_s)

    def in_time(self, call: Callable[[], T], what: str) -> T:
        """What `call` returns; the test fails when that takes longer than `patience_s` seconds, even for ever."""
        answers: list[T] = []
        errors: list[BaseException] = []

        def ask() -> None:
            try:
                answers.append(call())
            except BaseException as error:  # noqa: BLE001 - raised again below, in the test's own thread
                errors.append(error)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(self.patience_s)
        assert not thread.is_alive(), f"{what} has not returned after {self.patience_s:g} s"
        if errors:
            raise errors[0]
        return answers[0]
