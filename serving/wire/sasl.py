"""SCRAM-SHA-256 on the server's side (RFC 5802, RFC 7677), without channel binding. Pure: the nonce is given.

libpq sends an empty user name inside: whose verifier it is was said at the start of the connection.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass
from typing import Protocol

MECHANISM = "SCRAM-SHA-256"


class Proving(Protocol):
    """What is kept of a password: enough to check it, not to use it."""

    @property
    def salt(self) -> bytes: ...
    @property
    def iterations(self) -> int: ...

    def signature(self, message: bytes, proof: bytes) -> bytes | None:
        """The server's signature for a client's proof over the AuthMessage; None where it proves nothing."""
        ...


@dataclass(frozen=True)
class Nobody:
    """For a name that nobody has: it cannot be told from another by what is asked, and no password fits it."""

    salt: bytes
    iterations: int = 4096

    def signature(self, message: bytes, proof: bytes) -> None:
        """None."""


def nobody(user: str, key: bytes) -> Nobody:
    """The same salt each time for one name, as long as the server's `key` is one."""
    return Nobody(hmac.digest(key, user.encode(errors="replace"), "sha256")[:16])


class ScramError(Exception):
    """A message that is none of SCRAM's."""


@dataclass(frozen=True)
class Challenge:
    """What the server says first, and what it needs for the client's last word."""

    text: bytes
    bare: bytes
    header: bytes
    nonce: bytes


def challenge(first: bytes, kept: Proving, nonce: bytes) -> Challenge:
    """The answer to the client's first message. `nonce`: the server's, ASCII. Raises ScramError."""
    header, bare = _header(first)
    fields = _fields(bare)
    if len(fields) < 2 or fields[0][0] != "n" or fields[1][0] != "r" or not fields[1][1]:
        raise ScramError("the client's first message")
    both = fields[1][1] + nonce
    salt = base64.b64encode(kept.salt)
    text = b"r=" + both + b",s=" + salt + b",i=" + str(kept.iterations).encode()
    return Challenge(text, bare, header, both)


def final(last: bytes, said: Challenge, kept: Proving) -> bytes | None:
    """The server's last word where the proof is right, None where it is not. Raises ScramError."""
    without, found, proof = last.rpartition(b",p=")
    fields = _fields(without)
    if not found or len(fields) < 2 or fields[0][0] != "c" or fields[1][0] != "r":
        raise ScramError("the client's last message")
    if _decoded(fields[0][1]) != said.header or not hmac.compare_digest(fields[1][1], said.nonce):
        raise ScramError("a nonce or channel binding that is not this exchange's")
    whole = said.bare + b"," + said.text + b"," + without
    signed = kept.signature(whole, _decoded(proof))
    return None if signed is None else b"v=" + base64.b64encode(signed)


def _header(first: bytes) -> tuple[bytes, bytes]:
    """The GS2 header and what follows it."""
    binding, found, rest = first.partition(b",")
    name, found_too, bare = rest.partition(b",")
    if not found or not found_too or binding not in (b"n", b"y") or (name and not name.startswith(b"a=")):
        raise ScramError("channel binding is not offered")
    return first[: len(first) - len(bare)], bare


def _fields(data: bytes) -> list[tuple[str, bytes]]:
    pairs = [one.partition(b"=") for one in data.split(b",")]
    return [(name.decode("latin-1"), value) for name, _, value in pairs]


def _decoded(data: bytes) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        raise ScramError("what is no base64") from None
