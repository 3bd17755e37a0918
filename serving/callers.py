"""Who asks, and what they may see."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """One who asks: a token, or anybody on this machine where there are no tokens."""

    name: str

    views: frozenset[str] | None = None
    """Folded names of the views that it may ask; None: all."""

    operate: bool = True
    """Whether it may do more than ask."""

    queries: frozenset[str] | None = None
    """Names of the saved queries that it may ask; None: all."""


LOCAL = Caller("local")
"""Whoever asks where there are no tokens."""
