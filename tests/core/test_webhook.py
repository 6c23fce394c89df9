from __future__ import annotations

import base64
import hashlib
import hmac
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from checkmaite.jobs._shared.config import parse_options
from checkmaite.jobs._shared.hooks import JobEvent, JobEventKind
from checkmaite.jobs._webhook import NotTakenError, Webhook, WebhookOptions, signing_key

from tests.hooking import Receiver

EVENT = JobEvent(
    kind=JobEventKind.SUBMITTED,
    event_id="job-1.submitted",
    at=datetime(2026, 1, 2, tzinfo=UTC),
    backend="inline",
    job_id="job-1",
    job_name="größer",
)


def webhook(receiver: Receiver, **options: Any) -> Webhook:
    read, problems = parse_options(WebhookOptions, {"url": receiver.url, "retry_s": 0.0, **options})
    assert read is not None, problems
    return Webhook(read)


def test_an_event_is_posted_as_json() -> None:
    with Receiver() as receiver:
        webhook(receiver).on_event(EVENT)
        (got,) = receiver.received
    assert got.event == {
        "kind": "submitted",
        "event_id": "job-1.submitted",
        "at": "2026-01-02T00:00:00+00:00",
        "backend": "inline",
        "job_id": "job-1",
        "job_name": "größer",
        "tags": {},
        "missed": 0,
    }
    assert (got.path, got.headers["Content-Type"]) == ("/jobs", "application/json")
    assert "Webhook-Signature" not in got.headers


def _file(folder: Path, secret: str) -> dict[str, str]:
    (folder / "secret").write_text(f"{secret}\n")
    return {"file": str(folder / "secret")}


def test_a_receiver_can_tell_who_posts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = f"whsec_{base64.b64encode(b'0123456789').decode()}"
    monkeypatch.setenv("HOOK_SECRET", "a plain text")
    with Receiver() as receiver:
        webhook(receiver, secret={"env": "HOOK_SECRET"}).on_event(EVENT)
        webhook(receiver, secret=_file(tmp_path, secret)).on_event(EVENT)
        got = list(receiver.received)
    for each, key in zip(got, (b"a plain text", b"0123456789"), strict=True):
        signed = f"{each.headers['Webhook-Id']}.{each.headers['Webhook-Timestamp']}.".encode() + each.body
        digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert each.headers["Webhook-Signature"] == f"v1,{digest}"
        assert each.headers["Webhook-Id"] == EVENT.event_id
        assert key not in each.body


def test_a_secret_is_looked_for_where_events_are_posted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOOK_SECRET", raising=False)
    with Receiver() as receiver, pytest.raises(ValueError, match="the environment variable HOOK_SECRET is not set"):
        webhook(receiver, secret={"env": "HOOK_SECRET"})
    with pytest.raises(ValueError, match="is no Base64") as caught:
        signing_key("whsec_not base64")
    assert "not base64" not in str(caught.value)


def test_the_url_itself_may_be_a_secret(tmp_path: Path) -> None:
    with Receiver() as receiver:
        read, _ = parse_options(WebhookOptions, {"url_at": _file(tmp_path, receiver.url)})
        assert read is not None
        assert receiver.url not in repr(read)
        Webhook(read).on_event(EVENT)
        assert len(receiver.received) == 1


@pytest.mark.parametrize("trouble", [[503], [429, 500], [0]], ids=str)
def test_an_event_that_was_not_taken_is_posted_again_by_the_same_id(trouble: list[int]) -> None:
    with Receiver(*trouble) as receiver:
        webhook(receiver).on_event(EVENT)
        got = list(receiver.received)
    assert len(got) == len(trouble) + 1
    assert len({(each.headers["Webhook-Id"], each.body) for each in got}) == 1


def test_a_receiver_says_when_to_try_again() -> None:
    waited: list[float] = []
    with Receiver(503, headers={"Retry-After": "7"}) as receiver:
        hook = webhook(receiver)
        hook._ends.wait = lambda seconds: bool(waited.append(seconds))  # type: ignore[assignment, method-assign]
        hook.on_event(EVENT)
    assert waited == [7.0]


@pytest.mark.parametrize(("status", "tries"), [(400, 1), (410, 1), (302, 1), (500, 3)])
def test_what_is_never_taken_is_given_up(status: int, tries: int) -> None:
    with Receiver(*[status] * 5, headers={"Location": "/elsewhere"}) as receiver:
        with pytest.raises(NotTakenError, match=f"at try {tries}: HTTP {status}"):
            webhook(receiver, max_tries=3).on_event(EVENT)
        assert [each.path for each in receiver.received] == ["/jobs"] * tries, "no redirect is followed"


def test_nobody_there_is_told_without_the_url() -> None:
    with Receiver() as receiver:
        pass
    with pytest.raises(NotTakenError, match="ConnectionRefusedError") as caught:
        webhook(receiver, max_tries=1).on_event(EVENT)
    assert "jobs" not in str(caught.value)


def test_an_end_of_the_process_does_not_wait_for_the_next_try() -> None:
    with Receiver(503) as receiver:
        hook = webhook(receiver, retry_s=60.0)
        errors: list[BaseException] = []
        post = threading.Thread(target=_noting(errors, lambda: hook.on_event(EVENT)))
        post.start()
        receiver.wait_for(lambda events: events, "it was not posted")
        hook.give_up()
        post.join(60)
        assert not post.is_alive()
        assert [type(each) for each in errors] == [NotTakenError]


def _noting(errors: list[BaseException], act: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        try:
            act()
        except NotTakenError as error:
            errors.append(error)

    return run


def test_only_the_events_that_were_asked_for_are_posted() -> None:
    with Receiver() as receiver:
        webhook(receiver, events=["finished"]).on_event(EVENT)
        assert receiver.received == []
