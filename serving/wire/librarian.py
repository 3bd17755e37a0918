"""The catalogue's own process: what a client asks of it runs there, and can be killed. The front only passes texts on.

Messages on its input and output are a length (four bytes) and that many bytes: JSON; a table is an Arrow IPC stream.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import struct
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, BinaryIO

import pyarrow as pa
from pyarrow import ipc

from seamline.ipc import to_ipc
from seamline.observe.meters import METERS
from seamline.serving.callers import Caller
from seamline.serving.snapshot import Snapshot
from seamline.serving.wire.failing import WireError
from seamline.serving.wire.library import SECONDS, Library
from seamline.serving.wire.shelf import Listed, ListedColumn, listed

MEMORY = 1 << 30
"""Bytes of data that the process may have; beyond it ends."""
SHELVES = 8
"""Callers' catalogues that it holds ready."""
BEGIN_SECONDS = 60.0
"""In which a process is there, and holds a caller's catalogue."""
GRACE = 1.0
"""Seconds that it has to stop a query by itself."""
REFUSED = "seamline_catalogue_refused_total"

_LENGTH = struct.Struct("!I")


class Catalogues:
    """Answers for the front: processes that are started when they are needed, and again when they are gone.

    One caller's queries run one after another, so that a mad one holds up no more than one of the processes.
    """

    def __init__(self, snapshot: Callable[[Caller], Snapshot], processes: int = 2) -> None:
        """`snapshot`: the newest, as a caller may see it."""
        self._snapshot = snapshot
        self._idle = asyncio.Queue[_Clerk]()
        for _ in range(processes):
            self._idle.put_nowait(_Clerk())
        self._turns: dict[str, asyncio.Lock] = {}
        self._clerks: list[_Clerk] = []

    async def describe(self, sql: str, caller: Caller) -> pa.Schema:
        """The columns of an answer. Raises WireError."""
        return (await self._asked({"describe": sql}, caller)).schema

    async def answer(self, sql: str, values: Sequence[Any], caller: Caller, session: Mapping[str, str]) -> pa.Table:
        """An answer, whole. Raises WireError; what it cannot answer is counted."""
        said = [one if isinstance(one, bool | int | float | str | None) else str(one) for one in values]
        return await self._asked({"answer": sql, "values": said, "session": dict(session)}, caller)

    async def close(self) -> None:
        """Ends the processes."""
        for clerk in self._clerks:
            await clerk.end()

    async def _asked(self, request: dict[str, Any], caller: Caller) -> pa.Table:
        views = listed(self._snapshot(caller))
        async with self._turns.setdefault(caller.name, asyncio.Lock()):
            clerk = await self._idle.get()
            if clerk not in self._clerks:
                self._clerks.append(clerk)
            try:
                return await clerk.ask(request, views)
            except WireError as error:
                if error.sqlstate in ("0A000", "42P01", "42883"):
                    METERS.count(REFUSED, sqlstate=error.sqlstate)
                raise
            finally:
                self._idle.put_nowait(clerk)


class _Clerk:
    """One process, and the front's end of its pipes."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def ask(self, request: dict[str, Any], views: tuple[Listed, ...]) -> pa.Table:
        """Raises WireError: 57014 where it takes too long, 57P02 where the process ended."""
        shelf = str(hash(views))
        try:
            async with asyncio.timeout(BEGIN_SECONDS):
                if await self._passed({"shelf": shelf}) == b"?":
                    await self._passed({"shelf": shelf, "views": [asdict(one) for one in views]})
            async with asyncio.timeout(SECONDS + GRACE):
                reply = await self._passed({**request, "shelf": shelf})
        except TimeoutError:
            await self.end()
            raise WireError("57014", f"a query of the catalogue over {SECONDS:g} seconds") from None
        except (OSError, EOFError):
            await self.end()
            raise WireError("53200", "the catalogue ran out of memory, and begins anew") from None
        except BaseException:
            await self.end()  # it would answer the next one with this one's answer
            raise
        if reply[:1] == b"!":
            raise WireError(**json.loads(reply[1:]))
        with ipc.open_stream(pa.BufferReader(reply)) as reader:
            return reader.read_all()

    async def _passed(self, request: dict[str, Any]) -> bytes:
        process = self._process
        if process is None or process.returncode is not None:
            process = self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "seamline.serving.wire.librarian",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=_environment(),
            )  # fmt: skip
        if process.stdin is None or process.stdout is None:
            raise OSError("no pipes")
        data = json.dumps(request).encode()
        process.stdin.write(_LENGTH.pack(len(data)) + data)
        await process.stdin.drain()
        (size,) = _LENGTH.unpack(await process.stdout.readexactly(4))
        return await process.stdout.readexactly(size)

    async def end(self) -> None:
        """Kills the process."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _environment() -> dict[str, str]:
    """What it needs to find itself; no secret of the role's."""
    return {
        name: value for name, value in os.environ.items() if name in ("PATH", "PYTHONPATH", "HOME", "LANG", "TMPDIR")
    }


# in the process


class _Shelves:
    """The catalogues that are held ready, the least used of which go."""

    def __init__(self) -> None:
        self._held = OrderedDict[str, Library]()

    def of(self, name: str, views: list[dict[str, Any]] | None) -> Library | None:
        """One by its name; made of these views where it is not held; None where there are none to make it of."""
        found = self._held.pop(name, None)
        if found is None and views is not None:
            found = Library(
                Listed(one["name"], one["comment"], tuple(ListedColumn(**column) for column in one["columns"]))
                for one in views
            )
        if found is not None:
            self._held[name] = found
            if len(self._held) > SHELVES:
                self._held.popitem(last=False)[1].close()
        return found


def _answered(shelves: _Shelves, request: dict[str, Any]) -> bytes:
    library = shelves.of(request["shelf"], request.get("views"))
    if library is None:
        return b"?"
    try:
        if "describe" not in request and "answer" not in request:
            return b""
        if "describe" in request:
            return to_ipc(library.describe(request["describe"]).empty_table())
        return to_ipc(library.answer(request["answer"], request["values"], request["session"]))
    except WireError as error:
        said = {"sqlstate": error.sqlstate, "message": error.message, "detail": error.detail, "hint": error.hint}
        return b"!" + json.dumps({**said, "position": error.position}).encode()


def serve(asked: BinaryIO, told: BinaryIO) -> None:
    """Answers until its input ends."""
    shelves = _Shelves()
    while head := asked.read(4):
        request = json.loads(asked.read(*_LENGTH.unpack(head)))
        reply = _answered(shelves, request)
        told.write(_LENGTH.pack(len(reply)) + reply)
        told.flush()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    serve(sys.stdin.buffer, sys.stdout.buffer)
