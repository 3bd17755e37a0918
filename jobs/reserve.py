"""Second step of a run: a reservation that holds the epochs after its cut until the version is published.

A run that is started again goes on with the reservation that it had, and with its cut: so the units it has done count.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from seamline.attempts import check_age, new_attempt
from seamline.commitpoint import reach
from seamline.entries.batch import Reserved
from seamline.errors import Condition, TerminalError, TransientError
from seamline.frontier import Frontier
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.history.views import ViewHistory
from seamline.jobs.plan import Plan
from seamline.jobs.resources import Resources
from seamline.jobs.stages import Decided, Reservation, Target
from seamline.lake import Lake
from seamline.segment import build_chain


def reserve(resources: Resources, decision: Decided) -> Reservation:
    """The reservation that an earlier life of this run still holds, or a new one, put into the ledger.

    Raises LEDGER_CONFLICT where the definition's log has gone on since the decision; RESERVATION_EXPIRED where epochs
    after the cut no longer stand; TransientError where the decision is so old that raw may not stand as it read it.
    """
    plan, target, now = decision.plan, decision.target, resources.clock()
    batch = target.logs.batch
    entry = continued(plan, decision.view, batch, now)
    if entry is None:
        check_age(decision.at, now)
        lasting = timedelta(minutes=resources.settings.reservation_minutes)
        entry = reservation(plan, new_attempt(), now, lasting, max(decision.view.states))
        batch.log.put_last(batch.number + 1, entry)
    reach("batch.after-reserve")
    check_stands(resources.lake, decision.state.view, target, entry.cut)
    return Reservation(decision, entry, resumed(plan, entry))


def reservation(plan: Plan, run: str, now: datetime, lasting: timedelta, view_entry: int) -> Reserved:
    """Holds the epochs after the cut until the run is published. `view_entry`: the view's newest state."""
    return Reserved(
        at=now,
        run=run,
        cut=plan.cut,
        until=now + lasting,
        base=plan.base,
        archive_entry=plan.archive_entry,
        tables=dict(plan.tables),
        dates=None if plan.dates is None else {table: tuple(sorted(days)) for table, days in plan.dates.items()},
        imports=plan.imports,
        view_entry=view_entry,
        folded=plan.folded,
        asked=plan.asked,
        backfill=plan.backfill,
        skipped=dict(plan.skipped),
        gone=dict(plan.gone),
        kept=plan.kept,
    )


def continued(plan: Plan, view: ViewHistory, batch: BatchHistory, now: datetime) -> Reserved | None:
    """The newest reservation that still holds and works from the same base: a run started again goes on with it."""
    mine = (one for one in batch.held(now) if one.tables is not None and _same_start(plan, view, one))
    return max(mine, key=lambda one: one.at, default=None)


def unpublished(plan: Plan, view: ViewHistory, batch: BatchHistory, now: datetime) -> int | None:
    """The newest version whose run holds its reservation, started where this plan would, and was not published."""
    runs = {r.run for r in batch.reserved.values() if r.until > now and _same_start(plan, view, r)}
    return max((n for n, version in batch.versions.items() if version.run in runs), default=None)


def _same_start(plan: Plan, view: ViewHistory, reserved: Reserved) -> bool:
    """Whether the view has served the same ever since the run began, and judged records alike: whoever changed that, a
    refresh or an operator, a run from before it must not undo it. And whether raw begins where it did."""
    of_run = (reserved.base, reserved.folded, reserved.backfill, reserved.skipped, reserved.gone, reserved.kept)
    if of_run != (plan.base, plan.folded, plan.backfill, plan.skipped, plan.gone, plan.kept):
        return False
    known = min(view.states, default=0) <= max(reserved.view_entry, 1)
    since = [state for number, state in view.states.items() if number >= reserved.view_entry]
    return known and len({(one.served, one.version, one.handovers.get(plan.definition, ())) for one in since}) == 1


def resumed(plan: Plan, reserved: Reserved) -> Plan:
    """The plan that the reservation was made for."""
    if plan.folded is not None:
        return plan  # all of it follows from the versions that both name
    return replace(
        plan,
        cut=reserved.cut,
        dates=None if reserved.dates is None else {of: frozenset(days) for of, days in reserved.dates.items()},
        archive_entry=reserved.archive_entry,
        tables=reserved.tables or {},
        imports=reserved.imports,
    )


def check_stands(lake: Lake, view: str, target: Target, cut: Frontier) -> None:
    """The epochs after a cut still reach to the frontier, as the ledger is now. Raises RESERVATION_EXPIRED."""
    speed = SpeedHistory(lake.speed_log(target.stream))
    if not speed.last_epoch:
        return
    definition = target.definition.hash
    try:
        build_chain(definition, None, cut, speed.segments(definition, cut, speed.frontier), speed.frontier)
    except TerminalError as error:
        raise _expired(view, f"epochs after its cut no longer stand ({error.message})") from error


def check_holds(view: str, reserved: Reserved, now: datetime) -> None:
    """A reservation has not run out (RESERVATION_EXPIRED), nor may its files be swept soon (`check_age`)."""
    if now >= reserved.until:
        raise _expired(view, f"its reservation ended at {reserved.until.isoformat()}")
    check_age(reserved.at, now)


def _expired(view: str, why: str) -> TransientError:
    return TransientError(
        Condition.RESERVATION_EXPIRED,
        f"the new version of {view} was not published: {why}",
        hint="refresh again; raise batch.reservation_minutes if runs take longer than that",
    )
