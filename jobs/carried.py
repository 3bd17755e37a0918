"""Units that an earlier run of the same backfill has done, and that are the same still: it need not be done twice.

A long run competes with refreshes: each of them moves the base, and what was begun on the older one cannot be published
any more. Of its units those are taken over that nothing has touched since, however long ago they were done: sweeps
spare what the runs of an open backfill have made (`spared`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from seamline.entries.backfills import Attempted
from seamline.jobs.plan import dirty_dates, table_of
from seamline.jobs.resources import Resources
from seamline.jobs.sample import least_statement
from seamline.jobs.stages import Reservation
from seamline.jobs.unit import UnitResult, UnitTask
from seamline.jobs.words import Words, all_open
from seamline.jobs.work import finished
from seamline.lake import Lake
from seamline.units import Unit

SAMPLED = 4
"""Units of those taken over whose groups are looked through for the version's sample."""


def carried(resources: Resources, reservation: Reservation, tasks: Iterable[UnitTask]) -> dict[str, UnitResult]:
    """By unit, the results of earlier runs of its backfill that stand. Takes time by those runs' units."""
    found: dict[str, UnitResult] = {}
    if not reservation.plan.backfill or reservation.target.source is not None:
        return found
    words = Words(resources.lake, reservation.plan.view, resources.clock)
    backfill = words.history().open.get(reservation.plan.backfill)
    wanted = {task.unit: task for task in tasks if not task.mended}  # those come from other dates, too
    for earlier in _earlier(reservation, backfill.runs if backfill else ()):
        fresh = _fresh(reservation, earlier, wanted.keys() - found.keys())
        if fresh:
            done = finished(resources.lake, earlier.run)
            found |= {unit: done[unit] for unit in sorted(fresh & done.keys())}
    return {unit: _sampled(resources, reservation, result, n) for n, (unit, result) in enumerate(found.items())}


def _earlier(reservation: Reservation, runs: Sequence[Attempted]) -> list[Attempted]:
    """Those of which one reads all that the other does, and more; the newest first."""
    plan = reservation.plan
    older = [one for one in runs if one.cut <= plan.cut and one.archive_entry <= plan.archive_entry]
    newer = [one for one in runs if plan.cut <= one.cut and plan.archive_entry <= one.archive_entry]
    alike = {one.run: one for one in (*older, *newer) if one.run != reservation.entry.run}
    return sorted(alike.values(), key=lambda one: one.at, reverse=True)


def _fresh(reservation: Reservation, earlier: Attempted, units: Iterable[str]) -> set[str]:
    """Those that a run from that reservation on would compute alike: nothing touched them between both."""
    target, mine = reservation.target, reservation.entry
    first, end = (earlier, mine.cut) if earlier.cut <= mine.cut else (mine, earlier.cut)
    dirty = dirty_dates(target.logs.archive, target.contracts, first, end)
    if dirty is None:
        return set()
    tables = {contract.name: table_of(contract) for contract in target.contracts}
    parsed = {unit: Unit.parse(unit) for unit in units}
    return {unit for unit, one in parsed.items() if one.day not in dirty[tables[target.contract_of(one).name]]}


def spared(lake: Lake) -> frozenset[str]:
    """What the runs of open backfills have made, and their markers: no entry lists it yet, and it may be old. Takes
    time by those runs' units."""
    runs = [run.run for one in all_open(lake) for run in one.runs]
    markers = [item["path"] for run in runs for item in lake.listed(lake.marker_prefix(run))]
    files = [result.file.path for run in runs for result in finished(lake, run).values() if result.file]
    return frozenset([*markers, *files])


def _sampled(resources: Resources, reservation: Reservation, result: UnitResult, number: int) -> UnitResult:
    """The result with the groups of the least hashes of this run; of all but some units none."""
    if number >= SAMPLED or result.file is None or not resources.settings.verify_sample:
        return result.model_copy(update={"groups": ()})
    keys = reservation.target.definition.merging.keys
    least = least_statement(reservation.entry.run, keys, resources.settings.verify_sample)
    rows = resources.engine.run(least, {"partials": resources.lake.read([result.file.path])}).to_pylist()
    return result.model_copy(update={"groups": tuple((row["h"], row["n"]) for row in rows)})
