"""Which files of an event date are put together: pure, by their rows and bytes alone.

Small ones, as soon as the next larger is no larger than all of them. So of a date's n rows at most log2(n) files stand
beside those that are WHOLE, each with more rows than all smaller ones; and a row is written again at most log2(n)
times, since each time its file comes to at least twice the rows. A file that is WHOLE is never written again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from seamline.sides.raw import RawFile

FRESH = 12
"""Files that a date has got are looked at together."""

REST = timedelta(hours=1)
"""A date that has got no file for so long rests."""

WHOLE = 256 << 20
"""Bytes of a file that stays as it is. A unit reads all files of its date, so what counts is that they are few."""

GROWING, RESTING = 1, 4
"""How many times the rows of all smaller files a file may have and be put together with them: while a date grows; and
once it rests, when fewer are to stand."""


class Growth:
    """Which event dates of raw tables have got files: how many since they were looked at, and when the last one."""

    def __init__(self) -> None:
        self._dates: dict[tuple[str, str], tuple[int, datetime]] = {}

    def add(self, files: Iterable[RawFile], now: datetime) -> None:
        """Files have come."""
        for file in files:
            seen, _ = self._dates.get((file.table, file.day), (0, now))
            self._dates[file.table, file.day] = seen + 1, now

    def due(self, now: datetime) -> dict[tuple[str, str], int]:
        """Table and date to the ratio by which it is to be looked at."""
        fresh = {at: GROWING for at, (files, _) in self._dates.items() if files >= FRESH}
        return {**fresh, **{at: RESTING for at, (_, last) in self._dates.items() if now - last > REST}}

    def looked_at(self, table: str, day: str, ratio: int) -> None:
        """A date is looked at: when it rests, it is left alone until files come."""
        _, last = self._dates.pop((table, day))
        if ratio == GROWING:
            self._dates[table, day] = 0, last


def merges(files: Iterable[RawFile], ratio: int) -> list[tuple[RawFile, ...]]:
    """Files of one event date that become one file each, the fewest rows first.

    By any `ratio`, what is left are at most log(n) files to the base of 1 + ratio, and a row is written again at most
    log(n) times to the base of 1 + 1/ratio, and once more for each file that comes to be whole. Deciding costs a sort.
    """
    small = sorted((one for one in files if one.size < WHOLE), key=lambda one: (one.rows, one.path))
    end = rows = 0
    for number, one in enumerate(small):
        if number and one.rows <= ratio * rows:
            end = number + 1
        rows += one.rows
    return [group for group in _wholes(small[:end]) if len(group) > 1]


def _wholes(files: Sequence[RawFile]) -> Iterator[tuple[RawFile, ...]]:
    """In order, each group but the last with just enough bytes to be whole."""
    group: list[RawFile] = []
    size = 0
    for one in files:
        group.append(one)
        size += one.size
        if size >= WHOLE:
            yield tuple(group)
            group, size = [], 0
    yield tuple(group)
