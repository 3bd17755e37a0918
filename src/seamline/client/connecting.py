"""Where a connection leads."""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path

from seamline.client.beside import Beside
from seamline.client.remote import Remote
from seamline.connection import Connection
from seamline.errors import Condition, UserError

TOKEN = "SEAMLINE_TOKEN"  # noqa: S105 - a variable's name
"""The variable that holds a token where none is given."""

_URL = re.compile(r"https?:", re.IGNORECASE)


def connected(
    project: str | Path, token: str | None = None, authority: str | Path | None = None, timeout: float = 60.0
) -> Connection:
    """What `seamline.connect` says. Raises as it does, INPUT_INVALID for a token that is given for a folder."""
    if isinstance(project, str) and _URL.match(project):
        return Remote(project, token or os.environ.get(TOKEN), _trusted(authority), timeout)
    if token is not None or authority is not None:
        raise UserError(
            Condition.INPUT_INVALID,
            f"a {'token' if token is not None else 'certificate'} for a folder",
            detail="a token for the URL of a serving role",
            hint="who may read a lake's files may ask everything: leave it out, or name the role's URL",
        )
    return Beside(Path(project))


def _trusted(authority: str | Path | None) -> ssl.SSLContext | bool:
    if authority is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(authority))
    except (ssl.SSLError, OSError) as error:
        raise UserError(
            Condition.INPUT_INVALID,
            f"certificates to trust: {error}",
            detail="certificates in PEM",
            where=str(authority),
        ) from error
