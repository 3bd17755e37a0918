"""The port that PostgreSQL's clients connect to: one task for each connection, in the loop of the front."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress

from seamline.serving.wire.sessions import Stop
from seamline.serving.wire.wired import House, WireConnection

_log = logging.getLogger("seamline.serving.wire")
BACKLOG_BYTES = 1 << 18


class _Watched(asyncio.StreamReaderProtocol):
    """Streams that tell when the client is gone while nobody reads."""

    def __init__(self, house: House) -> None:
        self.stop = Stop()
        self._house = house
        super().__init__(asyncio.StreamReader(limit=BACKLOG_BYTES), self._begun)

    def _begun(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(_run(WireConnection(self._house, reader, writer, self.stop)))
        self._house.connections.add(task)
        task.add_done_callback(self._house.connections.discard)

    def eof_received(self) -> bool | None:
        """A client that closes its half waits for nothing more."""
        self.stop.ask(gone=True)
        return super().eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """The network did it."""
        self.stop.ask(gone=True)
        super().connection_lost(exc)


async def _run(connection: WireConnection) -> None:
    try:
        await connection.run()
    except Exception:  # noqa: BLE001 - a defect ends one connection, and the log has its trace
        _log.exception("a connection of the Postgres port failed")


class Listener:
    """Listens while it is open."""

    def __init__(self, house: House, listening: socket.socket) -> None:
        self._house, self._socket = house, listening
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        """Begins to take connections."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Watched(self._house), sock=self._socket)

    async def close(self, seconds: float) -> None:
        """Takes no more; lets statements that run come to their end in that time, and ends the rest."""
        if self._server is not None:
            self._server.close()
        self._house.close()
        for task in list(self._house.connections):
            if task not in self._house.busy:
                task.cancel()
        if self._house.connections:
            await asyncio.wait(self._house.connections, timeout=seconds)
        for task in list(self._house.connections):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*self._house.connections, return_exceptions=True)
