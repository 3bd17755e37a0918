"""Who asks, what they may see, and how much they may use."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from seamline.entries.base import Value


@dataclass(frozen=True)
class RowRule:
    """Which rows of a view somebody sees."""

    where: str
    """A condition over its keys, in DuckDB's SQL."""

    columns: frozenset[str]
    """Those that it names, folded."""


class CallerLimits(Value, extra="forbid"):
    """What one caller may use, where that is not as the settings say. What these say is the most for everybody."""

    queries: int | None = Field(default=None, gt=0)
    """Queries at a time."""

    queue: int | None = Field(default=None, ge=0)
    """Queries that may wait."""

    seconds: int | None = Field(default=None, gt=0)
    """Of one query."""

    memory_mb: int | None = Field(default=None, ge=64)
    """MiB of one query."""

    rows: int | None = Field(default=None, gt=0)
    """Of one answer."""

    mb: int | None = Field(default=None, gt=0)
    """MiB of one answer, as it is sent."""

    live: int | None = Field(default=None, ge=0)
    """Questions that are followed at a time."""


UNLIMITED = CallerLimits()
"""As the settings say."""


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

    limits: CallerLimits = UNLIMITED


LOCAL = Caller("local")
"""Whoever asks where there are no tokens."""
