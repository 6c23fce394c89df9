"""Who is answered: a browser of this machine that has the whole address."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from checkmaite.jobs_ui.guard import SECURITY_HEADERS, RefusedError, path_below
from checkmaite.jobs_ui.server import PageServer

from tests.ui.conftest import connection_to
from tests.ui.listed import Listed, sweep

TOKEN = "a-token"
HOST = "127.0.0.1:8700"


@pytest.mark.parametrize("host", ["127.0.0.1:8700", "localhost:8700", "localhost", "[::1]:8700"])
def test_names_of_this_machine_are_taken(host: str) -> None:
    assert path_below(f"/{TOKEN}/jobs.js", TOKEN, {"Host": host}) == "jobs.js"
    assert path_below(f"/{TOKEN}/", TOKEN, {"Host": host, "Origin": f"http://{host}"}, changes=True) == ""


@pytest.mark.parametrize(
    ("path", "headers", "why"),
    [
        ("/another/", {"Host": HOST}, "not complete"),
        ("/", {"Host": HOST}, "not complete"),
        ("/\u00e9/", {"Host": HOST}, "not complete"),
        (f"/{TOKEN}/", {"Host": "evil.example:8700"}, "127.0.0.1"),
        (f"/{TOKEN}/", {"Host": "127.0.0.1.evil.example"}, "127.0.0.1"),
        (f"/{TOKEN}/", {"Host": "localhost:8700@evil.example"}, "127.0.0.1"),
        (f"/{TOKEN}/", {}, "127.0.0.1"),
        (f"/{TOKEN}/", {"Host": HOST, "Origin": "http://evil.example"}, "another origin"),
        (f"/{TOKEN}/", {"Host": HOST, "Origin": "null"}, "another origin"),
        (f"/{TOKEN}/", {"Host": HOST, "Origin": "http://127.0.0.1:9999"}, "another origin"),
    ],
)
def test_all_else_is_refused(path: str, headers: dict[str, str], why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        path_below(path, TOKEN, headers)


def test_a_question_with_a_body_has_to_say_where_it_comes_from() -> None:
    with pytest.raises(RefusedError, match="from this page"):
        path_below(f"/{TOKEN}/api/sql", TOKEN, {"Host": HOST}, changes=True)


@pytest.fixture
def server(serving: Callable[..., PageServer], scores: Any) -> PageServer:
    return serving(Listed(sweep(3)), scores)


def _asked(server: PageServer, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, Any]:
    with connection_to(server.url) as connection:
        host = f"127.0.0.1:{connection.port}"
        prefix = "" if path.startswith("/") else server.url.removeprefix(f"http://{host}")
        content = None if body is None else json.dumps(body).encode()
        connection.request(method, f"{prefix}{path}", content, {"Host": host, **headers})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def test_the_server_asks_the_guard(server: PageServer) -> None:
    assert _asked(server, "GET", "api/scope")[0] == 200
    assert _asked(server, "GET", "/another-token/api/scope")[0] == 403
    assert _asked(server, "GET", "../api/scope")[0] == 404
    assert _asked(server, "GET", "api/scope", Host="evil.example")[0] == 403
    assert _asked(server, "GET", "api/scope", Origin="http://evil.example")[0] == 403
    port = server.url.split(":")[2].partition("/")[0]
    own = {"Origin": f"http://127.0.0.1:{port}", "Content-Type": "application/json"}
    assert _asked(server, "POST", "api/sql", {"sql": "select 1 as one"}, **own)[0] == 200
    assert _asked(server, "POST", "api/sql", {"sql": "select 1 as one"}, **{**own, "Origin": "null"})[0] == 403
    assert _asked(server, "POST", "api/sql", {"sql": "select 1"}, **{**own, "Content-Type": "text/plain"})[0] == 404
    assert _asked(server, "POST", "api/sql", {"sql": " " * 100_000}, **own)[0] == 403
    assert _asked(server, "DELETE", "api/jobs")[0] == 501


@pytest.mark.parametrize(
    "path", ["server.py", "../server.py", "%2e%2e/server.py", "page/index.html", "api/", "api/x", ""]
)
def test_nothing_but_the_page_is_served(server: PageServer, path: str) -> None:
    code, _, content = _asked(server, "GET", path)
    assert (code == 200) == (path == "")
    assert b"import" not in content


def test_each_answer_forbids_what_the_page_does_not_need(server: PageServer) -> None:
    for path in ("", "api/scope", "api/jobs/none", "nothing"):
        _, headers, _ = _asked(server, "GET", path)
        assert {name: headers[name] for name in SECURITY_HEADERS} == dict(SECURITY_HEADERS)
    policy = SECURITY_HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_it_listens_on_loopback_alone(server: PageServer) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    assert len(server.url.split("/")[3]) >= 32
