"""A client whose registry does not answer: what it asked for may come true, and it says so by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import ray.exceptions as rx
from checkmaite.jobs import BackendUnavailableError, IncompatibleVersionError, UnconfirmedError
from checkmaite.jobs._shared.provenance import Provenance
from checkmaite.jobs._submitters.preparing import prepare
from checkmaite.jobs._submitters.submission import Submission
from checkmaite.jobs.spi import BackendContext, JobQuery, PreparedSubmission, StoreSpec
from checkmaite.jobs.testing import SampleCapability
from checkmaite.jobs_ray.client import backend as backend_module
from checkmaite.jobs_ray.client import cluster
from checkmaite.jobs_ray.client.cluster import Calls, UnansweredError
from checkmaite.jobs_ray.config import RayOptions, RayRunOptions


class SilentCalls:
    """The calls of a client: the next ones of these methods have no answer."""

    silent: list[str] = []
    proposed: list[list[str]] = []

    def __init__(self, *_: Any) -> None: ...

    def ask(self, method: str, *arguments: Any, timeout_s: float) -> Any:
        if method == "hello":
            return {"journal_uri": "somewhere"}
        if method == "submit":
            specs = next(each for each in arguments if isinstance(each, list))
            self.proposed.append([spec.job_id for spec in specs])
        if method in self.silent:
            self.silent.remove(method)
            raise UnansweredError("nobody answers.")
        return [] if method in {"submit", "list_jobs"} else True


class NoNews:
    """A client's subscription that hears nothing."""

    client = "client"

    def __init__(self, *_: Any, **__: Any) -> None: ...

    @contextmanager
    def asking(self) -> Iterator[int]:
        yield 0

    def handles(self, found: Sequence[Any], *_: Any) -> Sequence[Any]:
        return found

    def handle(self, job_id: str) -> None: ...


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The shipped backend above them."""
    monkeypatch.setattr(
        backend_module, "connect", lambda *_, **__: SimpleNamespace(address="here", release=lambda: None)
    )
    monkeypatch.setattr(backend_module, "Calls", SilentCalls)
    monkeypatch.setattr(backend_module, "Subscription", NoNews)
    monkeypatch.setattr(backend_module, "runtime_env_here", lambda: None)
    monkeypatch.setattr(SilentCalls, "silent", [])
    monkeypatch.setattr(SilentCalls, "proposed", [])
    options = RayOptions(idempotency_scope="scope", address="local", journal_uri=None)
    return backend_module.RayBackend(options, BackendContext(StoreSpec("null")))


def prepared(*run_uids: str) -> list[PreparedSubmission]:
    given = [
        Submission(capability=SampleCapability(), config={"run_uid": uid}, options={"force": True}) for uid in run_uids
    ]
    return prepare(given, options_type=RayRunOptions, provenance=Provenance())


def test_a_submission_without_an_answer_names_its_jobs_and_made_again_proposes_them(backend: Any) -> None:
    SilentCalls.silent += ["submit", "submit"]
    for _ in range(2):
        with pytest.raises(UnconfirmedError) as caught:
            backend.submit(prepared("one", "two"))
        assert list(caught.value.job_ids) == SilentCalls.proposed[0]
        assert all(job_id in str(caught.value) for job_id in caught.value.job_ids)
    backend.submit(prepared("one", "two"))
    first, *others = SilentCalls.proposed
    assert others == [first, first]
    backend.submit(prepared("one", "two"))
    assert not {*SilentCalls.proposed[-1]} & {*first}, "it is known what became of those; these are others"


def test_a_cancellation_without_an_answer_names_its_job(backend: Any) -> None:
    SilentCalls.silent += ["cancel"]
    with pytest.raises(UnconfirmedError) as caught:
        backend._own.ask_to_cancel("job-1", 0.0)
    assert caught.value.job_ids == ("job-1",)
    assert backend._own.ask_to_cancel("job-1", 0.0)


def test_a_question_without_an_answer_changes_nothing(backend: Any) -> None:
    SilentCalls.silent += ["list_jobs"]
    with pytest.raises(BackendUnavailableError) as caught:
        backend.list_jobs(JobQuery())
    assert not isinstance(caught.value, UnconfirmedError)


class Answers:
    """Stands for Ray: what it says of the next calls."""

    def __init__(self, *said: Exception) -> None:
        self.said = list(said)

    def get(self, *_: Any, **__: Any) -> str:
        if self.said:
            raise self.said.pop(0)
        return "answer"


def refused() -> Exception:
    """A registry that answers that it cannot."""
    cause = BackendUnavailableError("the journal is away")
    return rx.RayTaskError("submit", "traceback", cause)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ([rx.GetTimeoutError("late")], UnansweredError),
        ([refused()], BackendUnavailableError),
        ([rx.ActorUnavailableError("lost", None), refused()], UnansweredError),
        ([rx.ActorUnavailableError("lost", None), rx.GetTimeoutError("late")], UnansweredError),
    ],
    ids=["late", "refused", "lost-and-refused", "lost-and-late"],
)
def test_what_a_lost_call_has_done_nobody_knows(
    monkeypatch: pytest.MonkeyPatch, said: list[Exception], kind: type[Exception]
) -> None:
    """A registry that refuses a call may have carried out the same one, before its answer was lost."""
    monkeypatch.setattr(cluster, "_AGAIN_S", 0.0)
    monkeypatch.setattr(cluster, "is_connected", lambda: True)
    monkeypatch.setattr(cluster, "ray", Answers(*said))
    calls = Calls("registry", lambda: SimpleNamespace(submit=SimpleNamespace(remote=lambda: None)))
    with pytest.raises(BackendUnavailableError) as caught:
        calls.ask("submit", timeout_s=5.0)
    assert type(caught.value) is kind


def test_a_registry_of_a_version_that_has_no_such_call_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "is_connected", lambda: True)
    calls = Calls("registry", SimpleNamespace)
    with pytest.raises(IncompatibleVersionError, match=r"'registry' is of an earlier version.*inputs.*Upgrade"):
        calls.ask("inputs", timeout_s=5.0)
