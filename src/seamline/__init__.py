"""Seamline: a lambda architecture whose seam is a position in the log, so every answer is exact."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from seamline.connection import Connection

__version__ = "0.1.0"


def connect(
    project: str | Path,
    *,
    token: str | None = None,
    authority: str | Path | None = None,
    timeout: float = 60.0,
) -> Connection:
    """Connects to a project: its folder, whose lake is then read in this process, or the URL of a serving role.

    token: what the role knows this program by; SEAMLINE_TOKEN of the environment unless given. authority: a file of
    certificates to trust (PEM), where the role shows one of its own. timeout: seconds between two signs of life of a
    role. Raises SeamlineError where the folder is no project, or what is given does not fit.
    """
    found: Connection = import_module("seamline.client.connecting").connected(project, token, authority, timeout)
    return found
