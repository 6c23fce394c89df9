"""A proxy on loopback between S3 and its clients, which answers some requests wrongly, late, or not at all."""

from __future__ import annotations

import http.client
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_ERRORS = {
    "500": (500, "InternalError", "We encountered an internal error. Please try again."),
    "503": (503, "SlowDown", "Please reduce your request rate."),
    "409": (
        409,
        "ConditionalRequestConflict",
        "The conditional request cannot succeed due to a conflicting operation.",
    ),
}
SLOW_S = 2.0
_PATIENCE_S = 60.0
_OF_ONE_CONNECTION = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


class FaultProxy:
    """Forwards to one S3 server. Until `trouble` is set every request is forwarded.

    Attributes:
        endpoint: Its URL.
        done: How many requests went wrong, by what was done to them.
    """

    def __init__(self, port: int, seed: int = 0) -> None:
        self._upstream = port
        self._dice = random.Random(seed)
        self._trouble: tuple[str, float] | None = None
        self.done: Counter[str] = Counter()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                proxy._answer(self)

            do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _answer  # noqa: N815 - as http.server calls them

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass  # a client was killed in the middle of its request

        self._server = Server(("127.0.0.1", 0), Handler)
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def trouble(self, what: str | None, share: float = 1.0) -> None:
        """From now on let this share of requests go wrong in this way; with None, none.

        Args:
            what: A status: ``500``, ``503``, or ``409`` for creations that are to be exclusive. Or ``cut``, before the
                server has the request; ``lost-reply``, after it has carried it out; ``slow``, by two seconds.
            share: Between 0 and 1.
        """
        self._trouble = None if what is None else (what, share)

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()

    def _chosen(self, handler: BaseHTTPRequestHandler) -> str:
        what, share = self._trouble or ("", 0.0)
        if self._dice.random() >= share or (what == "409" and "If-None-Match" not in handler.headers):
            return ""
        self.done[what] += 1
        return what

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        what = self._chosen(handler)
        if what in _ERRORS:
            status, code, text = _ERRORS[what]
            said = f"<Error><Code>{code}</Code><Message>{text}</Message></Error>".encode()
            _reply(handler, status, {"Content-Type": "application/xml"}, said)
            return
        if what == "slow":
            time.sleep(SLOW_S)
        if what != "cut":
            status, headers, content = self._forward(handler, body)
            if what != "lost-reply":
                _reply(handler, status, headers, content)
                return
        handler.close_connection = True
        with suppress(OSError):
            handler.connection.shutdown(socket.SHUT_RDWR)

    def _forward(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, dict[str, str], bytes]:
        headers = {name: value for name, value in handler.headers.items() if name.lower() not in ("host", "expect")}
        connection = http.client.HTTPConnection("127.0.0.1", self._upstream, timeout=_PATIENCE_S)
        try:
            connection.request(handler.command, handler.path, body, {**headers, "Connection": "close"})
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()


def _reply(handler: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str], content: bytes) -> None:
    handler.send_response(status)
    length = str(len(content))
    for name, value in headers.items():
        if name.lower() == "content-length" and handler.command == "HEAD":
            length = value
        if name.lower() not in _OF_ONE_CONNECTION:
            handler.send_header(name, value)
    handler.send_header("Content-Length", length)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(content)
