"""Connections that say nothing, say it slowly, or say too much end; as many as may be go on meanwhile."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import uvicorn
from handmade import Handmade
from waiting import wait_until

from seamline.config import Settings
from seamline.serving.follower import Follower
from seamline.serving.http.app import create_app
from seamline.serving.http.connections import LARGEST_HEAD, bounded
from seamline.serving.role import listen

SECONDS = 0.3
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    made = Handmade(tmp_path_factory.mktemp("connections"))
    follower = Follower(made.lake, Settings(), made.clock)
    made_by = bounded(most=5, seconds=SECONDS)
    config = uvicorn.Config(create_app(follower), http=made_by, log_level="critical")  # type: ignore[arg-type]
    server, listening = uvicorn.Server(config), listen("127.0.0.1", 0)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    wait_until(lambda: server.started, 30, "the server listens")
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join()


def opened(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def rest(of: socket.socket) -> bytes:
    """What comes until the other side ends it."""
    found = b""
    while piece := of.recv(1 << 16):
        found += piece
    return found


@pytest.mark.parametrize("said", [b"", b"G", GET, GET + b"X: y\r\n", GET + b"\r\n"])
def test_one_that_says_nothing_more_ends(port: int, said: bytes) -> None:
    began = time.monotonic()
    with opened(port) as one:
        one.sendall(said)
        if said.endswith(b"\r\n\r\n"):
            assert one.recv(1 << 16).startswith(b"HTTP/1.1 503")
            one.sendall(b"GET")  # the next request of the same connection
        found = rest(one)
    assert found.startswith(b"HTTP/1.1 408")
    assert b"application/problem+json" in found
    assert b"REQUEST_REFUSED" in found
    assert time.monotonic() - began < SECONDS + 5


def test_one_that_says_it_drop_by_drop_ends(port: int) -> None:
    with opened(port) as one:
        one.sendall(GET)
        one.settimeout(SECONDS / 10)
        for _ in range(1000):
            one.sendall(b"X: y\r\n")
            try:
                found = one.recv(1 << 16)
            except TimeoutError:
                continue
            break
    assert found.startswith(b"HTTP/1.1 408")


def test_a_head_without_end_is_cut_off(port: int) -> None:
    with opened(port) as one:
        one.sendall(GET + b"X: " + b"y" * (LARGEST_HEAD + 10))
        assert rest(one).startswith(b"HTTP/1.1 431")


def test_requests_follow_each_other_and_a_slow_reader_is_no_slow_writer(port: int) -> None:
    with opened(port) as one:
        for _ in range(3):
            one.sendall(GET + b"\r\n")
            assert one.recv(1 << 16).startswith(b"HTTP/1.1 503")  # it has no snapshot
        one.sendall((GET + b"\r\n") * 2 + GET + b"Connection: close\r\n\r\n")
        assert rest(one).count(b"HTTP/1.1 503") == 3


def test_beyond_as_many_as_may_be_one_more_is_told_so(port: int) -> None:
    with ExitStack() as held:
        several = [held.enter_context(opened(port)) for _ in range(5)]
        for one in several:
            one.sendall(GET + b"\r\n")
            assert b'"ready":false' in one.recv(1 << 16)
        with opened(port) as more:
            found = rest(more)
        assert found.startswith(b"HTTP/1.1 503")
        assert b"SERVING_BUSY" in found
        assert b"Retry-After: 1" in found
