"""A server before one of Google Cloud Storage: it gives tokens, and speaks the XML API.

fake-gcs-server knows objects by the JSON API, as gcsfs asks for them. The deltalake library asks by the XML API, of
which fake-gcs-server can neither list nor create on a condition: those requests are passed on as the same ones of the
JSON API, as Google's reference of both says. So what is created once is decided by fake-gcs-server.
"""

from __future__ import annotations

import base64
import json
import uuid
from datetime import datetime
from email.utils import format_datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

REFUSED = json.dumps({"error": {"code": 401, "message": "Invalid Credentials"}}).encode()
_OWN = frozenset({"connection", "host", "transfer-encoding", "content-length", "date", "server"})
_JSON_API = ("/storage/", "/upload/", "/download/", "/b/")
_XML = {"Content-Type": "application/xml"}


class Front(ThreadingHTTPServer):
    """The server.

    Attributes:
        number: Of the token that counts; tokens are called ``token-1`` and so on.
        key_id: The key that counts, of those with which an account signs its tokens itself.
        life_s: For how long it says that a token is good.
        is_open: Whether nobody is asked for a token.
        refused: How many requests came with another one.
    """

    daemon_threads = True

    def __init__(self, behind: str, *, is_open: bool = False) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = urlsplit(behind).netloc
        self.number, self.key_id, self.life_s, self.is_open, self.refused = 1, "key-1", 3600, is_open, 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def lets_in(self, said: str) -> bool:
        """Whether an ``Authorization`` is the present one: a token that was given, or one that an account signed."""
        token = said.removeprefix("Bearer ")
        if token.count(".") == 2:
            head = token.partition(".")[0]
            signed_by: object = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["kid"]
            return signed_by == self.key_id
        return self.is_open or token == f"token-{self.number}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Front

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        is_json = self.path.startswith(_JSON_API)
        if self.path == "/token":
            given = {"access_token": f"token-{self.server.number}", "expires_in": self.server.life_s}
            self._say(200, {"Content-Type": "application/json"}, json.dumps({**given, "token_type": "Bearer"}).encode())
        elif not self.server.lets_in(self.headers.get("Authorization", "")):
            self.server.refused += 1
            if is_json:
                self._say(401, {"Content-Type": "application/json"}, REFUSED)
            else:
                self._say_code(401, "AuthenticationRequired")
        elif is_json:
            passed = {name: value for name, value in self.headers.items() if name.lower() not in _OWN}
            self._say(*self._behind(self.command, self.path, body, passed))
        else:
            self._answer_xml(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = _answer  # noqa: N815 - their names there

    def _answer_xml(self, body: bytes) -> None:
        place = urlsplit(self.path)
        bucket, _, key = unquote(place.path).lstrip("/").partition("/")
        asked = {name: values[0] for name, values in parse_qs(place.query).items()}
        objects = f"/storage/v1/b/{bucket}/o"
        if not key:
            self._list(objects, asked)
            return
        where = f"{objects}/{quote(key, safe='')}"
        if self.command == "PUT":
            condition = self.headers.get("x-goog-if-generation-match")
            where = f"/upload{objects}?uploadType=multipart"  # of one of `media` the server forgets the condition
            where += f"&ifGenerationMatch={condition}" if condition is not None else ""
            status, _, said = self._behind("POST", where, *_in_parts(key, body))
            if status == 200:
                self._say(200, _of_object(json.loads(said)), b"")
            else:
                self._say_code(status, "PreconditionFailed" if status == 412 else "NoSuchBucket")
        elif self.command == "DELETE":
            status, _, _ = self._behind("DELETE", where, b"", {})
            self._say(status, {}, b"")
        else:
            status, _, said = self._behind("GET", where, b"", {})
            if status != 200:
                self._say_code(404, "NoSuchKey")
                return
            head = _of_object(json.loads(said))
            if self.command == "HEAD":
                self._say(200, {**head, "Content-Length": json.loads(said)["size"]}, b"")
                return
            span = {"Range": self.headers["Range"]} if self.headers.get("Range") else {}
            status, answered, content = self._behind("GET", f"/download{where}?alt=media", b"", span)
            ranges = {name: value for name, value in answered.items() if name.lower() == "content-range"}
            self._say(status, {**head, **ranges}, content)

    def _list(self, objects: str, asked: dict[str, str]) -> None:
        after = asked.get("start-after", "")
        question = {"prefix": asked.get("prefix", ""), "delimiter": asked.get("delimiter", "")}
        question |= {"pageToken": asked.get("continuation-token", "")}
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in question.items() if value)
        status, _, said = self._behind("GET", f"{objects}?{query}", b"", {})
        if status != 200:
            self._say_code(404, "NoSuchBucket")
            return
        found = json.loads(said)
        contents = "".join(
            f"<Contents><Key>{escape(each['name'])}</Key><LastModified>{each['updated']}</LastModified>"
            f"<ETag>{each['etag']}</ETag><Size>{each['size']}</Size></Contents>"
            for each in found.get("items", ())
            if each["name"] > after
        )
        folders = "".join(
            f"<CommonPrefixes><Prefix>{escape(each)}</Prefix></CommonPrefixes>" for each in found.get("prefixes", ())
        )
        more = found.get("nextPageToken")
        then = f"<NextContinuationToken>{more}</NextContinuationToken>" if more else ""
        self._say(200, _XML, f"<ListBucketResult>{contents}{folders}{then}</ListBucketResult>".encode())

    def _behind(
        self, command: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, dict[str, str], bytes]:
        behind = HTTPConnection(self.server.behind, timeout=60)
        behind.request(command, path, body, headers)
        reply = behind.getresponse()
        answer = reply.status, dict(reply.getheaders()), reply.read()
        behind.close()
        return answer

    def _say_code(self, status: int, code: str) -> None:
        said = f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{code}</Message></Error>"
        self._say(status, _XML, said.encode())

    def _say(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in _OWN:
                self.send_header(name, value)
        self.send_header("Content-Length", headers.get("Content-Length", "") or str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _in_parts(key: str, content: bytes) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of an upload in one request, which says the name in its first part."""
    line = f"=={uuid.uuid4().hex}=="
    first = f"Content-Type: application/json\r\n\r\n{json.dumps({'name': key})}\r\n"
    second = f"--{line}\r\nContent-Type: application/octet-stream\r\n\r\n"
    body = f"--{line}\r\n{first}{second}".encode() + content + f"\r\n--{line}--\r\n".encode()
    return body, {"Content-Type": f'multipart/related; boundary="{line}"'}


def _of_object(known: dict[str, str]) -> dict[str, str]:
    written = datetime.fromisoformat(known["updated"])
    return {
        "ETag": f'"{known["etag"]}"',
        "Last-Modified": format_datetime(written, usegmt=True),
        "x-goog-generation": known["generation"],
        "Content-Type": "application/octet-stream",
    }
