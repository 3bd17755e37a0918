"""What operators say of a view's backfills: to begin, pause, go on, leave a date out, cancel. Each word is one entry.

A word that meets another's entry is said again on what stands there by then. A run looks at the words between portions
of its units, and once more before its version: what was cancelled puts none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from seamline.attempts import new_attempt
from seamline.clock import Clock
from seamline.entries.backfills import Attempted, Backfill, Backfills, Ended, Word
from seamline.entries.batch import Reserved
from seamline.errors import Condition, ConflictError, UserError
from seamline.history.backfills import BackfillHistory
from seamline.lake import BACKFILLS, Lake
from seamline.ledger import newest
from seamline.units import whole_name

ENDED = 32
"""So many of those that are over stand in the newest entry."""

ATTEMPTS = 16
"""How often a word is said again where others were first."""

Said = Callable[[Backfills], Backfills]


@dataclass(frozen=True)
class Words:
    """The words about one view's backfills, by one operator."""

    lake: Lake
    view: str
    clock: Clock
    by: str = ""

    def begun(self, asked: str, definition: str, skipped: tuple[str, ...] = ()) -> Backfill:
        """The open backfill of these dates with these left out too, as it stands or, not put yet, a new one. Raises
        PLAN_MOVED where it was begun under another definition, BACKFILL_STOPPED where it is paused."""
        found = next((one for one in self.history().open.values() if one.asked == asked), None)
        now = self.clock()
        if found is None:
            found = Backfill(
                id=new_attempt()[:8], view=self.view, asked=asked, definition=definition, since=now, by=self.by
            )
        if found.definition != definition:
            raise UserError(
                Condition.PLAN_MOVED,
                f"backfill {found.id} of {self.view} was begun under definition {found.definition}",
                detail=f"{definition} is served now, and a range is recomputed under one definition",
                hint=f"'seamline backfill cancel {found.id}' ends it; then ask for the dates again",
            )
        check_goes_on(found)
        words = {whole_name(unit): Word(at=now, by=self.by) for unit in skipped}
        return found.model_copy(update={"skipped": {**words, **found.skipped}})

    def begin(self, backfill: Backfill) -> None:
        """Puts it where it does not stand like that. Raises BACKFILL_STOPPED where it was stopped meanwhile."""

        def change(state: Backfills) -> Backfills:
            if any(one.id == backfill.id for one in state.ended):
                raise over(backfill.id, self.view)
            stands = next((one for one in state.open if one.id == backfill.id), backfill)
            check_goes_on(stands)
            return _with(state, stands.model_copy(update={"skipped": {**backfill.skipped, **stands.skipped}}))

        self._change(change)

    def attempted(self, id_: str, reserved: Reserved) -> Backfill:
        """A run of it has begun: what that does is kept from here on. Raises BACKFILL_STOPPED."""
        run = Attempted(run=reserved.run, at=reserved.at, cut=reserved.cut, archive_entry=reserved.archive_entry)

        def with_run(one: Backfill) -> Backfill:
            check_goes_on(one)
            runs = one.runs if run in one.runs else (*one.runs, run)
            return one.model_copy(update={"runs": runs, "failed": {}})

        return self._each(id_, with_run)

    def failed(self, id_: str, units: dict[str, str]) -> None:
        """Units of it failed as often as is tried, by why. Raises BACKFILL_STOPPED."""
        self._each(id_, lambda one: one.model_copy(update={"failed": units}))

    def built(self, id_: str, version: int) -> None:
        """A version of it stands beside what is served. Raises BACKFILL_STOPPED."""
        self._each(id_, lambda one: one.model_copy(update={"built": version}))

    def look(self, id_: str) -> None:
        """Raises BACKFILL_STOPPED where it is paused, or over."""
        one = self.history().open.get(id_)
        if one is None:
            raise over(id_, self.view)
        check_goes_on(one)

    def pause(self, id_: str) -> Backfill:
        """The run under way ends after its portion. Raises BACKFILL_STOPPED where it is over, as the others do."""
        word = Word(at=self.clock(), by=self.by)
        return self._each(id_, lambda one: one if one.paused else one.model_copy(update={"paused": word}))

    def resume(self, id_: str) -> Backfill:
        """It may go on."""
        return self._each(id_, lambda one: one.model_copy(update={"paused": None}))

    def cancel(self, id_: str) -> None:
        """It is over, and its units are swept like those of any run that led to nothing."""
        self._change(lambda state: self._over(state, self._named(state, id_), None))

    def served(self, id_: str, version: int) -> None:
        """It has led to a version that is served. Nothing is put where it is over already."""
        if id_ in self.history().open:
            self._change(
                lambda state: (
                    self._over(state, one, version)
                    if (one := next((one for one in state.open if one.id == id_), None))
                    else state
                )
            )

    def history(self) -> BackfillHistory:
        """As the log is now."""
        return BackfillHistory(self.lake.backfill_log(self.view))

    def _each(self, id_: str, change: Callable[[Backfill], Backfill]) -> Backfill:
        state = self._change(lambda state: _with(state, change(self._named(state, id_))))
        return self._named(state, id_)

    def _named(self, state: Backfills, id_: str) -> Backfill:
        found = next((one for one in state.open if one.id == id_), None)
        if found is None:
            raise over(id_, self.view)
        return found

    def _over(self, state: Backfills, one: Backfill, version: int | None) -> Backfills:
        ended = Ended(id=one.id, view=one.view, asked=one.asked, at=self.clock(), by=self.by, version=version)
        left = tuple(other for other in state.open if other.id != one.id)
        return state.model_copy(update={"open": left, "ended": (*state.ended, ended)[-ENDED:]})

    def _change(self, change: Said) -> Backfills:
        """The state that stands then."""
        for attempt in range(1, ATTEMPTS + 1):
            history, now = self.history(), self.clock()
            before = history.state or Backfills(at=now)
            after = change(before)
            if after == before:
                return before
            try:
                history.log.put_last(history.number + 1, Backfills(at=now, open=after.open, ended=after.ended))
            except ConflictError:
                if attempt == ATTEMPTS:
                    raise
            else:
                return after
        raise AssertionError("unreachable")


def _with(state: Backfills, one: Backfill) -> Backfills:
    others = {other.id: other for other in state.open}
    return state.model_copy(update={"open": tuple({**others, one.id: one}.values())})


def check_goes_on(one: Backfill) -> None:
    """Raises BACKFILL_STOPPED where it is paused."""
    if one.paused:
        raise UserError(
            Condition.BACKFILL_STOPPED,
            f"backfill {one.id} of {one.view} is paused, by {one.paused.by or 'an operator'}",
            detail=f"since {one.paused.at.isoformat(timespec='seconds')}",
            hint=f"'seamline backfill resume {one.id}' goes on with the units left; 'cancel' gives it up",
        )


def over(id_: str, view: str) -> UserError:
    """It is not open any more."""
    return UserError(
        Condition.BACKFILL_STOPPED,
        f"backfill {id_} of {view} is over: it was cancelled, or its version is served",
        hint=f"'seamline backfill history {view}' says which",
    )


def all_open(lake: Lake) -> list[Backfill]:
    """Every view's, oldest first. A listing, and an entry for each view that ever had one."""
    logs = sorted(newest(lake.store, BACKFILLS))
    histories = [BackfillHistory(lake.backfill_log(name.removeprefix(f"{BACKFILLS}/"))) for name in logs]
    return sorted((one for history in histories for one in history.open.values()), key=lambda one: one.since)
