"""The units of a backfill, portion after portion: between two of them an operator's words are heard, and the pace kept.

Law: what comes out is what the runner gives for all units at once. A unit that fails is tried alone until it has failed
three times; the others are done all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from seamline.clock import Clock
from seamline.entries.batch import Reserved
from seamline.errors import Condition, SeamlineError, TerminalError
from seamline.jobs.pace import FIRST_ROWS, Allowance, next_rows
from seamline.jobs.reserve import check_holds
from seamline.jobs.unit import Runner, UnitResult, UnitTask
from seamline.jobs.words import Words
from seamline.jobs.work import finished

TRIES = 3
"""So often a unit is tried alone before it stops its backfill."""

LOOK = timedelta(seconds=5)
"""How often an operator's words are heard while a portion waits."""


def never() -> bool:
    """What units run in stands."""
    return False


@dataclass(frozen=True)
class Allowed:
    """What a run of a backfill may do, and how it waits."""

    pace: Allowance = field(default_factory=Allowance)

    shadow: bool = False
    """Whether its version is built beside what is served, and only looked at."""

    wait: Callable[[timedelta], None] | None = None
    """Lets time pass."""

    tell: Callable[[str], None] | None = None
    """Told what it waits for; nothing, once that has come."""

    over: Callable[[], bool] = never
    """Whether what units run in is gone: then no unit is to blame."""


ALLOWED = Allowed()
"""All of it at once."""


@dataclass(frozen=True)
class Stepwise:
    """A runner of one reservation's units. What grows: the units that were begun, and those that failed."""

    runner: Runner
    words: Words
    backfill: str
    reserved: Reserved
    allowed: Allowed
    clock: Clock
    begun: list[str] = field(default_factory=list)
    failed: dict[str, SeamlineError] = field(default_factory=dict)

    def __call__(self, tasks: list[UnitTask]) -> Iterable[UnitResult]:
        """Raises BACKFILL_STOPPED, RESERVATION_EXPIRED between portions; UNIT_FAILED once the others are done."""
        if not all(task.run for task in tasks):
            return self.runner(tasks)  # units of the audit are part of its end
        return self._all(tasks)

    def _all(self, tasks: Sequence[UnitTask]) -> Iterator[UnitResult]:
        at, rows, first = 0, FIRST_ROWS, self.clock()
        while at < len(tasks):
            portion = portion_of(tasks[at:], rows, self.allowed.pace.most_units)
            self._pass(first)
            self.begun.extend(task.unit for task in portion)
            began = self.clock()
            yield from self._tried(portion)
            at, rows = at + len(portion), next_rows(rows, self.clock() - began)
        if self.failed:
            said = {unit: error.message for unit, error in self.failed.items()}
            self.words.failed(self.backfill, said)
            raise unit_failed(self.words.view, said)

    def _pass(self, first: datetime) -> None:
        """Waits until the next portion may be begun. Law: a read of the words for each portion, and each LOOK."""
        waits = False
        while True:
            self.words.look(self.backfill)
            now = self.clock()
            check_holds(self.words.view, self.reserved, now)
            opens = self.allowed.pace.opens(now, first, len(self.begun))
            if opens <= now or self.allowed.wait is None:
                break
            waits = True
            self._tell(f"{opens:%H:%M:%S} UTC")
            self.allowed.wait(min(LOOK, opens - now))
        if waits:
            self._tell("")

    def _tell(self, waits: str) -> None:
        if self.allowed.tell:
            self.allowed.tell(waits)

    def _tried(self, portion: list[UnitTask]) -> Iterator[UnitResult]:
        try:
            yield from list(self.runner(portion))
        except SeamlineError:
            if self.allowed.over():
                raise
        else:
            return
        done = finished(self.words.lake, portion[0].run)
        for task in portion:
            result = done.get(task.unit) or self._alone(task)
            if result is not None:
                yield result

    def _alone(self, task: UnitTask) -> UnitResult | None:
        for tried in range(1, TRIES + 1):
            try:
                return next(iter(self.runner([task])))
            except SeamlineError as error:
                if self.allowed.over():
                    raise
                if tried == TRIES:
                    self.failed[task.unit] = error
        return None


def portion_of(tasks: Sequence[UnitTask], rows: int, units: int | None) -> list[UnitTask]:
    """The first tasks that make so many rows, or units; one at least. Pure."""
    held, taken = 0, list[UnitTask]()
    for task in tasks[:units]:
        held += task.rows
        if taken and held > rows:
            break
        taken.append(task)
    return taken


def unit_failed(view: str, failed: dict[str, str]) -> TerminalError:
    """Units failed as often as is tried."""
    told = "; ".join(f"{unit}: {why}" for unit, why in sorted(failed.items())[:3])
    more = f", and {len(failed) - 3} more" if len(failed) > 3 else ""
    first = min(failed)
    return TerminalError(
        Condition.UNIT_FAILED,
        f"{len(failed)} unit(s) of {view} failed {TRIES} times each: {told}{more}",
        detail="all units of a backfill are done, or left as they were by an operator's word",
        hint=f"run it again once that is mended; --skip-unit {first} leaves it as it was, and answers say so",
    )
