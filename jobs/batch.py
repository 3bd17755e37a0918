"""Batch versions: reserve a cut, recompute the touched event dates from raw, audit, publish.

Whatever dies where, running it again goes on: with the same reservation, without the units that are done, or with the
version that only waits to be published. A put that finds its number taken means deciding again from the start.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seamline.entries.views import Published
from seamline.errors import Condition, ConflictError, UserError
from seamline.frontier import Frontier
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.jobs.ahead import begin_together
from seamline.jobs.asked import DateRange
from seamline.jobs.backfilling import Backfilling
from seamline.jobs.decide import newest_state
from seamline.jobs.resources import Resources
from seamline.jobs.stages import Begun, Outcome, Reservation
from seamline.jobs.steps import ATTEMPTS, finish, run
from seamline.jobs.stepwise import ALLOWED, Allowed
from seamline.jobs.words import Words
from seamline.observe.timed import timed
from seamline.observe.traces import TRACES
from seamline.schemas.catalogue import Catalogue, dropped_view
from seamline.schemas.states import publish
from seamline.schemas.stored import check_segments, check_version
from seamline.segment import build_chain

__all__ = ["Batch", "Outcome"]

NOTHING, PUBLISHED = "nothing", "published"
"""What a run came to."""


@dataclass(frozen=True)
class Batch(Resources):
    """The batch layer of one lake: what can be asked of it, with these resources."""

    def refresh(self, view: str, begun: Begun | None = None) -> Outcome:
        """Recomputes the event dates touched since the served version, audits and publishes; goes on from what was
        `begun`.

        Raises DRIFT_HELD, RESERVATION_EXPIRED, KERNEL_VERSION, VIEW_UNKNOWN; LEDGER_CONFLICT only after many tries.
        """
        return self._run(view, begun, rebuild=False)

    def rebuild(self, view: str, begun: Begun | None = None) -> Outcome:
        """The same over every event date, on no base: for a new definition, or where code was wrong."""
        return self._run(view, begun, rebuild=True)

    def backfill(
        self, view: str, asked: DateRange, allowed: Allowed = ALLOWED, *, by: str = "", skipped: Sequence[str] = ()
    ) -> Outcome:
        """A refresh that recomputes the asked dates of the served version too, whatever has changed of them; but for
        those `skipped`, which keep their old files. Units that are done stay done where a refresh comes first and moves
        the base, where its reservation ends, and where it is paused.

        Raises what `refresh` does; BACKFILL_STOPPED, UNIT_FAILED; PLAN_MOVED where another definition is served than it
        was begun under; INPUT_INVALID where a date cannot be left out.
        """
        words = Words(self.lake, view, self.clock, by)
        with timed("run", {"view": view}, kind="backfill") as work:
            outcome = Backfilling(self, words, asked, tuple(skipped), allowed).run()
            work.comes_to(NOTHING if outcome.version is None else PUBLISHED)
            return outcome

    def begin(self, views: Iterable[str], *, rebuild: bool) -> dict[str, Begun]:
        """Begins refreshes (or rebuilds) of these views together, reading what they read alike once: by view, what its
        own refresh or rebuild is to go on from. One that could not begin is not among them, and is asked for alike."""
        with TRACES.span("runs", {}):
            return begin_together(self, views, rebuild=rebuild)

    def rollback(self, view: str, version: int | None, definition: str | None = None) -> Published:
        """An operator's word: serves an older (or a held) version. It wins over any run that is under way.

        `definition` defaults to the served one. Raises OUT_OF_RETENTION or SEAM_HOLE where its chain no longer stands,
        KERNEL_VERSION where it cannot be read,
        VIEW_UNKNOWN where the view was dropped.
        """
        catalogue = Catalogue(self.lake)
        state = newest_state(catalogue, view)
        if state.served is None:
            raise dropped_view(view)
        chosen = definition or state.served
        if chosen not in state.live:
            detail = ", ".join(state.live)
            raise UserError(Condition.VIEW_UNKNOWN, f"definition {chosen} of {view} is not live", detail=detail)
        speed = SpeedHistory(self.lake.speed_log(catalogue.stream(chosen)))
        cut, lowest = speed.origin or Frontier(), None
        if version is not None:
            history = BatchHistory(self.lake.batch_log(chosen))
            check_version(catalogue.definition(chosen), history, version)
            cut, lowest = history.versions[version].cut, history.lowest(version)
        until = speed.frontier if speed.last_epoch else cut
        chain = build_chain(chosen, version, cut, speed.segments(chosen, cut, until), until)
        check_segments(catalogue.definition(chosen), chain.segments)
        return publish(self.lake, state, chosen, version, "chosen by an operator", self.clock(), lowest)

    def _run(self, view: str, begun: Begun | None, *, rebuild: bool) -> Outcome:
        with timed("run", {"view": view}, kind="rebuild" if rebuild else "refresh") as work:
            outcome = self._decided(view, begun, rebuild=rebuild)
            work.comes_to(NOTHING if outcome.version is None else PUBLISHED)
            return outcome

    def _decided(self, view: str, begun: Begun | None, *, rebuild: bool) -> Outcome:
        if begun is not None and not (isinstance(begun, Reservation) and self.clock() >= begun.entry.until):
            try:
                return finish(self, view, begun)
            except ConflictError:
                pass  # another writer was first: from the start
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return run(self, view, rebuild=rebuild)
            except ConflictError:
                if attempt == ATTEMPTS:
                    raise
        raise AssertionError("unreachable")
