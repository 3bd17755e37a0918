"""What a server keeps of a password for SCRAM-SHA-256 (RFC 5802, RFC 7677): enough to check one, not to log in with it.

The password is a token, which is as hard to guess as a key: the least number of iterations is enough.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

ITERATIONS = 4096
SALT_BYTES = 16


@dataclass(frozen=True)
class ScramKeys:
    """Of one password under one salt."""

    stored: bytes
    server: bytes


@dataclass(frozen=True)
class ScramVerifier:
    """What a user is checked by. Passwords that hold at the same time, while one replaces another, share the salt:
    which of them a client has is known by its proof alone."""

    salt: bytes
    iterations: int
    keys: tuple[ScramKeys, ...]

    def signature(self, message: bytes, proof: bytes) -> bytes | None:
        """The server's signature for a client's proof over the AuthMessage; None where no password proves that."""
        for keys in self.keys:
            signed = hmac.digest(keys.stored, message, "sha256")
            if len(proof) != len(signed):
                return None
            client = bytes(a ^ b for a, b in zip(proof, signed, strict=True))
            if hmac.compare_digest(hashlib.sha256(client).digest(), keys.stored):
                return hmac.digest(keys.server, message, "sha256")
        return None


def scram_keys(password: str, salt: bytes, iterations: int = ITERATIONS) -> ScramKeys:
    """The keys of a password of ASCII characters, which need no SASLprep."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, iterations)
    client = hmac.digest(salted, b"Client Key", "sha256")
    return ScramKeys(hashlib.sha256(client).digest(), hmac.digest(salted, b"Server Key", "sha256"))
