"""A backfill from its word to its version, over as many runs as it takes.

Each run is a refresh that rewrites the asked dates too. It decides again where another writer was first and where its
reservation has ended; then the units that nothing touched since are taken over (`seamline.jobs.carried`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from seamline.entries.backfills import Backfill
from seamline.errors import Condition, ConflictError, TransientError
from seamline.history.batch import BatchHistory
from seamline.history.views import ViewHistory
from seamline.jobs.asked import DateRange
from seamline.jobs.decide import LedgerAsRead, decide, newest_state
from seamline.jobs.plan import Nothing
from seamline.jobs.publish import put
from seamline.jobs.resources import Resources
from seamline.jobs.stages import Audited, Decided, Outcome, Reservation, Unpublished
from seamline.jobs.steps import ATTEMPTS, audited, going_on, published, reserved
from seamline.jobs.stepwise import Allowed, Stepwise
from seamline.jobs.words import Words
from seamline.jobs.work import local_runner
from seamline.observe.timed import step


@dataclass(frozen=True)
class Backfilling:
    """One operator's order, and what it is carried out with."""

    resources: Resources
    words: Words
    asked: DateRange
    skipped: tuple[str, ...]
    allowed: Allowed

    def run(self) -> Outcome:
        """Until it is served, built, or there is nothing to do."""
        tried, runs = 1, list[Stepwise]()
        while True:
            try:
                return self._once(runs)
            except ConflictError:
                tried += 1
                if tried > ATTEMPTS:
                    raise
            except TransientError as error:
                if error.condition is not Condition.RESERVATION_EXPIRED or not (runs and runs.pop().begun):
                    raise  # one that does some units each time goes on for as long as that takes

    def _once(self, runs: list[Stepwise]) -> Outcome:
        lake, view = self.resources.lake, self.words.view
        ledger = LedgerAsRead.of(lake, self.resources.clock())
        state = newest_state(ledger.catalogue, view)
        if state.served is None:
            return Outcome(view, reason="nothing is served yet: run 'seamline views apply'")
        backfill = self.words.begun(self.asked.name, state.served, self.skipped)
        if (done := self._served_before(backfill, ledger.catalogue.history(view))) is not None:
            return done
        with step("run", "decide"):
            decided = decide(self.resources, view, rebuild=False, ledger=ledger, asked=backfill)
        if isinstance(decided, Nothing):
            return Outcome(view, reason=decided.reason)
        self.words.begin(backfill)
        if isinstance(decided, Unpublished):
            with going_on(self.resources, decided):
                return self._ended(backfill, decided)
        return self._computed(backfill, decided, runs)

    def _served_before(self, backfill: Backfill, view: ViewHistory) -> Outcome | None:
        """What an earlier life of it has published, without saying so here."""
        batch = BatchHistory(self.resources.lake.batch_log(backfill.definition))
        for state in view.states.values():
            version = batch.versions.get(state.version or 0) if state.served == backfill.definition else None
            if version is not None and version.backfill == backfill.id:
                self.words.served(backfill.id, state.version or 0)
                return Outcome.of(backfill.view, backfill.definition, state.version, "published", version)
        return None

    def _computed(self, backfill: Backfill, decided: Decided, runs: list[Stepwise]) -> Outcome:
        reservation = reserved(self.resources, decided)
        self.words.attempted(backfill.id, reservation.entry)
        runs.append(self._stepwise(backfill, reservation))
        with going_on(self.resources, reservation):
            return self._ended(backfill, audited(replace(self.resources, runner=runs[-1]), reservation))

    def _stepwise(self, backfill: Backfill, reservation: Reservation) -> Stepwise:
        runner = self.resources.runner or local_runner(self.resources.lake)
        return Stepwise(runner, self.words, backfill.id, reservation.entry, self.allowed, self.resources.clock)

    def _ended(self, backfill: Backfill, made: Audited | Unpublished) -> Outcome:
        if self.allowed.shadow:
            made = put(self.resources, made) if isinstance(made, Audited) else made
            self.words.built(backfill.id, made.number)
            told = f"version {made.number} is built and not served: 'seamline backfill promote {backfill.id}' serves it"
            return Outcome.of(backfill.view, backfill.definition, None, told, made.version)
        outcome = published(self.resources, made)
        self.words.served(backfill.id, outcome.version or 0)
        return outcome
