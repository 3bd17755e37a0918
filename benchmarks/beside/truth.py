"""What the answer should be, in plain Python, and which groups of an answer are not so, by what went wrong. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations

from beside.mess import Kind, Sent

Group = tuple[datetime | None, str | None]
"""(hour, page)."""

Answer = Mapping[Group, tuple[int, int | None, int | None]]
"""Of each group: clicks, sum of ms, largest ms."""

LATE = "late events left out"
COPY = "copies counted"
MALFORMED = "malformed records counted"
STRANGE = "groups that there are not"
OTHER = "wrong in another way"
WRONGS = (LATE, COPY, MALFORMED, STRANGE, OTHER)


@dataclass(frozen=True)
class Expected:
    """One group: what is right, and the ms of all that could make it wrong."""

    clicks: int
    ms: int
    slowest: int
    late: tuple[int, ...] = ()
    copies: tuple[int, ...] = ()
    malformed: tuple[int, ...] = ()


def truth(sent: Iterable[Sent]) -> dict[Group, Expected]:
    """Each valid event once, where it first stands; malformed records not at all. Time and memory O(records)."""
    counted: set[str] = set()
    events: dict[Group, list[int]] = defaultdict(list)
    mess: dict[Kind, dict[Group, list[int]]] = {kind: defaultdict(list) for kind in Kind}
    for one in sent:
        group = one.click.group
        mess[one.kind][group].append(one.click.ms)
        if one.valid and one.click.id not in counted:
            counted.add(one.click.id)
            events[group].append(one.click.ms)
    late, copies, malformed = mess[Kind.LATE], mess[Kind.COPY], mess[Kind.MALFORMED]
    return {
        group: Expected(
            len(ms), sum(ms), max(ms), tuple(late[group]), tuple(copies[group]), tuple(malformed[group])
        )
        for group, ms in events.items()
    }  # fmt: skip


def wrong(answer: Answer, expected: Mapping[Group, Expected]) -> Counter[str]:
    """How many groups are wrong, by WRONGS: at most one for each group of either. Time O(groups)."""
    found: Counter[str] = Counter()
    for group in {*answer, *expected}:
        if kind := why(answer.get(group), expected.get(group)):
            found[kind] += 1
    return found


def why(got: tuple[int, int | None, int | None] | None, right: Expected | None) -> str:
    """What is wrong with one group; nothing if it is right.

    It has so many clicks and so much ms too few as some of its late events have, or too many as some of its copies, or
    of its malformed records, whose ms are counted as they would have been or as NULL. Time is exponential in the mess
    of one group, which is a few records.
    """
    if right is None:
        return STRANGE
    clicks, ms, slowest = got or (0, None, None)
    if (clicks, ms, slowest) == (right.clicks, right.ms, right.slowest):
        return ""
    more, heavier = clicks - right.clicks, (ms or 0) - right.ms
    if more < 0 and _are(right.late, -more, -heavier):
        return LATE
    if more > 0 and _are(right.copies, more, heavier):
        return COPY
    if more > 0 and any(_are(right.malformed, number, heavier) for number in range(more + 1)):
        return MALFORMED
    return OTHER


def _are(some: tuple[int, ...], number: int, weight: int) -> bool:
    """Whether `number` of some weigh so much."""
    return any(sum(chosen) == weight for chosen in combinations(some, number))
