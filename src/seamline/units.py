"""A unit of batch work and its name: one event date of one contract's raw table, or one hour of it.

Names stand in ledger entries, paths and markers: `2026-01-31`, and `likes/2026-01-31` where the view has several
contracts; `2026-01-31T05` and `likes/2026-01-31T05` for the hour that begins at 05:00 UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

T = TypeVar("T")

HOURS = 24


@dataclass(frozen=True)
class Unit:
    """A part of a batch version that is computed, and kept in files, by itself."""

    contract: str
    """'' where the view has one contract only."""

    day: date

    hour: int | None = None
    """None: the whole event date."""

    @staticmethod
    def parse(name: str) -> Unit:
        """The unit of a name. Raises ValueError."""
        contract, _, day = name.rpartition("/")
        day, _, hour = day.partition("T")
        return Unit(contract, date.fromisoformat(day), int(hour) if hour else None)

    @property
    def name(self) -> str:
        """What it is called in the ledger; names sort as units do."""
        day = self.day.isoformat() + (f"T{self.hour:02}" if self.hour is not None else "")
        return f"{self.contract}/{day}" if self.contract else day

    @property
    def whole(self) -> Unit:
        """The whole event date that it is, or is an hour of."""
        return Unit(self.contract, self.day)

    @property
    def first(self) -> bool:
        """Whether it holds what has no event time: each date's rejected records belong to one unit."""
        return not self.hour

    @property
    def hours(self) -> tuple[Unit, ...]:
        """The hours of its date."""
        return tuple(Unit(self.contract, self.day, hour) for hour in range(HOURS))

    @property
    def span(self) -> tuple[datetime, datetime]:
        """From when, and to when (not included), its events lie."""
        begin = datetime(self.day.year, self.day.month, self.day.day, self.hour or 0, tzinfo=UTC)
        return begin, begin + (timedelta(days=1) if self.hour is None else timedelta(hours=1))


def whole_name(name: str) -> str:
    """The name of the whole event date that a unit's name says."""
    contract, slash, day = name.rpartition("/")
    return contract + slash + day.partition("T")[0]


def standing(base: Mapping[str, T], rewritten: Mapping[str, T]) -> dict[str, T]:
    """What stands after units were rewritten: these, and of the base those of other dates. A date that was rewritten
    by the hour replaces the whole date, and the other way round: a version's grain may be another than its base's."""
    dates = {whole_name(name) for name in rewritten}
    return {**{name: one for name, one in base.items() if whole_name(name) not in dates}, **rewritten}
