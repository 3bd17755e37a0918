"""The epochs of a speed log that stand. Those that a compacted entry holds are opened where one is asked for."""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

from seamline.entries.speed import Compacted, Epoch

Span: TypeAlias = "tuple[int, int]"
"""The first and the last epoch of a segment."""


class Epochs(Mapping[int, Epoch]):
    """Epochs by number, in order. Opening a group takes time by its epochs, once; all else by the groups and the epochs
    that stand alone. `read` opens one.

    What changes, by `add`, `take` and `drop`: what stands alone, and in which groups the rest is; by `since`, which run
    of numbers it has found.
    """

    def __init__(self, read: Callable[[Compacted], tuple[Epoch, ...]] = Compacted.opened) -> None:
        self._read = read
        self.alone: dict[int, Epoch] = {}
        self._groups: dict[int, Compacted] = {}
        self._firsts: list[int] = []
        self._opened: dict[int, dict[int, Epoch]] = {}
        self.lowest = 1
        self._run: Span | None = None

    def add(self, epoch: Epoch) -> None:
        """One that was put."""
        self.alone[epoch.number] = epoch

    def take(self, group: Compacted) -> None:
        """A compacted entry that holds its epochs: they are read from it from here on."""
        self._run = None
        for number in range(group.first, group.last + 1):
            self.alone.pop(number, None)
        if group.first not in self._groups:
            insort(self._firsts, group.first)
        self._groups[group.first] = group

    def drop(self, last: int, spans: Iterable[Span]) -> list[Epoch]:
        """Drops those up to `last`, and those within `spans` but for what a group of that very span holds.

        Returns those that stood alone.
        """
        tests = [(span_within(span), span_within(span, narrower=True)) for span in spans]
        dropped = [e for n, e in self.alone.items() if n <= last or any(test((n, n)) for test, _ in tests)]
        for epoch in dropped:
            del self.alone[epoch.number]
        self.lowest, self._run = max(self.lowest, last + 1), None
        for first, group in list(self._groups.items()):
            if group.last <= last or any(test((first, group.last)) for _, test in tests):
                del self._groups[first]
                self._firsts.remove(first)
                self._opened.pop(first, None)
        return dropped

    def group(self, number: int) -> Compacted | None:
        """The entry that holds an epoch; None where it stands alone, or not."""
        at = bisect_right(self._firsts, number) - 1
        group = self._groups[self._firsts[at]] if at >= 0 else None
        return group if group is not None and self.lowest <= number <= group.last else None

    @property
    def groups(self) -> Iterable[Compacted]:
        """The entries that hold epochs, oldest first."""
        return (self._groups[first] for first in self._firsts)

    def since(self, last: int) -> int:
        """The lowest number from which all stand up to `last`, which does. Takes time by the epochs that were added
        since it was asked last; after others were taken or dropped, by the groups and what stands alone."""
        first, known = self._run or (last, last)
        if self._run is None or not all(number in self for number in range(known + 1, last + 1)):
            first = self._first_before(last)
        self._run = first, last
        return first

    def _first_before(self, last: int) -> int:
        first = last
        while first - 1 in self:
            group = self.group(first - 1) if first - 1 not in self.alone else None
            first = max(group.first, self.lowest) if group else first - 1
        return first

    def __getitem__(self, number: int) -> Epoch:
        if number in self.alone:
            return self.alone[number]
        group = self.group(number)
        if group is None:
            raise KeyError(number)
        if group.first not in self._opened:
            self._opened[group.first] = {epoch.number: epoch for epoch in self._read(group)}
        return self._opened[group.first][number]

    def __contains__(self, number: object) -> bool:
        return number in self.alone or (isinstance(number, int) and self.group(number) is not None)

    def within(self, groups: Iterable[Compacted]) -> list[int]:
        """The numbers, in order, of those that stand alone or in some groups."""
        held = (n for g in groups for n in range(max(g.first, self.lowest), g.last + 1))
        return sorted([*held, *self.alone])

    def __iter__(self) -> Iterator[int]:
        return iter(self.within(self.groups))

    def __len__(self) -> int:
        return len(self.alone) + sum(g.last - max(g.first, self.lowest) + 1 for g in self._groups.values())


def span_within(wider: Span, *, narrower: bool = False) -> Callable[[Span], bool]:
    """Whether a span lies within another; `narrower`: and is not that one."""
    return lambda span: wider[0] <= span[0] and span[1] <= wider[1] and not (narrower and span == wider)
