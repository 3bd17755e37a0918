"""The Postgres port over a handmade lake, in a thread with a loop of its own; and its protocol spoken by hand."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from handmade import Handmade

from seamline.serving.asking import Asker, Direct
from seamline.serving.role import listen
from seamline.serving.serving import Serving
from seamline.serving.wire.librarian import Catalogues
from seamline.serving.wire.listener import Listener
from seamline.serving.wire.wired import House

VIEW = """\
CREATE MATERIALIZED VIEW sales COMMENT 'Sales by hour and shop' AS
SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, shop, count(*) AS orders, sum(amount) AS amount,
       avg(amount) AS mean, max(placed) AS latest
FROM orders GROUP BY ALL
"""


class Port:
    """One that is open."""

    def __init__(self, made: Handmade, **house: Any) -> None:
        self.made = made
        self.serving: Serving = made.serving(query_seconds=2)
        self._socket = listen("127.0.0.1", 0)
        self.number: int = self._socket.getsockname()[1]
        self.loop = asyncio.new_event_loop()
        self._opened, self._stop, self._house = threading.Event(), asyncio.Event(), house
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._opened.wait(30)

    @property
    def url(self) -> str:
        return f"postgresql://me@127.0.0.1:{self.number}/seamline"

    def _run(self) -> None:
        self.loop.run_until_complete(self._serve())

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[Asker]:
        """Whoever answers, while the port is open."""
        yield Direct(lambda: self.serving)

    async def _serve(self) -> None:
        async with self.answering() as asker:
            catalogues = Catalogues(asker.snapshot)
            self.house = House(lambda: asker, catalogues, **self._house)
            listener = Listener(self.house, self._socket)
            await listener.open()
            self._opened.set()
            await self._stop.wait()
            await listener.close(5)
            await catalogues.close()
        await self.loop.shutdown_default_executor()  # a query that was cancelled runs on in its thread, for its time

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout=20)
        self.serving.close()


@contextmanager
def open_wire(folder: Path, rows: Any, view: str = VIEW, **house: Any) -> Iterator[Port]:
    made = Handmade(folder, view)
    made.epoch(rows)
    opened = Port(made, **house)
    try:
        yield opened
    finally:
        opened.close()


class Speaker:
    """The protocol by hand: what is sent is what a test says, byte by byte."""

    def __init__(self, port: int, **parameters: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._kept = b""
        self.key = (0, 0)
        if parameters:
            self.start(**parameters)

    def start(self, **parameters: str) -> list[tuple[str, bytes]]:
        body = struct.pack("!i", 196608) + b"".join(
            name.encode() + b"\0" + value.encode() + b"\0" for name, value in parameters.items()
        )
        self.raw(struct.pack("!i", len(body) + 5) + body + b"\0")
        found = self.until("Z", "E")
        self.key = next((struct.unpack("!II", data) for tag, data in found if tag == "K"), (0, 0))
        return found

    def raw(self, data: bytes) -> None:
        self.socket.sendall(data)

    def send(self, tag: str, body: bytes = b"") -> None:
        self.raw(tag.encode() + struct.pack("!i", len(body) + 4) + body)

    def query(self, sql: str) -> list[tuple[str, bytes]]:
        self.send("Q", sql.encode() + b"\0")
        return self.until("Z")

    def parse(self, sql: str, name: str = "") -> None:
        self.send("P", name.encode() + b"\0" + sql.encode() + b"\0\0\0")

    def bind(self, *values: bytes | None, portal: str = "", name: str = "", results: int = 0) -> None:
        said = b"".join(b"\xff\xff\xff\xff" if v is None else struct.pack("!i", len(v)) + v for v in values)
        body = portal.encode() + b"\0" + name.encode() + b"\0\0\0" + struct.pack("!h", len(values)) + said
        self.send("B", body + struct.pack("!hh", 1, results))

    def execute(self, portal: str = "", rows: int = 0) -> None:
        self.send("E", portal.encode() + b"\0" + struct.pack("!i", rows))

    def sync(self) -> list[tuple[str, bytes]]:
        self.send("S")
        return self.until("Z")

    def until(self, *tags: str) -> list[tuple[str, bytes]]:
        """Messages up to one of these; fails where the connection ends before."""
        found: list[tuple[str, bytes]] = []
        while not found or found[-1][0] not in tags:
            one = self.message()
            assert one is not None, f"the connection ended after {found[-3:]}"
            found.append(one)
        return found

    def rest(self) -> list[tuple[str, bytes]]:
        """All messages up to the connection's end."""
        found = []
        while (one := self.message()) is not None:
            found.append(one)
        return found

    def message(self) -> tuple[str, bytes] | None:
        head = self._exactly(5)
        if head is None:
            return None
        (size,) = struct.unpack("!i", head[1:])
        body = self._exactly(size - 4)
        return None if body is None else (head[:1].decode(), body)

    def _exactly(self, size: int) -> bytes | None:
        while len(self._kept) < size:
            try:
                more = self.socket.recv(65536)
            except ConnectionError:
                return None
            if not more:
                return None
            self._kept += more
        found, self._kept = self._kept[:size], self._kept[size:]
        return found

    def close(self) -> None:
        self.socket.close()


def fields(body: bytes) -> dict[str, str]:
    """What an ErrorResponse or NoticeResponse says, by field."""
    return {one[:1].decode(): one[1:].decode() for one in body.split(b"\0") if one}


def shape(messages: list[tuple[str, bytes]]) -> list[str]:
    """What can be compared of messages: tags; with SQLSTATEs, command tags, states and the number of rows."""
    found: list[str] = []
    for tag, body in messages:
        if tag in "EN":
            found.append(f"{tag} {fields(body)['C']}")
        elif tag == "C":
            found.append(f"C {body[:-1].decode()}")
        elif tag == "Z":
            found.append(f"Z {body.decode()}")
        elif tag not in "S":
            found.append(tag)
    return found
