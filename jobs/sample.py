"""A sample of a version's groups: by a hash of their keys, so that every unit, and raw, know alike which they are.

The salt is the run's, so each version looks at other groups. A unit that is computed names the groups of the least
hashes in it; of those, as many are the sample as may be looked at, and the units that hold it are read once
more, row by row.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from seamline.kernel import literal, quote
from seamline.schemas.views.definition import EVENTS

ALL = 2**64 - 1
"""The largest hash."""

FEWEST, MOST = 5_000, 20_000
"""Events that may be looked at in any version; and of one group, where every group is larger than that."""

DEARER = 50
"""How much more CPU an event takes in Python than in the kernel, over all aggregates of a view: 20 to 80 times."""


@dataclass(frozen=True)
class Wanted:
    """The groups of a sample."""

    salt: str

    most: int
    """Those whose keys' hash is at most this."""

    without: tuple[int, ...] = ()
    """But those of these hashes."""

    rows: int = MOST
    """Of a unit so many rows at most, and one more where there are more."""

    def hashed(self, keys: Iterable[str]) -> str:
        """The hash of keys, which are SQL."""
        return hashed(self.salt, keys)

    def among(self, keys: Iterable[str]) -> str:
        """The condition that keys belong to the sample."""
        value = self.hashed(keys)
        but = f" AND {value} NOT IN ({', '.join(map(str, self.without))})" if self.without else ""
        return f"{value} <= {self.most}::UBIGINT{but}"


LARGE = "more events than may be looked at"
UNREAD = "lies in dates beyond the budget"
"""Why a group is passed over."""


@dataclass(frozen=True)
class Sample:
    """A sample of groups that is computed another way."""

    wanted: Wanted

    units: frozenset[str]
    """Those that hold it."""

    groups: tuple[int, ...]
    """Its groups' hashes."""

    left: Mapping[str, int]
    """How many groups were passed over, by why."""


@dataclass(frozen=True)
class SampleLimits:
    """How large a sample may be."""

    groups: int

    events: int
    """Of its groups together."""

    size: float
    """Bytes of the units that are read for them."""


def hashed(salt: str, keys: Iterable[str]) -> str:
    """The hash of keys with a salt. Equal keys have equal ones, wherever they are stored."""
    return f"hash({', '.join([literal(salt), *keys])})"


def least_statement(salt: str, keys: Sequence[str], groups: int) -> str:
    """Hash and events of the groups of the least hashes in `partials`."""
    value = hashed(salt, map(quote, keys))
    return f"SELECT {value} AS h, {quote(EVENTS.name)} AS n FROM partials ORDER BY h LIMIT {groups}"


def choose(
    salt: str, units: Mapping[str, Sequence[tuple[int, int]]], sizes: Mapping[str, int], limits: SampleLimits
) -> Sample | None:
    """A sample within limits, of groups in the order of their hashes; those that are too large are passed over, and
    those whose units would be too many to read. One is taken in any case, of MOST events at most, with its units. Pure.

    units: hash and events of the least of each unit, at least as many as there may be in a sample. So the groups up to
    the last one that every unit names are known wholly. None where there is no group.
    """
    last = min((of_unit[-1][0] for of_unit in units.values() if len(of_unit) >= limits.groups), default=ALL)
    held: dict[int, int] = {}
    within: dict[int, set[str]] = {}
    for unit, of_unit in units.items():
        for value, count in of_unit:
            if value <= last:
                held[value] = held.get(value, 0) + count
                within.setdefault(value, set()).add(unit)
    if not held:
        return None
    taken, reading, left = _within(held, within, sizes, limits)
    if not taken and held[smallest := min(held, key=held.__getitem__)] <= MOST:
        taken, reading = [smallest], within[smallest]
    if not taken:
        return Sample(Wanted(salt, 0), frozenset(), (), left)
    known = len(taken) < limits.groups and last == ALL and not left
    most = ALL if known else max(taken)
    without = tuple(v for v in sorted(held) if v <= most and v not in taken and within[v] & reading)
    rows = sum(held[value] for value in taken)
    return Sample(Wanted(salt, most, without, 2 * rows + FEWEST), frozenset(reading), tuple(taken), left)


def _within(
    held: Mapping[int, int], within: Mapping[int, set[str]], sizes: Mapping[str, int], limits: SampleLimits
) -> tuple[list[int], set[str], dict[str, int]]:
    """The groups that are taken, the units that hold them, and how many were passed over, by why."""
    taken: list[int] = []
    reading: set[str] = set()
    left: dict[str, int] = {}
    events, size = limits.events, limits.size
    for value in sorted(held):
        more = within[value] - reading
        cost = sum(sizes.get(unit, 0) for unit in more)
        if held[value] > events:
            left[LARGE] = left.get(LARGE, 0) + 1
        elif more and reading and cost > size:
            left[UNREAD] = left.get(UNREAD, 0) + 1
        else:
            taken.append(value)
            reading |= more
            events, size = events - held[value], size - cost
        if len(taken) == limits.groups:
            break
    return taken, reading, left
