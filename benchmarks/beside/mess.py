"""Clicks from a seed, with the mess that real ones have: late, sent twice, malformed. Pure.

Event time runs `STEP` a record, so that a minute of records spans days, and what is hours late is soon sent.
"""

from __future__ import annotations

import json
import random
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
STEP = timedelta(seconds=2)
PARTITIONS = 4
PAGES = 50
PROBE_EVERY = 25
"""One record in so many is a probe: on a page of its own for each partition, its number as `ms`, so that the largest
`ms` in an answer says how far that partition is in it."""
PROBE = "probe"

LATE = 0.004
"""Of the records: half of them up to half an hour, half of them two to six hours."""
COPIES = 0.01
"""Half of them of one of the last 200 records, half of one of the last 20,000, which is up to 11 hours back."""
MALFORMED = 0.002
REMEMBERED = 20_000


class Kind(Enum):
    """What a record is."""

    PLAIN = "plain"
    PROBE = "probe"
    LATE = "late"
    COPY = "copy"
    MALFORMED = "malformed"


@dataclass(frozen=True)
class Click:
    """A valid event. Two records of one id are one event."""

    id: str
    seen: datetime
    page: str
    ms: int

    @property
    def group(self) -> tuple[datetime, str]:
        """(hour, page)."""
        return self.seen.replace(minute=0, second=0, microsecond=0), self.page

    def json(self) -> bytes:
        """As it is sent."""
        return json.dumps({"id": self.id, "seen": _text(self.seen), "page": self.page, "ms": self.ms}).encode()


@dataclass(frozen=True)
class Sent:
    """One record. `click`: the event that it tells; of a malformed record what it would have been."""

    number: int
    kind: Kind
    click: Click
    value: bytes

    @property
    def partition(self) -> int:
        """A copy lies in the partition of what it copies only by chance."""
        return self.number % PARTITIONS

    @property
    def valid(self) -> bool:
        """Whether its contract accepts it."""
        return self.kind is not Kind.MALFORMED


def records(seed: int, count: int) -> Iterator[Sent]:
    """The first `count` records of a seed, always the same; those of a smaller count come first. Time O(count)."""
    chance = random.Random(seed)
    before: deque[Click] = deque(maxlen=REMEMBERED)
    for number in range(count):
        one = _probe(number) if number % PROBE_EVERY == 0 else _sent(chance, number, before)
        if one.kind in {Kind.PLAIN, Kind.LATE}:
            before.append(one.click)
        yield one


def run(seed: int, count: int) -> Iterator[Sent]:
    """The first `count` records of a seed, and a probe at the end of each partition."""
    yield from records(seed, count)
    yield from (_probe(count + place) for place in range(PARTITIONS))


def _probe(number: int) -> Sent:
    click = Click(f"p{number}", EPOCH + STEP * number, f"{PROBE}{number % PARTITIONS}", number)  # in turn: 25 is odd
    return Sent(number, Kind.PROBE, click, click.json())


def _sent(chance: random.Random, number: int, before: deque[Click]) -> Sent:
    drawn = chance.random()
    seen = EPOCH + STEP * number - timedelta(seconds=chance.randrange(60))
    kind = Kind.PLAIN
    if drawn < COPIES and before:
        back = 200 if drawn < COPIES / 2 else REMEMBERED
        copied = before[-1 - chance.randrange(min(back, len(before)))]
        return Sent(number, Kind.COPY, copied, copied.json())
    if drawn < COPIES + LATE:
        minutes = chance.randrange(1, 30) if drawn < COPIES + LATE / 2 else chance.randrange(120, 360)
        kind, seen = Kind.LATE, max(EPOCH, seen - timedelta(minutes=minutes))
    seen = max(EPOCH, seen)
    click = Click(f"c{number}", seen, f"page{chance.randrange(PAGES)}", chance.randrange(1, 5_000))
    if COPIES + LATE <= drawn < COPIES + LATE + MALFORMED:
        return Sent(number, Kind.MALFORMED, click, malformed(click, chance.randrange(len(HARMS))))
    return Sent(number, kind, click, click.json())


def malformed(click: Click, harm: int) -> bytes:
    """A click as a contract refuses it, in one of HARMS."""
    name, value = HARMS[harm]
    if not name:
        return click.json()[:-9]  # cut off
    whole = {"id": click.id, "seen": _text(click.seen), "page": click.page, "ms": click.ms}
    return json.dumps(whole | {name: str(click.ms) if value == QUOTED else value}).encode()


QUOTED = "in quotes"
HARMS = (
    ("", None),
    ("id", None),
    ("ms", "soon"),
    ("ms", QUOTED),
    ("seen", "yesterday"),
    ("seen", "2099-01-01T00:00:00.000Z"),
)
"""A record that is cut off, and fields that are not as they should be: the number in quotes is the right one."""


def _text(seen: datetime) -> str:
    return seen.isoformat(timespec="milliseconds").replace("+00:00", "Z")
