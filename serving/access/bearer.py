"""Where a token stands in an HTTP request, and where it must not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl

from seamline.errors import Condition, UserError
from seamline.serving.access.grants import unauthenticated
from seamline.tokentext import PREFIX

_BEARER = re.compile(r"bearer +([\w.~+/=-]+) *", re.IGNORECASE | re.ASCII)
_NAMES = re.compile(r".*(token|secret|passw|api.?key|authori[sz]ation|bearer)", re.IGNORECASE | re.DOTALL)


def token_in(authorization: Sequence[str]) -> str | None:
    """The token of a request's Authorization headers; None where there is none. Raises UNAUTHENTICATED for others."""
    if not authorization:
        return None
    found = _BEARER.fullmatch(authorization[0]) if len(authorization) == 1 else None
    if found is None:
        several = len(authorization) > 1
        raise unauthenticated("several Authorization headers" if several else "an Authorization header without a token")
    return found[1]


def check_address(query: bytes) -> None:
    """Raises REQUEST_REFUSED where a secret stands in a request's address, which proxies and histories keep."""
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if is_secret(name) or value.startswith(PREFIX):
            raise UserError(
                Condition.REQUEST_REFUSED,
                "a token in the address",
                detail="tokens in the header alone: Authorization: Bearer TOKEN",
                hint="addresses are kept in logs and histories: rotate that token",
            )


def is_secret(name: str) -> bool:
    """Whether a parameter of that name would be taken for one that holds a secret."""
    return _NAMES.match(name) is not None


def challenge(*, sent: bool) -> str:
    """What WWW-Authenticate says to one who is not let in. sent: whether there was a token."""
    return 'Bearer realm="seamline"' + (', error="invalid_token"' if sent else "")
