"""``"webhook"``: the hook that posts each event as JSON to a URL, signed as standardwebhooks.com describes it."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import http.client
import json
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any, ClassVar

from attrs import frozen, validators
from checkmaite.jobs._shared.config import option
from checkmaite.jobs._shared.hooks import JobEvent, JobEventKind, JobHook
from checkmaite.jobs._shared.keys import KeyPlace

_LONGEST_WAIT_S = 60.0
_TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_SECRET_PREFIX = "whsec_"  # noqa: S105 - how a secret in Base64 begins


def _http_url(_: object, attribute: Any, value: str | None) -> None:
    if value is None:
        return
    parts = urllib.parse.urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("it is no http or https URL")
    if parts.username or parts.password:
        raise ValueError("it holds a user or a password: let the receiver check the signature instead")


def _kinds(_: object, attribute: Any, value: list[str] | None) -> None:
    known = [str(kind) for kind in JobEventKind]
    for each in value or ():
        if each not in known:
            raise ValueError(f"{each!r} is none of {', '.join(known)}")


@frozen(kw_only=True)
class WebhookOptions:
    """Options of ``hooks={"webhook": {...}}``."""

    url: str | None = option(
        "where events are posted, for example https://example.org/jobs; url_at instead where the URL itself is secret.",
        default=None,
        validator=_http_url,
        repr=False,
    )
    url_at: KeyPlace | None = option(  # noqa: RUF009 - it makes a field; so do the next two
        'where the process that posts finds the URL: {"env": NAME} or {"file": ABSOLUTE PATH}.', default=None
    )
    secret: KeyPlace | None = option(  # noqa: RUF009
        "where the process that posts finds the secret that events are signed with, as url_at. None: no signature.",
        default=None,
    )
    events: list[str] | None = option(  # noqa: RUF009
        "what is posted, some of submitted, started, finished and scope_idle; None: all.",
        default=None,
        validator=_kinds,
    )
    timeout_s: float = option("seconds that one request may take.", default=10.0, validator=validators.gt(0))
    max_tries: int = option("how often an event is posted until it is taken.", default=5, validator=validators.ge(1))
    retry_s: float = option(
        "seconds before the second try; each further wait is twice as long, up to a minute.",
        default=1.0,
        validator=validators.ge(0),
    )

    def __attrs_post_init__(self) -> None:
        if (self.url is None) == (self.url_at is None):
            raise ValueError("pass either url or url_at.")


class NotTakenError(Exception):
    """A receiver did not take an event."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST would become a GET without its body."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any) -> None:
        return None


class Webhook(JobHook):
    """Posts events, each until it is taken or has been tried often enough.

    A receiver may get an event twice, when its answer was lost: ``webhook-id`` is the same then.
    """

    config_type: ClassVar[type[WebhookOptions]] = WebhookOptions

    def __init__(self, options: WebhookOptions) -> None:
        self._options = options
        self._url = options.url or _read_url(options.url_at)
        self._key = None if options.secret is None else signing_key(options.secret.read())
        self._events = frozenset(options.events or JobEventKind)
        self._open = urllib.request.build_opener(_NoRedirects).open
        self._ends = threading.Event()

    def give_up(self) -> None:
        """Try nothing again."""
        self._ends.set()

    def on_event(self, event: JobEvent) -> None:
        """Post it.

        Raises:
            NotTakenError: Nobody took it.
        """
        if event.kind not in self._events:
            return
        body = json.dumps(event.plain(), separators=(",", ":"), ensure_ascii=False).encode()
        tries, wait_s = self._options.max_tries, self._options.retry_s
        for number in range(1, tries + 1):
            answer = self._answer(event, body)
            if answer is None:
                return
            said, may_help, asked_s = answer
            if not may_help or number == tries or self._ends.wait(min(max(wait_s, asked_s), _LONGEST_WAIT_S)):
                raise NotTakenError(f"{event.event_id} was not taken at try {number}: {said}")
            wait_s *= 2

    def _answer(self, event: JobEvent, body: bytes) -> tuple[str, bool, float] | None:
        """None when it was taken; else what went wrong, whether another try may help, and after how many seconds."""
        request = urllib.request.Request(  # noqa: S310 - the scheme is checked
            self._url, data=body, method="POST", headers=headers_of(event.event_id, body, self._key, time.time)
        )
        try:
            with self._open(request, timeout=self._options.timeout_s):
                return None
        except urllib.error.HTTPError as error:
            error.close()
            return f"HTTP {error.code}", error.code in _TRY_AGAIN, _seconds(error.headers.get("Retry-After"))
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)  # without the URL, which may be secret
            return f"{type(reason).__name__}: {reason}", True, 0.0


def headers_of(event_id: str, body: bytes, key: bytes | None, clock: Callable[[], float]) -> dict[str, str]:
    """The headers of a request, with its signature where there is a key.

    Args:
        event_id: What the receiver tells repetitions by.
        body: What is posted.
        key: What it is signed with.
        clock: Seconds since the epoch, so that a receiver can refuse what was recorded and is sent again.
    """
    at = str(int(clock()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "checkmaite-jobs",
        "webhook-id": event_id,
        "webhook-timestamp": at,
    }
    if key is not None:
        digest = hmac.new(key, f"{event_id}.{at}.".encode() + body, hashlib.sha256).digest()
        headers["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return headers


def signing_key(secret: str) -> bytes:
    """The bytes of a secret: those that its Base64 means after ``whsec_``, else those of the text.

    Raises:
        ValueError: It is no Base64 after that prefix. It is not shown.
    """
    if not secret.startswith(_SECRET_PREFIX):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix(_SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"the webhook's secret begins with {_SECRET_PREFIX} and is no Base64 after that") from None


def _read_url(place: KeyPlace | None) -> str:
    assert place is not None, "the options have one of both"
    url = place.read()
    try:
        _http_url(None, None, url)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None
    return url


def _seconds(text: str | None) -> float:
    return float(text) if text and text.isdecimal() else 0.0
