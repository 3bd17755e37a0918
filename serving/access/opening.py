"""Where a role may listen: beyond this machine only where it knows who asks."""

from __future__ import annotations

import logging
from ipaddress import ip_address

from seamline.errors import Condition, UserError
from seamline.serving.access.authentication import Access

_log = logging.getLogger("seamline.serving")


def check_open(host: str, access: Access) -> None:
    """Says so where no token was made, and nobody is asked who they are.

    Raises CONFIG_INVALID where others than this machine could ask then.
    """
    if access.required:
        return
    if not is_loopback(host):
        raise UserError(
            Condition.CONFIG_INVALID,
            f"serving.host is {host}, and no token was made: anybody who reaches it could ask",
            detail="127.0.0.1, ::1 or localhost, as long as there is no token",
            hint="make one first: seamline tokens create NAME --all; or set serving.host to 127.0.0.1",
            where="serving.host",
        )
    _log.info("no token was made: this machine alone can ask, and is not asked who it is")


def is_loopback(host: str) -> bool:
    """Whether an address to bind is reached from this machine alone."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
