"""Who this process works for, as entries of the ledger say it."""

from __future__ import annotations

import getpass
import os


def whoami() -> str:
    """The user, as the machine knows them."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no name of that number, as in a container
        return f"uid {os.getuid()}"
