"""A client of live updates: it folds what events say, and knows nothing of how they are made."""

from __future__ import annotations

import json
import queue
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass
class Folded:
    """What a client has: rows by their keys, or in their order."""

    epoch: int = 0
    id: str = ""
    rows: list[list[Any]] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    last: dict[str, Any] = field(default_factory=dict)

    def take(self, kind: str, data: str, id_: str = "") -> None:
        """Folds one event."""
        said = self.last = json.loads(data)
        self.kinds.append(kind)
        self.id = id_ or self.id
        self.epoch = said.get("epoch", self.epoch)
        if kind == "answer":
            self.rows = said["rows"]
        elif kind == "changes":
            places = [[one["name"] for one in said["columns"]].index(key) for key in said["keys"]]
            changed = [[row[place] for place in places] for row in said["rows"]] + said["gone"]
            kept = [row for row in self.rows if [row[place] for place in places] not in changed]
            self.rows = kept + said["rows"]


def events(lines: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Kind, data and id of each event of a stream, as the standard has it; comments are left out."""
    said: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(":")
            said |= {name: value.removeprefix(" ")} if name else {}
        elif "event" in said:
            yield said["event"], said["data"], said.get("id", "")
            said = {}


class Follower:
    """Reads a stream in a thread."""

    def __init__(self, response: httpx.Response) -> None:
        self.state = Folded()
        self.taken: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.ended = threading.Event()
        self._response = response
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            for kind, data, id_ in events(self._response.iter_lines()):
                self.state.take(kind, data, id_)
                self.taken.put(kind)
        except (httpx.HTTPError, httpx.StreamError):
            self.taken.put("cut")
        self.ended.set()

    def next(self) -> str:
        """Waits for one more event."""
        return self.taken.get(timeout=30)


@contextmanager
def following(client: httpx.Client, path: str, headers: Any = None, **said: Any) -> Iterator[Follower]:
    """A stream, until the end of the block."""
    with client.stream("GET" if "json" not in said else "POST", path, headers=headers, timeout=30, **said) as response:
        if response.status_code != 200:
            response.read()
            raise AssertionError(response.text)
        found = Follower(response)
        try:
            yield found
        finally:  # to close it is not enough while the thread reads
            with suppress(OSError):
                response.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)
            found.ended.wait(10)
