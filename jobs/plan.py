"""What a batch run would do, decided from what the ledger says: pure functions over histories.

A plan names the definition, the cut (the end of an epoch that the archive has passed), the base whose other units still
stand, and the event dates to recompute; or it says why there is nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from seamline.entries.archive import Erased, Touched
from seamline.entries.backfills import Attempted
from seamline.entries.batch import Reserved, Version
from seamline.entries.speed import Epoch
from seamline.entries.views import EarlierState, Published
from seamline.frontier import START, Frontier
from seamline.history.archive import ArchiveHistory
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.jobs.gone import GoneBefore, begin_of, check_carried, gone_of, is_whole
from seamline.lake import Lake
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.stored import check_version, unread
from seamline.schemas.views.definition import Definition


@dataclass(frozen=True)
class Nothing:
    """There is nothing to recompute, or not yet; `reason` says why."""

    reason: str


@dataclass(frozen=True)
class Plan:
    """What one batch run computes."""

    view: str
    """The view that the version is of."""

    definition: str
    """The hash of the definition that is computed."""

    cut: Frontier
    """Where the version ends: the end of an epoch that the archive has passed."""

    base: int | None
    """The version whose other units still stand; None: every unit is computed."""

    dates: Mapping[str, frozenset[date]] | None
    """The event dates to recompute, by raw table; None: every date that raw holds."""

    archive_entry: int
    """The newest entry of the archive that the version reads."""

    tables: Mapping[str, int]
    """The version of each raw table that is read, as that entry says it."""

    imports: tuple[str, ...]
    """Sources of the whole imports that it holds."""

    against: int | None = None
    """The version that its audit starts from, if any."""

    folded: int | None = None
    """The base view's version that it is folded from; None: it is computed from raw."""

    asked: str = ""
    """The range of event dates that an operator asked for (`DateRange.name`); '': none."""

    backfill: str = ""
    """The id of the backfill that asked for it; '': none."""

    skipped: Mapping[str, str] = field(default_factory=dict)
    """Whole dates that keep the base's files though they were asked for, by whose word."""

    gone: GoneBefore = field(default_factory=dict)
    """By raw table, the event date before which it holds nothing any more."""

    kept: int | None = None
    """Without a base: the version whose units stand of dates that are gone."""

    begins: Mapping[str, date] = field(default_factory=dict)
    """By contract, the event date before which the version holds nothing, since raw does not any more."""


@dataclass(frozen=True)
class Logs:
    """The histories a plan is made from, as they were read: of one stream, and of one definition."""

    speed: SpeedHistory
    """The stream's epochs."""

    archive: ArchiveHistory
    """How far the stream is archived."""

    batch: BatchHistory
    """The definition's versions and reservations."""


def targets(states: Iterable[EarlierState]) -> tuple[str, ...]:
    """The definitions that a refresh of a view may work on, most wanted first: one that waits for its first version,
    then the served one. `states` are a view's, oldest first.

    A definition that was served since it became live waits for nothing: an operator has gone back from it.
    """
    listed = list(states)
    newest = listed[-1] if listed else None
    if newest is None or newest.served is None:
        return ()
    waiting = [d for d in newest.live if not _served_while_live(listed, d)]
    return (*reversed(waiting), newest.served)


def _served_while_live(states: list[EarlierState], definition: str) -> bool:
    for state in reversed(states):
        if definition not in state.live:
            return False
        if state.served == definition:
            return True
    return False


def plan_run(
    state: Published, contracts: Sequence[Contract], definition: Definition, logs: Logs, *, rebuild: bool
) -> Plan | Nothing:
    """What to recompute of one definition now; `rebuild` takes every date and no base.

    Raises KERNEL_VERSION where the base's partials were stored otherwise than they are read: a rebuild is needed.
    """
    served, base = served_version(state, definition, logs.batch, rebuild=rebuild)
    imports = imports_of(logs.archive, contracts)
    cut = choose_cut(logs, definition, contracts, base)
    waits = ""
    if isinstance(cut, Nothing):
        if base is None or (rebuild and unread_after(logs.speed, definition, base.cut)):
            return cut
        waits = f" ({cut.reason})"
        cut = base.cut  # nothing new below a cut; an import may still have touched dates
    elif base is not None and not base.cut <= cut:
        cut = base.cut
    number, tables = logs.archive.number, tables_of(logs.archive, contracts)
    against = served if base is not None and base.tables is not None else None
    every = Plan(state.view, definition.hash, cut, None, None, number, tables, imports, against)
    if base is None or not is_whole(base, logs.archive, contracts):
        return carrying(every, None, logs, contracts)
    dates = None if rebuild else dirty_dates(logs.archive, contracts, base, cut)
    if dates is None:  # or it builds on what was too long ago
        every = carrying(every, base, logs, contracts, kept=served)
        check_carried(definition, logs.batch, served, contracts, every.gone)
        return every
    if not any(dates.values()) and (cut, imports) == (base.cut, base.imports):
        end = "is as far as the archive and the epochs reach"
        return Nothing(f"version {served} of definition {definition.hash}, which is served, {end}{waits}")
    return carrying(replace(every, base=served, dates=dates), base, logs, contracts)


def carrying(
    plan: Plan, carrier: Version | None, logs: Logs, contracts: Sequence[Contract], kept: int | None = None
) -> Plan:
    """A plan over raw as the newest entry has it, with what stands of dates that are gone: in the version that it
    builds on, or that is `kept` of while every other date is computed; without a `carrier` nothing does."""
    gone = gone_of(logs.archive, contracts)
    begins = begin_of(gone) if carrier is None else carrier.begins
    dates = None if plan.dates is None else staying(plan.dates, gone)
    return replace(plan, dates=dates, gone=gone, begins=begins, kept=kept if gone else None)


def staying(dates: Mapping[str, frozenset[date]], gone: GoneBefore) -> dict[str, frozenset[date]]:
    """Event dates by raw table without those that are gone: whoever may be built on has read all of them, and where the
    archive tells of several entries together, one of them may be named."""
    return {
        table: frozenset(day for day in days if table not in gone or gone[table] <= day)
        for table, days in dates.items()
    }


def served_version(
    state: Published, definition: Definition, batch: BatchHistory, *, rebuild: bool
) -> tuple[int | None, Version | None]:
    """The version that is served of a definition, to build on. Raises KERNEL_VERSION where only a rebuild can be."""
    served = state.version if state.served == definition.hash else None
    base = batch.versions.get(served) if served is not None else None
    if served is not None and base is not None and not rebuild:
        check_version(definition, batch, served)
    return served, base


def reads(definition: Definition, epoch: Epoch) -> bool:
    """Whether an epoch lists a definition, with partials that can be read."""
    return definition.hash in epoch.files and not unread(definition, epoch)


def unread_after(speed: SpeedHistory, definition: Definition, cut: Frontier) -> bool:
    """Whether partials after a cut cannot be read: a version that ends there would answer nothing."""
    after = [segment for segment in speed.segments(definition.hash, cut) if not segment.end <= cut and segment.files]
    return any(unread(definition, segment.stored) for segment in after)


def table_of(contract: Contract) -> str:
    """The raw table of a contract's events."""
    return Lake.raw_path(contract.name, contract.layout)


def choose_cut(
    logs: Logs, definition: Definition, contracts: Sequence[Contract], base: Version | None
) -> Frontier | Nothing:
    """The newest frontier between epochs that the archive has passed and after which every epoch lists it, stored as
    it is read.

    A first version of decodings whose ids speed has not remembered from far enough back has to wait: a copy of a record
    below its cut could be counted again after it. What was dropped and came back is in this as if it were new: nobody
    says what was remembered in the hole after its base.
    """
    if not logs.speed.last_epoch:
        return START if imports_of(logs.archive, contracts) else Nothing("the speed layer has committed no epoch yet")
    listed = logs.speed.trailing(lambda epoch: reads(definition, epoch))
    if not listed:
        return Nothing(unlisted(definition, logs.speed))
    cuts = [(listed[0].start, listed[0]), *((epoch.end, epoch) for epoch in listed)]
    if base is None or not listed[0].start <= base.cut:
        why = next(filter(None, (unremembered(logs.speed, listed[-1], contract) for contract in contracts)), "")
        if why:
            return Nothing(why)
        cuts = [(cut, at) for cut, at in cuts if not any(unremembered(logs.speed, at, one) for one in contracts)]
    passed = [cut for cut, _ in cuts if cut <= logs.archive.frontier or cut == logs.speed.origin]
    return passed[-1] if passed else Nothing("the archive has not passed the end of an epoch yet")


def unlisted(definition: Definition, speed: SpeedHistory) -> str:
    """Why no epoch, up to the newest, holds what can be read of a definition."""
    newest = speed.epochs.get(speed.last_epoch)
    if newest is not None and definition.hash in newest.files:
        columns = ", ".join(unread(definition, newest))
        stored = f"kernel {newest.kernel} in layout {newest.layout}"
        return f"the newest epoch was stored by {stored}, which is not read for {columns}"
    return "the newest epoch does not list this definition yet"


def unremembered(speed: SpeedHistory, epoch: Epoch, contract: Contract) -> str:
    """Why copies of what was read below an epoch's end may be unknown above it, or ''."""
    if contract.event_id is None or not speed.lacks(epoch, contract.decoding):
        return ""
    if contract.decoding not in epoch.decodings:
        return f"the newest epoch does not read {contract.name} by this decoding yet"
    return f"its first cut lies where the timestamps of {contract.name} are one dedup horizon beyond its first epoch"


def dirty_dates(
    archive: ArchiveHistory, contracts: Iterable[Contract], base: Version | Reserved | Attempted, cut: Frontier
) -> dict[str, frozenset[date]] | None:
    """By raw table, the event dates whose records below `cut` may differ from those that `base` read; None: any.

    That is: what the archive took in beyond the base's cut, and imports or refiled records that the base did not read.
    Where the archive tells of more than that together, its dates are among them.
    """
    touching = [one.dates for one in archive.touched if touches(one, base, cut)]
    if None in touching:
        return None
    tables = [table_of(contract) for contract in contracts]
    return {table: frozenset(day for dates in touching if dates for day in dates.get(table, ())) for table in tables}


def erased_since(archive: ArchiveHistory, base: Version | Reserved | None, plan: Plan) -> tuple[Erased, ...]:
    """What was taken out of raw between what `base` (None: epochs alone) has read and what a plan reads."""
    since = range(base.archive_entry + 1 if base else 1, plan.archive_entry + 1)
    return tuple(one for one in archive.erased.values() if one.entry in since)


def touches(part: Touched, base: Version | Reserved | Attempted, cut: Frontier) -> bool:
    """Whether the archive took something in with it that is below `cut` and that `base` did not read."""
    beyond = cut != base.cut and not part.end <= base.cut
    if part.beside and (part.number > base.archive_entry or beyond):
        return True
    return beyond and not cut <= part.start


def tables_of(archive: ArchiveHistory, contracts: Iterable[Contract]) -> dict[str, int]:
    """The version of each raw table of these contracts that there is."""
    tables = map(table_of, contracts)
    return {table: archive.tables[table] for table in tables if table in archive.tables}


def imports_of(archive: ArchiveHistory, contracts: Iterable[Contract]) -> tuple[str, ...]:
    """Sources of the whole imports of these contracts."""
    names = {contract.name for contract in contracts}
    return tuple(sorted(i.source for i in archive.imports.values() if i.contract in names))
