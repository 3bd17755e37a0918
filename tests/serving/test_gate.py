"""Who may ask the HTTP role, and how much: its own names, no page of another site, and bodies that end."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest
from fastapi import FastAPI
from test_http import Role, running_role
from waiting import wait_until

from seamline.serving.http.gate import LARGEST_BODY, Gate

QUERY = json.dumps({"sql": "SELECT 1 AS x"})


@pytest.fixture(scope="module")
def role(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Role]:
    with running_role(tmp_path_factory.mktemp("gate"), hosts=["numbers.example"], body_seconds=0.5) as running:
        yield running


def address(role: Role) -> tuple[str, int]:
    host, port = role.socket.getsockname()[:2]
    return str(host), int(port)


@pytest.mark.parametrize("path", ["/v1/status", "/healthz", "/v1/query?sql=SELECT+1", "/nowhere"])
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8765",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "10.0.0.1",
        "[::2]",
        "[::1",
        "::1",
        "x@localhost",
        "localhost/x",
        "localhost:8765:1",
        "",
    ],
)
def test_a_strangers_host_is_not_answered(role: Role, path: str, host: str) -> None:
    answer = role.client.get(path, headers={"Host": host})
    assert (answer.status_code, answer.json()["condition"]) == (403, "REQUEST_REFUSED")
    assert "sum" not in answer.text


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:1",
        "localhost.",
        "a.localhost",
        "127.0.0.1",
        "127.8.8.8:99",
        "[::1]:8765",
        "numbers.example:80",
    ],
)
def test_its_own_names_are_answered(role: Role, host: str) -> None:
    assert role.client.get("/healthz", headers={"Host": host}).status_code == 200
    posted = role.client.post("/v1/query", content=QUERY, headers={"Host": host, "Content-Type": "application/json"})
    assert posted.json()["rows"] == [[1]]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://["}, 403),
        ({"Origin": ""}, 403),
        ({"Origin": "http://localhost:9"}, 403),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({}, 200),
    ],
)
def test_only_its_own_pages_and_programs_may_ask(role: Role, headers: dict[str, str], status: int) -> None:
    sent = {"Host": "localhost", **headers}
    assert role.client.get("/v1/query", params={"sql": "SELECT 1"}, headers=sent).status_code == status
    posted = role.client.post("/v1/query", content=QUERY, headers={**sent, "Content-Type": "application/json"})
    assert posted.status_code == status


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "", "multipart/form-data"])
def test_a_form_of_another_site_cannot_post_a_query(role: Role, media: str) -> None:
    posted = role.client.post("/v1/query", content=QUERY, headers={"Content-Type": media})
    assert (posted.status_code, posted.json()["condition"]) == (415, "REQUEST_REFUSED")
    right = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert role.client.post("/v1/query", content=QUERY, headers=right).status_code == 200


def head(*lines: str) -> bytes:
    return "\r\n".join(["POST /v1/query HTTP/1.1", "Host: localhost", *lines, "", ""]).encode()


JSON = "Content-Type: application/json"
CHUNK = b"%x\r\n%b\r\n" % (1 << 16, b" " * (1 << 16))


def answer_to(role: Role, first: bytes, endless: bytes) -> tuple[int, int]:
    """The status that a request gets, and the bytes that it could send before the connection ended."""
    sent = 0
    with closing(socket.create_connection(address(role), timeout=20)) as talking:
        talking.sendall(first)
        talking.settimeout(0.05 if not endless else 20)
        said = b""

        def over() -> bool:
            nonlocal said, sent
            try:
                if endless and sent < 64 * LARGEST_BODY and not said:
                    talking.sendall(endless)
                    sent += len(endless)
                    return False
                more = talking.recv(65536)
            except TimeoutError:
                return False
            except OSError:
                return True
            said += more
            return not more

        wait_until(over, 20, "the connection is ended")
    return (int(said.split(b" ")[1]) if said else 0), sent


@pytest.mark.parametrize(
    ("lines", "endless", "status"),
    [
        ((JSON, "Transfer-Encoding: chunked"), CHUNK, 413),
        ((JSON, f"Content-Length: {64 * LARGEST_BODY}"), CHUNK, 413),
        (("Content-Type: text/plain", "Transfer-Encoding: chunked"), CHUNK, 415),
        ((JSON, "Content-Length: 20"), b"", 408),
        ((JSON, "Transfer-Encoding: chunked"), b"", 408),
    ],
)
def test_a_body_is_read_so_far_and_so_long(role: Role, lines: tuple[str, ...], endless: bytes, status: int) -> None:
    got, sent = answer_to(role, head(*lines), endless)
    assert got in (status, 0)  # the answer may be lost where bytes still came when the connection was ended
    assert sent < 16 * LARGEST_BODY
    assert role.query("SELECT 1 AS x").json()["rows"] == [[1]]


def test_a_body_belongs_to_post(role: Role) -> None:
    answer = role.client.request("GET", "/healthz", content=b"x")
    assert (answer.status_code, answer.json()["condition"]) == (400, "REQUEST_REFUSED")


def test_a_defect_in_a_route_has_a_condition(role: Role) -> None:
    app = role.server.config.app
    assert isinstance(app, FastAPI)

    @app.get("/defect")
    def defect() -> None:
        raise ZeroDivisionError("of someone's own")

    answer = role.client.get("/defect")
    assert (answer.status_code, answer.json()["condition"]) == (500, "UNEXPECTED")
    assert "someone" not in answer.text


def test_a_query_that_is_as_long_as_it_may_be_passes_the_gate(role: Role) -> None:
    sql = "SELECT '" + "\u00e9" * 90_000 + "' AS x"
    assert role.query(sql).json()["rows"][0][0][:1] == "\u00e9"
    assert Gate.seconds >= 5
