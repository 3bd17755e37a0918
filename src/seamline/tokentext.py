"""What a token looks like: `seam_`, 256 random bits as 43 letters and digits, and 6 more that check them.

Whoever finds one in a file or a log knows it for a secret of Seamline's (`TOKEN` finds them in any text), and one that
was typed wrong is told from one that is not known. A word of letters, digits and a `_` is selected by a double click.
"""

from __future__ import annotations

import re
import zlib

PREFIX = "seam_"
BYTES = 32
"""Of randomness in each."""

TOKEN = re.compile(r"seam_[0-9A-Za-z]{49}(?![0-9A-Za-z])")
"""A token in any text."""

MASKED = "seam_***"
"""What stands in its place where nobody may read it."""

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM, _CHECK = 43, 6


def token_of(random: bytes) -> str:
    """The token of 32 random bytes. Raises ValueError for another number of them."""
    if len(random) != BYTES:
        raise ValueError(f"{len(random)} random bytes for a token, which has {BYTES}")
    body = _base62(int.from_bytes(random), _RANDOM)
    return PREFIX + body + _check(body)


def is_token(text: str) -> bool:
    """Whether a text is a token without a typing mistake in it."""
    body = text.removeprefix(PREFIX)
    return TOKEN.fullmatch(text) is not None and body[_RANDOM:] == _check(body[:_RANDOM])


def without_tokens(text: str) -> str:
    """A text in which no token can be read."""
    return TOKEN.sub(MASKED, text)


def _check(body: str) -> str:
    return _base62(zlib.crc32(body.encode()), _CHECK)


def _base62(number: int, width: int) -> str:
    digits = ""
    while number:
        number, digit = divmod(number, 62)
        digits = _DIGITS[digit] + digits
    return digits.rjust(width, "0")
