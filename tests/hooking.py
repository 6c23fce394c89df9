"""A receiver of webhooks on loopback, and the story that hooks are told on every backend."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from checkmaite.jobs import Job, JobStatus, submit_capabilities, wait_all
from checkmaite.jobs.testing._samples import SampleCapability, is_marked

SOON_S = 120.0
_FOR_EVER_S = 1_000.0


class Received(NamedTuple):
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told


class Receiver:
    """Takes requests, keeps them, and answers once its gate is open: with each status that is given, then with 204.

    A status of 0 ends the connection without an answer.
    """

    def __init__(self, *statuses: int, headers: Mapping[str, str] | None = None) -> None:
        receiver, waiting = self, list(statuses)

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with receiver._changed:
                    receiver.received.append(Received(self.path, dict(self.headers), body))
                    receiver._changed.notify_all()
                receiver.gate.wait(_FOR_EVER_S)
                status = waiting.pop(0) if waiting else 204
                if not status:
                    self.close_connection = True
                    return
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()

            do_GET = do_POST  # noqa: N815 - as the library names them

            def log_message(self, *_: object) -> None:
                pass

        self.received: list[Received] = []
        self._changed = threading.Condition()
        self.gate = threading.Event()
        self.gate.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/jobs"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    def wait_for(self, condition: Callable[[list[dict[str, Any]]], object], otherwise: str) -> list[dict[str, Any]]:
        """The events, once they are as they should be."""
        with self._changed:
            came = self._changed.wait_for(lambda: condition(self.events), SOON_S)
        assert came, f"{otherwise}: {[(each['event_id']) for each in self.events]}"
        return self.events

    @property
    def events(self) -> list[dict[str, Any]]:
        return [each.event for each in self.received]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def no_job_waits_for_a_hook(
    configure: Callable[[Mapping[str, Any]], Any], folder: Path, receiver: Receiver
) -> list[Job]:
    """Jobs end while a hook hangs; afterwards it is told of each of them, in order, once.

    Args:
        configure: Configures the backend under test with these hooks.
        folder: One of the test's own.
        receiver: Whom the hook tells.
    """
    receiver.gate.clear()
    backend = configure({"webhook": {"url": receiver.url, "timeout_s": _FOR_EVER_S}})
    jobs = submitted(folder, "return", "fail", "wait")
    _until(lambda: is_marked(str(folder), "started"), "the job that waits has not begun")
    jobs[2].cancel(grace=5)
    ends = wait_all(jobs, SOON_S)
    receiver.wait_for(lambda events: events, "the hook was not called")
    assert ends == [JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED]
    assert len(receiver.received) == 1, "it hangs in the first event"
    receiver.gate.set()
    told = receiver.wait_for(lambda events: events[-1]["kind"] == "scope_idle", "hooks were not told everything")
    check_story(told, jobs)
    (report,) = backend.hook_reports()
    assert (report.name, report.failed, report.dropped) == ("webhook", 0, 0)
    return jobs


def check_story(told: Iterable[Mapping[str, Any]], jobs: list[Job]) -> None:
    """These are the events of these jobs."""
    told = list(told)
    of: defaultdict[str | None, list[Mapping[str, Any]]] = defaultdict(list)
    for event in told:
        of[event.get("job_id")].append(event)
    assert len({event["event_id"] for event in told}) == len(told)
    assert of.keys() == {None, *(job.job_id for job in jobs)}
    for job in jobs:
        assert [event["kind"] for event in of[job.job_id]] == ["submitted", "started", "finished"], job
        *_, last = of[job.job_id]
        assert (last["status"], last["job_name"], last["attempt"]) == (job.status, job.job_name, 1)
        assert last["tags"] == {"team": "vision"}
        assert {"created_at", "started_at", "finished_at", "node"} <= last.keys()
    completed, failed, cancelled = (of[job.job_id][-1] for job in jobs)
    assert (completed["run_uid"], completed["revision"], completed["reuse"]) == (jobs[0].result().run_uid, 1, "RUN")
    assert (failed["failure"], failed["error_type"]) == ("exception", "ValueError")
    assert cancelled["failure"] == "cancelled"
    assert [event["kind"] for event in of[None]] == ["scope_idle"]
    assert "told to fail" not in json.dumps(told), "what an exception says may be a secret"


def submitted(folder: Path, *acts: str) -> list[Job]:
    return submit_capabilities(
        {
            "capability": SampleCapability(act=act, folder=str(folder)),
            "config": {"run_uid": uuid.uuid4().hex},
            "tags": {"team": "vision"},
        }
        for act in acts
    )


def _until(condition: Callable[[], object], otherwise: str) -> None:
    deadline = time.monotonic() + SOON_S
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)
