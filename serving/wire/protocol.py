"""The messages of PostgreSQL's protocol 3.0 as values: what a client sends is read, what it is told is made. No I/O.

https://www.postgresql.org/docs/15/protocol-message-formats.html
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from seamline.serving.wire.failing import WireError, fatal

VERSION = 3 << 16
SSL_REQUEST = 80877103
GSS_REQUEST = 80877104
CANCEL_REQUEST = 80877102
"""What stands in the place of the version in the first message of a connection."""

TEXT, BINARY = 0, 1
"""Formats of a value."""

NULL = b"\xff\xff\xff\xff"


@dataclass(frozen=True)
class Startup:
    """The first message: who connects, to what, and with which settings."""

    parameters: dict[str, str]
    minor: int = 0


@dataclass(frozen=True)
class Encrypt:
    """A client asks for TLS, or for GSSAPI."""

    tls: bool


@dataclass(frozen=True)
class Cancel:
    """On a connection of its own: the running query of another is to end."""

    process: int
    secret: int


@dataclass(frozen=True)
class SimpleQuery:
    """A text of any number of statements."""

    sql: str


@dataclass(frozen=True)
class Parse:
    """A statement to keep by a name ('': until the next), with the types of some of its parameters (0: not said)."""

    name: str
    sql: str
    kinds: tuple[int, ...]


@dataclass(frozen=True)
class Bind:
    """A portal: a statement with values for its parameters, and the formats of its columns."""

    portal: str
    statement: str
    formats: tuple[int, ...]
    values: tuple[bytes | None, ...]
    results: tuple[int, ...]


@dataclass(frozen=True)
class Describe:
    """What a statement ('S') or a portal ('P') gives."""

    kind: str
    name: str


@dataclass(frozen=True)
class Execute:
    """Rows of a portal, at most `rows` (0: all)."""

    portal: str
    rows: int


@dataclass(frozen=True)
class Close:
    """Forget a statement ('S') or a portal ('P')."""

    kind: str
    name: str


@dataclass(frozen=True)
class Password:
    """A password, or a step of SASL: the bytes as they came."""

    data: bytes


@dataclass(frozen=True)
class Bare:
    """A message without a body that is read: Sync 'S', Flush 'H', Terminate 'X', or one of COPY's 'd', 'c', 'f'."""

    tag: str


Message: TypeAlias = SimpleQuery | Parse | Bind | Describe | Execute | Close | Password | Bare


class _Fields:
    """Takes a message's fields one by one; what is not there is a broken message."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def number(self, form: str) -> int:
        size = struct.calcsize(form)
        return int(struct.unpack(form, self.take(size))[0])

    def take(self, size: int) -> bytes:
        found = self._data[self._at : self._at + size]
        if size < 0 or len(found) < size:
            raise broken("a message that is shorter than it says")
        self._at += size
        return found

    def text(self) -> str:
        end = self._data.find(b"\0", self._at)
        if end < 0:
            raise broken("a text without its end")
        found, self._at = self._data[self._at : end], end + 1
        return utf8(found)

    def count(self) -> int:
        return self.number("!H")  # PostgreSQL reads these as unsigned

    def value(self) -> bytes | None:
        size = self.number("!i")
        return None if size == -1 else self.take(size)

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def end(self) -> None:
        if self.left:
            raise broken("a message that is longer than its fields")


def broken(message: str) -> WireError:
    """The client does not speak the protocol; the connection cannot go on, as nobody knows where it stands."""
    return fatal("08P01", f"invalid message: {message}")


def utf8(data: bytes) -> str:
    """Raises 22021 for what is no UTF-8."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise WireError("22021", 'invalid byte sequence for encoding "UTF8"') from None


def read_first(data: bytes) -> Startup | Encrypt | Cancel:
    """The first message of a connection, without its length. Raises a fatal WireError."""
    reader = _Fields(data)
    code = reader.number("!i")
    if code in (SSL_REQUEST, GSS_REQUEST):
        reader.end()
        return Encrypt(code == SSL_REQUEST)
    if code == CANCEL_REQUEST:
        return Cancel(reader.number("!I"), reader.number("!I"))
    if code >> 16 != VERSION >> 16:
        raise fatal("0A000", f"unsupported frontend protocol {code >> 16}.{code & 0xFFFF}: server supports 3.0")
    found: dict[str, str] = {}
    while name := _fatally(reader):
        found[name] = _fatally(reader)
    reader.end()
    return Startup(found, code & 0xFFFF)


def _fatally(reader: _Fields) -> str:
    try:
        return reader.text()
    except WireError as error:
        raise fatal(error.sqlstate, error.message) from None


def read(tag: str, data: bytes) -> Message:
    """A message by its tag. Raises WireError: fatal, unless only a text in it is wrong."""
    reader = _Fields(data)
    if tag in _BODILESS:
        return Bare(tag)
    if tag == "p":
        return Password(data)
    if tag not in _READERS:
        raise broken(f"type {tag!r}")
    found = _READERS[tag](reader)
    reader.end()
    return found


def _parse(reader: _Fields) -> Parse:
    name, sql = reader.text(), reader.text()
    return Parse(name, sql, tuple(reader.number("!I") for _ in range(reader.count())))


def _bind(reader: _Fields) -> Bind:
    portal, statement = reader.text(), reader.text()
    formats = tuple(reader.count() for _ in range(reader.count()))
    values = tuple(reader.value() for _ in range(reader.count()))
    results = tuple(reader.count() for _ in range(reader.count()))
    return Bind(portal, statement, formats, values, results)


def _named(reader: _Fields) -> tuple[str, str]:
    kind = reader.take(1).decode("latin-1")
    if kind not in "SP":
        raise broken(f"what is neither a statement nor a portal: {kind!r}")
    return kind, reader.text()


_READERS: dict[str, Callable[[_Fields], Message]] = {
    "Q": lambda reader: SimpleQuery(reader.text()),
    "P": _parse,
    "B": _bind,
    "D": lambda reader: Describe(*_named(reader)),
    "E": lambda reader: Execute(reader.text(), reader.number("!i")),
    "C": lambda reader: Close(*_named(reader)),
}
_BODILESS = frozenset("SHXdcf")


@dataclass(frozen=True)
class Shown:
    """A column as RowDescription tells it."""

    name: str
    oid: int
    size: int
    modifier: int = -1
    format: int = TEXT


def message(tag: bytes, body: bytes = b"") -> bytes:
    """One message of the server."""
    return tag + struct.pack("!i", len(body) + 4) + body


def zeroed(text: str) -> bytes:
    """A text with its end; it can hold no zero."""
    return text.encode(errors="replace").replace(b"\0", b" ") + b"\0"


AUTHENTICATED = message(b"R", struct.pack("!i", 0))
PARSED, BOUND, CLOSED = message(b"1"), message(b"2"), message(b"3")
NO_DATA, EMPTY_QUERY, SUSPENDED = message(b"n"), message(b"I"), message(b"s")
COPY_DONE = message(b"c")


def sasl(step: int, data: bytes) -> bytes:
    """10: the mechanisms; 11: the server's challenge; 12: its last word."""
    return message(b"R", struct.pack("!i", step) + data)


def status(name: str, value: str) -> bytes:
    """ParameterStatus."""
    return message(b"S", zeroed(name) + zeroed(value))


def key(process: int, secret: int) -> bytes:
    """BackendKeyData."""
    return message(b"K", struct.pack("!II", process, secret))


def negotiated(options: Sequence[str]) -> bytes:
    """NegotiateProtocolVersion: 3.0, and these options are not known."""
    return message(b"v", struct.pack("!ii", VERSION, len(options)) + b"".join(map(zeroed, options)))


def ready(state: str) -> bytes:
    """ReadyForQuery: I, T or E."""
    return message(b"Z", state.encode())


def complete(tag: str) -> bytes:
    """CommandComplete."""
    return message(b"C", zeroed(tag))


def row_description(columns: Iterable[Shown]) -> bytes:
    """RowDescription."""
    fields = [
        zeroed(one.name) + struct.pack("!IhIhih", 0, 0, one.oid, one.size, one.modifier, one.format) for one in columns
    ]
    return message(b"T", struct.pack("!h", len(fields)) + b"".join(fields))


def parameter_description(kinds: Sequence[int]) -> bytes:
    """ParameterDescription."""
    return message(b"t", struct.pack(f"!H{len(kinds)}I", len(kinds), *kinds))


def copy_out(columns: int, form: int) -> bytes:
    """CopyOutResponse."""
    return message(b"H", struct.pack(f"!bh{columns}h", form, columns, *[form] * columns))


def error_response(error: WireError) -> bytes:
    """ErrorResponse; a NoticeResponse where it is less than an error."""
    is_error = error.severity in ("ERROR", "FATAL")
    fields = {
        "S": error.severity, "V": error.severity, "C": error.sqlstate, "M": error.message or "unknown",
        "D": error.detail, "H": error.hint, "P": str(error.position or ""),
    }  # fmt: skip
    said = b"".join(name.encode() + zeroed(text) for name, text in fields.items() if text)
    return message(b"E" if is_error else b"N", said + b"\0")
