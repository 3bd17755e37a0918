"""What is asked before an entry is put: is what was read still what it was read from."""

from __future__ import annotations

from collections.abc import Callable

Check = Callable[[], None]
"""Raises where a topic is no longer the one it was."""


def no_check() -> None:
    """Where there are no topics that could be made again."""
