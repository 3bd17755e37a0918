"""One connection, from its first byte on: encryption, who it is, and then messages until it ends.

Nothing that a client sends is more than a clean error or the end of its connection: sizes and times are bounded.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol, cast

from seamline.errors import Condition, SeamlineError
from seamline.serving.access.auditlog import AuditLog
from seamline.serving.asking import Asker
from seamline.serving.callers import LOCAL, Caller
from seamline.serving.wire import protocol, sasl
from seamline.serving.wire.commands import zone_notice
from seamline.serving.wire.failing import WireError, fatal, told
from seamline.serving.wire.protocol import Cancel, Encrypt, Password, Startup
from seamline.serving.wire.questions import Librarian, Questions
from seamline.serving.wire.sasl import Proving
from seamline.serving.wire.sessions import Session, Stop
from seamline.serving.wire.variables import Variables, is_utc

DATABASE = "seamline"
FIRST_BYTES = 10_000
"""Of the first message, as PostgreSQL has it."""
MOST_BYTES = 4 << 20
"""Of any other: a text, or the values of one Bind."""
STARTUP_SECONDS = 10.0
"""Until a client has said who it is."""
MESSAGE_SECONDS = 30.0
"""From a message's first bytes to its last."""
SEND_SECONDS = 60.0
"""In which a client takes something of what it is sent."""
KEPT = 1 << 16
"""Bytes that are gathered before they are written."""


class Doors(Protocol):
    """Who may come in."""

    @property
    def required(self) -> bool:
        """Whether a password is asked for."""
        ...

    def verifier(self, user: str) -> Proving | None:
        """What a user's password is checked by."""
        ...

    def named(self, user: str) -> Caller:
        """Who was checked by that name. Raises SeamlineError where they may not come in any more."""
        ...


class Open:
    """Doors where there are no tokens: whoever reaches the port is let in, and it is bound to this machine."""

    required = False

    def verifier(self, user: str) -> None:
        """Nobody has a password."""

    def named(self, user: str) -> Caller:
        """Anybody."""
        del user
        return LOCAL


@dataclass
class House:
    """What all connections share."""

    asker: Callable[[], Asker]
    librarian: Librarian
    doors: Doors = field(default_factory=Open)
    tls: ssl.SSLContext | None = None
    most: int = 100
    """Connections at one time."""

    startup_seconds: float = STARTUP_SECONDS
    sessions: dict[tuple[int, int], Stop] = field(default_factory=dict)
    """By process and secret, as a CancelRequest names them."""

    connections: set[asyncio.Task[None]] = field(default_factory=set)
    busy: set[asyncio.Task[None]] = field(default_factory=set)
    """Those that answer a statement, or stand inside a transaction."""

    audit: AuditLog | None = None
    """Where it is kept who was not let in."""

    key: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    """For the salts of users that there are not."""

    closing: bool = False
    numbers: int = 0

    def close(self) -> None:
        """Sessions end as soon as they are idle."""
        self.closing = True

    def process(self) -> int:
        """A number for a new session."""
        self.numbers = self.numbers % 0x7FFFFFFF + 1
        return self.numbers


class WireConnection:
    """One of them."""

    def __init__(self, house: House, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stop: Stop) -> None:
        self._house, self._reader, self._writer, self._stop = house, reader, writer, stop
        self._kept = bytearray()

    async def run(self) -> None:
        """Until either side ends it. Raises nothing but what ends the process."""
        try:
            async with asyncio.timeout(self._house.startup_seconds):
                session = await self._started()
            if session is not None:
                await self._serve(session)
        except WireError as error:
            await self._last(error)
        except SeamlineError as error:
            found = told(error)
            await self._last(fatal(found.sqlstate, found.message, detail=found.detail, hint=found.hint))
        except (TimeoutError, OSError, EOFError, ssl.SSLError):
            pass  # a client that is too slow, or gone
        finally:
            self._writer.close()
            with suppress(OSError, ssl.SSLError, TimeoutError):
                async with asyncio.timeout(1):
                    await self._writer.wait_closed()

    async def _serve(self, session: Session) -> None:
        process, secret = self._house.process(), secrets.randbits(32)
        self._house.sessions[process, secret] = self._stop
        me = cast("asyncio.Task[None]", asyncio.current_task())  # it runs in one
        try:
            for name, value in session.variables.reported().items():
                self._send(protocol.status(name, value))
            self._send(protocol.key(process, secret) + protocol.ready("I"))
            await self._flush()
            going = True
            while going:
                if self._house.closing and session.state == "I":
                    raise fatal("57P01", "terminating connection due to administrator command")
                try:
                    message = protocol.read(*await self._message())
                except WireError as error:
                    if error.severity == "FATAL":
                        raise
                    session.refuse(error)
                    continue
                self._house.busy.add(me)
                going = await session.take(message)
                if session.state == "I":
                    self._house.busy.discard(me)
        finally:
            self._house.busy.discard(me)
            del self._house.sessions[process, secret]
            await session.close()

    # the beginning

    async def _started(self) -> Session | None:
        encrypted = False
        while True:
            first = protocol.read_first(await self._first())
            if isinstance(first, Cancel):
                if (stop := self._house.sessions.get((first.process, first.secret))) is not None:
                    stop.ask()
                return None
            if isinstance(first, Startup):
                return await self._begun(first)
            encrypted = await self._encrypted(first, encrypted)

    async def _encrypted(self, first: Encrypt, already: bool) -> bool:
        tls = self._house.tls
        if not first.tls or tls is None or already:
            self._writer.write(b"N")
            await self._writer.drain()
            return already
        if self._reader._buffer:  # type: ignore[attr-defined]
            raise fatal("08P01", "received unencrypted data after SSL request")
        self._writer.write(b"S")
        await self._writer.drain()
        await self._writer.start_tls(tls)
        return True

    async def _begun(self, startup: Startup) -> Session:
        given = dict(startup.parameters)
        user = given.pop("user", "")
        if not user:
            raise fatal("28000", "no PostgreSQL user name specified in startup packet")
        database = given.pop("database", user)
        if len(self._house.connections) > self._house.most:
            raise fatal("53300", "sorry, too many clients already", detail=f"{self._house.most} connections")
        if given.pop("replication", "false").lower() not in ("false", "off", "no", "0"):
            raise fatal("0A000", "replication connections are not served")
        unknown = [name for name in given if name.startswith("_pq_.")]
        if startup.minor or unknown:
            self._send(protocol.negotiated(unknown))
        try:
            await self._let_in(user)
        except WireError as error:
            self._keep(user, error)
            raise
        self._send(protocol.AUTHENTICATED)
        variables = self._variables(given, user, database)
        questions = Questions(self._house.asker(), self._house.librarian, lambda: self._house.doors.named(user))
        return Session(user, questions, variables, self._send, self._flush, self._stop)

    def _variables(self, given: dict[str, str], user: str, database: str) -> Variables:
        wanted = {name: value for name, value in given.items() if not name.startswith("_pq_.")}
        wanted.update(_options(wanted.pop("options", "")))
        try:
            found = Variables(wanted)
        except WireError as error:
            raise fatal(error.sqlstate, error.message, detail=error.detail, hint=error.hint) from None
        for name, value in wanted.items():
            if name.lower() == "timezone" and not is_utc(value):
                self._send(protocol.error_response(zone_notice(value)))
        found.note("session_authorization", user)
        found.note("seamline.database", database)
        return found

    async def _let_in(self, user: str) -> None:
        """Lets somebody in. Raises a fatal WireError: 28P01 where the password is wrong, or there is no such user."""
        if not self._house.doors.required:
            return
        if self._house.tls is not None and self._writer.get_extra_info("ssl_object") is None:
            raise fatal("28000", "a connection without encryption", hint="connect with sslmode=require, or better")
        kept: Proving = self._house.doors.verifier(user) or sasl.nobody(user, self._house.key)
        self._send(protocol.sasl(10, protocol.zeroed(sasl.MECHANISM) + b"\0"))
        try:
            said = sasl.challenge(_first_step(await self._secret()), kept, secrets.token_urlsafe(18).encode())
            self._send(protocol.sasl(11, said.text))
            word = sasl.final(await self._secret(), said, kept)
        except sasl.ScramError as error:
            raise fatal("08P01", f"malformed SCRAM message: {error}") from None
        if word is None:
            raise fatal(
                "28P01",
                f'password authentication failed for user "{user}"',
                hint="a token is the password, its name the user",
            )
        self._send(protocol.sasl(12, word))

    def _keep(self, user: str, error: WireError) -> None:
        if self._house.audit is not None:
            client = str((self._writer.get_extra_info("peername") or ("",))[0])
            outcome = str(Condition.UNAUTHENTICATED)
            self._house.audit.not_let_in("postgres", client, f"user {user}", outcome, error.message)

    async def _secret(self) -> bytes:
        await self._flush()
        message = protocol.read(*await self._message(FIRST_BYTES))
        if not isinstance(message, Password):
            raise fatal("08P01", "expected SASL response")
        return message.data

    # bytes

    async def _first(self) -> bytes:
        (size,) = struct.unpack("!i", await self._reader.readexactly(4))
        if not 8 <= size <= FIRST_BYTES:
            raise fatal("08P01", "invalid length of startup packet")
        return await self._reader.readexactly(size - 4)

    async def _message(self, most: int = MOST_BYTES) -> tuple[str, bytes]:
        """A message's tag and body. Waits for its beginning as long as it takes, for its end not."""
        tag = await self._reader.readexactly(1)
        async with asyncio.timeout(MESSAGE_SECONDS):
            (size,) = struct.unpack("!i", await self._reader.readexactly(4))
            if not 4 <= size <= most:
                raise fatal("08P01", f"invalid message length {size}", detail=f"4 to {most:,} bytes")
            return tag.decode("latin-1"), await self._reader.readexactly(size - 4)

    def _send(self, data: bytes) -> None:
        self._kept += data
        if len(self._kept) > KEPT:
            self._write()

    def _write(self) -> None:
        if self._kept:
            self._writer.write(bytes(self._kept))
            self._kept.clear()

    async def _flush(self) -> None:
        self._write()
        async with asyncio.timeout(SEND_SECONDS):
            await self._writer.drain()

    async def _last(self, error: WireError) -> None:
        self._send(protocol.error_response(error))
        with suppress(OSError, TimeoutError, ssl.SSLError):
            async with asyncio.timeout(1):
                await self._flush()


def _first_step(data: bytes) -> bytes:
    """What SASLInitialResponse holds: the mechanism's name, and the client's first message."""
    name, found, rest = data.partition(b"\0")
    if not found or len(rest) < 4 or name != sasl.MECHANISM.encode():
        raise fatal("08P01", "client selected an invalid SASL authentication mechanism", detail=sasl.MECHANISM)
    (size,) = struct.unpack("!i", rest[:4])
    if size != len(rest) - 4:
        raise fatal("08P01", "malformed SASL initial response")
    return rest[4:]


def _options(text: str) -> dict[str, str]:
    """`-c name=value`, as PGOPTIONS has them."""
    words, found = text.replace("-c ", "-c").split(), {}
    for word in words:
        name, sign, value = word.removeprefix("-c").removeprefix("--").partition("=")
        if not sign or not word.startswith("-"):
            raise fatal("42601", f"invalid command-line argument for server process: {word}")
        found[name] = value
    return found
