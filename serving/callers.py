"""Who asks, and what they may see."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RowRule:
    """Which rows of a view somebody sees."""

    where: str
    """A condition over its keys, in DuckDB's SQL."""

    columns: frozenset[str]
    """Those that it names, folded."""


@dataclass(frozen=True)
class Caller:
    """One who asks: a token, or anybody on this machine where there are no tokens."""

    name: str

    views: frozenset[str] | None = None
    """Folded names of the views that it may ask; None: all."""

    operate: bool = True
    """Whether it may do more than ask."""

    queries: frozenset[str] = frozenset()
    """Names of the saved queries that it may ask whatever views these read; those over its own views it may ask too."""

    rows: tuple[tuple[str, RowRule], ...] = ()
    """Of views by folded name, which rows it sees; of others all."""


LOCAL = Caller("local")
"""Whoever asks where there are no tokens."""
