"""Last step of a run: the version's entry, then the view's state that serves it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from seamline.commitpoint import reach
from seamline.entries.base import Counts, DataFile
from seamline.entries.batch import Audit, Version, Withdrawn
from seamline.errors import Condition, ConflictError, TerminalError
from seamline.history.batch import BatchHistory
from seamline.jobs.decide import raw_read
from seamline.jobs.gone import carried_units
from seamline.jobs.plan import Plan, erased_since
from seamline.jobs.reserve import check_holds, check_stands
from seamline.jobs.resources import Resources
from seamline.jobs.stages import Audited, Outcome, Unpublished
from seamline.jobs.unit import TODAY
from seamline.jobs.words import Words
from seamline.ledger import Log
from seamline.schemas import states
from seamline.units import Unit, standing, whole_name

COMPLETE_EVERY = 16
"""One version in so many lists all files, so that a reader follows at most that many bases."""


def publish(resources: Resources, made: Audited | Unpublished) -> Outcome:
    """Serves a version, which is put first where it is not in the ledger yet; if the view is still as it was when this
    was decided, the epochs after the cut stand, and the reservation holds.

    Raises LEDGER_CONFLICT, RESERVATION_EXPIRED; DRIFT_HELD for a version that stays in the ledger and is not served.
    """
    if isinstance(made, Audited):
        made = put(resources, made)
        reach("batch.after-version")
    return serve(resources, made)


def put(resources: Resources, audited: Audited) -> Unpublished:
    """Puts the version entry; one that a twin of this run has put is as good."""
    reservation = audited.computed.reservation
    target, state = reservation.target, reservation.decision.state
    batch = target.logs.batch
    since = dict(batch.log.after(batch.number))
    if any(isinstance(entry, Withdrawn) and entry.forgets for entry in since.values()):
        raise void(batch.log)
    check_holds(state.view, reservation.entry, resources.clock())  # after the look: a sweep since then takes the number
    versions = {**batch.versions, **{n: entry for n, entry in since.items() if isinstance(entry, Version)}}
    number = next((n for n, version in versions.items() if version.run == reservation.entry.run), None)
    if number is None:
        if reservation.plan.backfill:  # sweeps spare what it took over from earlier runs only until it is cancelled
            Words(resources.lake, state.view, resources.clock).look(reservation.plan.backfill)
        number = max(since, default=batch.number) + 1
        raw = "" if audited.audit.clean else raw_read(resources.lake, target.contracts, reservation.plan)
        versions[number] = version_entry(audited, raw, resources.clock())
        resources.lake.sync(result.file.path for result in audited.computed.results if result.file)
        reach("batch.before-version")
        batch.log.put_last(number, versions[number])
    return Unpublished(state, target, number, versions[number], reservation.entry)


def void(log: Log) -> ConflictError:
    """Records that a run has read are forgotten by now."""
    return ConflictError(
        Condition.LEDGER_CONFLICT,
        f"runs of {log.name} that began before records were forgotten are void",
        hint="read the log again and decide again from the start",
        where=log.name,
    )


def version_entry(audited: Audited, raw: str, now: datetime) -> Version:
    """The entry of a version; `raw`: which raw files it was computed from, where its audit found drift. Pure."""
    computed = audited.computed
    plan, batch = computed.plan, computed.target.logs.batch
    told = [r for r in computed.results if r.counts.read or Unit.parse(r.unit).first]  # not each hour without records
    made: dict[str, tuple[DataFile, ...]] = {r.unit: (r.file,) if r.file else () for r in told}
    carried = carried_units(batch, plan.kept, computed.target.contracts, plan.gone, made)
    units = {**carried, **made}
    counted = {unit: one for unit, one in batch.unit_counts(plan.kept).items() if unit in carried}
    counted |= {r.unit: r.counts for r in told}
    stood = standing(batch.unit_counts(plan.base), counted)
    skipped = _skipped(plan, batch, made, carried)
    base = batch.versions[plan.base] if plan.base is not None else None
    forgets = bool(erased_since(computed.target.logs.archive, base, plan))  # then its base's entry goes
    whole = plan.base is None or forgets or len(batch.lineage(plan.base)) + 1 >= COMPLETE_EVERY
    if whole and plan.base is not None:
        units, counted = standing(batch.files(plan.base), units), stood
    return Version(
        at=now,
        run=computed.reservation.entry.run,
        cut=plan.cut,
        base=plan.base,
        complete=whole,
        units=units,
        archive_entry=plan.archive_entry,
        tables=dict(plan.tables),
        folded=plan.folded,
        asked=plan.asked,
        backfill=plan.backfill,
        skipped=skipped,
        gone=dict(plan.gone),
        begins=dict(plan.begins),
        imports=plan.imports,
        counts=sum(stood.values(), Counts()),
        unit_counts=counted,
        cpu=round(sum(result.cpu for result in computed.results), 3),
        audit=audited.audit,
        **TODAY,
        raw=raw,
    )


def _skipped(plan: Plan, batch: BatchHistory, rewritten: Iterable[str], carried: Iterable[str]) -> dict[str, str]:
    """The dates that were to be recomputed and still are not: of this run, and of its base unless they were by it."""
    before = batch.versions[plan.base].skipped if plan.base is not None else {}
    if plan.kept is not None:
        stand = {whole_name(unit) for unit in carried}
        before = {unit: word for unit, word in batch.versions[plan.kept].skipped.items() if unit in stand}
    dates = {whole_name(unit) for unit in rewritten}
    return {unit: word for unit, word in {**before, **plan.skipped}.items() if unit not in dates}


def serve(resources: Resources, made: Unpublished) -> Outcome:
    """Puts the view's state that serves a version.

    Raises DRIFT_HELD where its audit holds it, RESERVATION_EXPIRED and LEDGER_CONFLICT where it came too late.
    """
    view, version, now = made.state.view, made.version, resources.clock()
    if version.audit.wrong or (resources.settings.hold_on_drift and not version.audit.clean):
        raise _held(view, made.number, version.audit)
    check_holds(view, made.reserved, now)
    check_stands(resources.lake, view, made.target, version.cut)
    definition = made.target.definition.hash
    base = None if version.complete else version.base
    lowest = made.number if base is None else made.target.logs.batch.lowest(base)
    reason = f"run {version.run}"
    seen = states.said_for_good(made.state, made.target.logs.speed.handovers)
    states.publish(resources.lake, seen, definition, made.number, reason, resources.clock(), lowest)
    reach("batch.after-publish")
    return Outcome.of(view, definition, made.number, "published", version)


def _held(view: str, number: int, audit: Audit) -> TerminalError:
    drift = "; ".join(f"{d.column}: {d.groups} groups, at most {d.largest}" for d in audit.drift)
    wrong = "; ".join(f"{d.column}: {d.groups} groups, such as {d.largest}" for d in audit.wrong)
    if wrong:
        message = f"version {number} of {view} differs from raw, computed another way ({wrong})"
        detail = "no difference in the sample that every version is verified by"
    else:
        message = f"version {number} of {view} differs from what was served ({drift})"
        detail = "no unexplained difference, since batch.hold_on_drift is set"
    return TerminalError(
        Condition.DRIFT_HELD,
        message,
        detail=detail,
        hint=f"look at both; 'seamline views rollback {view} --version {number}' serves it all the same",
    )
