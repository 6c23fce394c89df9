"""A server before one of Google Cloud Storage, which lets in whoever has the token of now, and gives tokens."""

from __future__ import annotations

import json
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

REFUSED = json.dumps({"error": {"code": 401, "message": "Invalid Credentials"}}).encode()
_OWN = frozenset({"connection", "host", "transfer-encoding", "content-length"})


class Front(ThreadingHTTPServer):
    """The server.

    Attributes:
        number: Of the token that counts; tokens are called ``token-1`` and so on.
        life_s: For how long it says that a token is good.
        refused: How many requests came with another one.
    """

    daemon_threads = True

    def __init__(self, behind: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = urlsplit(behind).netloc
        self.number, self.life_s, self.refused = 1, 3600, 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Front

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/token":
            given = {"access_token": f"token-{self.server.number}", "expires_in": self.server.life_s}
            self._say(200, {"Content-Type": "application/json"}, json.dumps({**given, "token_type": "Bearer"}).encode())
        elif self.headers.get("Authorization") != f"Bearer token-{self.server.number}":
            self.server.refused += 1
            self._say(401, {"Content-Type": "application/json"}, REFUSED)
        else:
            behind = HTTPConnection(self.server.behind, timeout=60)
            passed = {name: value for name, value in self.headers.items() if name.lower() not in _OWN}
            behind.request(self.command, self.path, body, passed)
            reply = behind.getresponse()
            self._say(reply.status, dict(reply.getheaders()), reply.read())
            behind.close()

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _answer  # noqa: N815 - their names there

    def _say(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in _OWN:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
