"""The page's server: loopback alone, and read-only.

The standard library's server will do: its clients are the tabs of one person, each with a question or two under way.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from attrs import frozen
from checkmaite.jobs import (
    AnalyticsStore,
    BackendUnavailableError,
    JobNotFoundError,
    JobsError,
    StoreNotFoundError,
    StoreUnavailableError,
)
from checkmaite.jobs_ui import results
from checkmaite.jobs_ui.board import Board, JobSource
from checkmaite.jobs_ui.facts import detail_of
from checkmaite.jobs_ui.guard import SECURITY_HEADERS, RefusedError, path_below

PAGE = files("checkmaite.jobs_ui") / "page"
_log = logging.getLogger("checkmaite.jobs")
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_LONGEST_WAIT_S = 20.0
_MOST_BYTES = 64 * 1024
"""Of a question."""
_SOCKET_S = 60.0
_CODES: tuple[tuple[type[JobsError] | tuple[type[JobsError], ...], HTTPStatus], ...] = (
    (JobNotFoundError, HTTPStatus.NOT_FOUND),
    (StoreNotFoundError, HTTPStatus.NOT_FOUND),
    ((StoreUnavailableError, BackendUnavailableError), HTTPStatus.SERVICE_UNAVAILABLE),
)


@frozen
class Scope:
    """What is shown.

    Attributes:
        title: The name of the scope, or what stands for it.
        jobs: Its jobs.
        store: Its results; None where none is named.
    """

    title: str
    jobs: JobSource
    store: AnalyticsStore | None

    def described(self) -> dict[str, Any]:
        """For the head of the page."""
        return {
            "title": self.title,
            "store": self.store.uri if self.store is not None else None,
            "is_live": self.jobs.is_live,
        }


class PageServer:
    """Serves the page of a scope until its block ends, in threads of this process.

    Args:
        scope: What is shown.
        port: The port of loopback; any free one when 0.

    Attributes:
        url: The address, with the token in it: who has it sees the page.
    """

    def __init__(self, scope: Scope, port: int = 0) -> None:
        self._answers = Answers(scope, secrets.token_urlsafe(24))
        handler = type("Handler", (_Handler,), {"answers": self._answers})
        self._server = _Server(("127.0.0.1", port), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/{self._answers.token}/"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        threading.Thread(target=self._answers.look, daemon=True).start()  # the first tab finds the jobs there
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.is_over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def wait(self) -> None:
        """Block until the thread is interrupted."""
        self._answers.is_over.wait()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a tab that waits for news would hold it up

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a browser that leaves breaks off what it has asked for."""


class _NothingThereError(Exception):
    """A path, or a body, that means nothing."""


class Answers:
    """What is answered to which path. It knows no sockets."""

    def __init__(self, scope: Scope, token: str) -> None:
        self.token = token
        self.is_over = threading.Event()
        self._scope = scope
        self._board = Board(scope.jobs)

    @cached_property
    def _files(self) -> Mapping[str, bytes]:
        return page_files()

    def page(self, path: str) -> tuple[str, bytes]:
        """A file of the page, with its media type.

        Raises:
            _NothingThereError: There is none.
        """
        name = path or "index.html"
        if name not in self._files:
            raise _NothingThereError
        return _TYPES.get(name.rpartition(".")[2], "text/plain; charset=utf-8"), self._files[name]

    def asked(self, path: str, query: Mapping[str, str]) -> Any:
        """The answer to a question without a body.

        Raises:
            _NothingThereError: There is no such question.
            JobsError: It has no answer.
        """
        match path.split("/"):
            case ["scope"]:
                return self._scope.described()
            case ["jobs"]:
                after = _whole(query.get("after"))
                return _Json(self._board.changes(after, _LONGEST_WAIT_S, self.is_over.is_set))
            case ["jobs", job_id]:
                return self._job(unquote(job_id), _whole(query.get("from")), _whole(query.get("mark")))
            case ["occupancy"]:
                return {"resources": self._scope.jobs.occupancy()}
            case ["tables"]:
                return {"tables": results.tables_of(self._store)}
            case ["tables", name]:
                return results.preview_of(self._store, unquote(name), 100)
            case _:
                raise _NothingThereError

    def query(self, sql: str) -> Any:
        """The rows of a SELECT.

        Raises:
            JobsError: It has none.
        """
        return results.answer_of(self._store, sql)

    def look(self) -> None:
        """Look at the jobs once; whoever asks is told what is wrong, and not this."""
        with suppress(JobsError):
            self._board.changes(0, 0.0)

    @property
    def _store(self) -> AnalyticsStore:
        if self._scope.store is None:
            raise StoreNotFoundError("No analytics store is named.", uri="")
        return self._scope.store

    def _job(self, job_id: str, start: int, mark: int) -> dict[str, Any]:
        """A job with what is new in its log; all of it where its beginning is another one than the browser has."""
        detail = self._scope.jobs.detail(job_id)
        log = detail.log or ""
        if start > len(log) or mark != _mark(log[:start]):
            start = 0
        news = {"from": start, "text": log[start:], "end": len(log), "mark": _mark(log)}
        return {**detail_of(detail), "log": news}


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    answers: Answers
    protocol_version = "HTTP/1.1"
    server_version = "checkmaite-jobs"
    sys_version = ""
    timeout = _SOCKET_S

    def do_GET(self) -> None:
        """A file of the page, or the answer to a question; nothing is changed."""
        self._answer(self._got, has_body=False)

    def do_POST(self) -> None:
        """A query, whose text may be too long for an address; nothing is changed by it either."""
        self._answer(self._posted, has_body=True)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the address has the token in it."""

    def _got(self, path: str, query: Mapping[str, str]) -> tuple[str, bytes]:
        if path.startswith("api/"):
            return _json(self.answers.asked(path[4:], query))
        return self.answers.page(path)

    def _posted(self, path: str, query: Mapping[str, str]) -> tuple[str, bytes]:
        if path != "api/sql" or self.headers.get_content_type() != "application/json":
            raise _NothingThereError
        length = _whole(self.headers.get("Content-Length"))
        if not 0 < length <= _MOST_BYTES:
            raise RefusedError(f"A query may have {_MOST_BYTES:,} bytes.")
        try:
            sql = str(json.loads(self.rfile.read(length))["sql"])
        except (KeyError, TypeError, ValueError) as error:
            raise _NothingThereError from error
        return _json(self.answers.query(sql))

    def _answer(self, ask: Callable[[str, Mapping[str, str]], tuple[str, bytes]], *, has_body: bool) -> None:
        target = urlsplit(self.path)
        if self.answers.is_over.is_set():
            self.close_connection = True  # a connection from before would be served for as long as the process lives
            return
        if has_body:
            self.close_connection = True  # of a refused one the body is still to come
        headers = {name.title(): value for name, value in self.headers.items()}
        try:
            path = path_below(target.path, self.answers.token, headers, changes=has_body)
            self._send(HTTPStatus.OK, *ask(path, dict(parse_qsl(target.query))))
        except RefusedError as error:
            self._send(HTTPStatus.FORBIDDEN, "text/plain; charset=utf-8", f"{error}\n".encode())
        except _NothingThereError:
            self._send(HTTPStatus.NOT_FOUND, *_json({"error": "There is no such page."}))
        except JobsError as error:
            code = next((code for kind, code in _CODES if isinstance(error, kind)), HTTPStatus.UNPROCESSABLE_ENTITY)
            self._send(code, *_json({"error": str(error)}))
        except OSError:  # the browser has left
            self.close_connection = True
        except Exception as error:  # noqa: BLE001 - a fault of one answer; the page says that there is one
            _log.exception("an answer of the page failed")
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, *_json({"error": f"{type(error).__name__}: {error}"}))

    def _send(self, code: HTTPStatus, media_type: str, content: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(content)))
        for name, value in SECURITY_HEADERS.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)


def page_files() -> dict[str, bytes]:
    """All files of the page by their relative path. Nothing else is ever served."""
    found = {}
    folders = [("", PAGE)]
    for prefix, folder in folders:
        for each in folder.iterdir():
            if each.is_dir():
                folders.append((f"{prefix}{each.name}/", each))
            else:
                found[f"{prefix}{each.name}"] = each.read_bytes()
    return found


class _Json(str):
    """A text that is JSON already."""


def _json(value: Any) -> tuple[str, bytes]:
    text = value if isinstance(value, _Json) else json.dumps(value, allow_nan=False)
    return "application/json; charset=utf-8", text.encode()


def _whole(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) < 16 else 0


def _mark(text: str) -> int:
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))
