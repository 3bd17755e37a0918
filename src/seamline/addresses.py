"""Where this machine reaches what listens on it."""

from __future__ import annotations

EVERY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is listened on elsewhere, and where it is reached
"""Hosts that stand for all addresses, by the one of this machine itself."""


def reached_at(host: str, port: int) -> str:
    """`host:port`, an IPv6 address in brackets, as URLs have it."""
    here = EVERY.get(host, host)
    return f"[{here}]:{port}" if ":" in here else f"{here}:{port}"
