"""Batch versions of views over views: folded from the units of the base's served version, so that raw is not read.

While the base gets versions, the derived view follows them: same cut, same imports, same counts of law 3, and only the
units that the base has rewritten since. Where it gets none any more, the derived view is recomputed from raw.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from seamline.entries.base import Counts
from seamline.entries.batch import Version
from seamline.entries.views import Published
from seamline.errors import TerminalError
from seamline.frontier import Frontier
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.jobs.gone import check_carried, is_whole
from seamline.jobs.plan import (
    Logs,
    Nothing,
    Plan,
    reads,
    served_version,
    table_of,
    targets,
    unlisted,
    unremembered,
)
from seamline.jobs.unit import Folding, UnitTask
from seamline.kernel import quote
from seamline.lake import Lake
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.stored import check_version, unread
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.properties import sort_keys
from seamline.segment import build_chain
from seamline.units import Unit, whole_name


@dataclass(frozen=True)
class FoldSource:
    """The base that a derived definition follows."""

    view: str

    number: int | None
    """Its served version; None where it has none yet."""

    batch: BatchHistory

    @property
    def version(self) -> Version | None:
        """The served version, as far as it stands."""
        return self.batch.versions.get(self.number) if self.number is not None else None


def source_of(lake: Lake, catalogue: Catalogue, definition: Definition) -> FoldSource | None:
    """What a definition is folded from; None where it is derived from no view, or from one that gets no versions."""
    base = definition.base
    if base is None or base.view not in catalogue.states:
        return None
    history, state = catalogue.history(base.view), catalogue.states[base.view]
    if base.definition not in targets(history.states.values()):
        return None
    number = state.version if state.served == base.definition else None
    return FoldSource(base.view, number, BatchHistory(lake.batch_log(base.definition)))


def plan_fold(
    state: Published,
    contracts: Sequence[Contract],
    definition: Definition,
    logs: Logs,
    source: FoldSource,
    *,
    rebuild: bool,
) -> Plan | Nothing:
    """What to fold of one definition now; `rebuild` takes every unit and no base.

    Raises KERNEL_VERSION where partials were stored otherwise than they are read: a rebuild is needed.
    """
    served, base = served_version(state, definition, logs.batch, rebuild=rebuild)
    made = source.version
    wait = f"'seamline batch refresh {source.view}' comes first"
    if made is None:
        return Nothing(f"{source.view}, which it is derived from, has no batch version yet: {wait}")
    if made.tables is None:
        return Nothing(
            f"version {source.number} of {source.view} does not say what it read, as an older release made it: "
            f"'seamline batch rebuild {source.view}' comes first"
        )
    if source.number is not None and definition.base is not None:
        check_version(definition.base.of, source.batch, source.number)
    if base is not None and not _further(base, made, source.number, rebuild=rebuild):
        return Nothing(f"version {served} holds what version {source.number} of {source.view} does: {wait}")
    why = _too_early(logs.speed, definition, contracts, base, made.cut)
    if why:
        return Nothing(f"version {source.number} of {source.view} is no cut for it yet: {why}")
    units = None if rebuild or base is None else rewritten(source.batch, source.number, base.folded)
    dates = None if units is None else _by_table(units, contracts)
    against = served if base is not None and base.tables is not None else None
    kept = None
    if base is not None and is_whole(base, logs.archive, contracts):
        kept = served if dates is None and made.gone else None
        check_carried(definition, logs.batch, kept, contracts, made.gone)
    elif base is not None:  # the base view's version says what can be said of dates that are gone
        dates, base = None, None
    return Plan(
        state.view, definition.hash, made.cut, None if dates is None else served, dates, made.archive_entry,
        made.tables, made.imports, against, source.number, gone=made.gone, kept=kept,
        begins=base.begins if base is not None else made.begins,
    )  # fmt: skip


def _further(base: Version, made: Version, number: int | None, *, rebuild: bool) -> bool:
    """Whether the base view's version goes on from what is served: beyond it, or made anew up to the same cut."""
    within = set(base.imports) <= set(made.imports) and base.archive_entry <= made.archive_entry
    if not (base.cut <= made.cut and within):
        return False
    same = (base.cut, base.imports, base.archive_entry) == (made.cut, made.imports, made.archive_entry)
    return rebuild or (base.folded != number if base.folded is not None else not same)


def _too_early(
    speed: SpeedHistory, definition: Definition, contracts: Sequence[Contract], base: Version | None, cut: Frontier
) -> str:
    """Why no version may end at this cut yet, or '': the rules of every cut, which the base's version chose for itself.

    Every epoch after it lists the definition, and where that is new (or came back), its decoding's ids are remembered
    from far enough back.
    """
    if not speed.last_epoch:
        return ""
    if not speed.trailing(lambda epoch: reads(definition, epoch)):
        return unlisted(definition, speed)
    if not _reaches(speed, definition, cut):
        return "not every epoch after it lists this definition"
    if base is not None and _reaches(speed, definition, base.cut):
        return ""
    at = next((epoch for _, epoch in sorted(speed.epochs.items()) if cut in (epoch.start, epoch.end)), None)
    return next(filter(None, (unremembered(speed, at, contract) for contract in contracts if at)), "")


def _reaches(speed: SpeedHistory, definition: Definition, cut: Frontier) -> bool:
    """Whether epochs whose partials can be read lead from a cut to the frontier."""
    try:
        chain = build_chain(
            definition.hash, None, cut, speed.segments(definition.hash, cut, speed.frontier), speed.frontier
        )
    except TerminalError:
        return False
    return not any(link.files and unread(definition, link.stored) for link in chain.segments)


def rewritten(batch: BatchHistory, number: int | None, since: int | None) -> frozenset[str] | None:
    """The whole dates that were rewritten from version `since` to `number`, as units; None where one does not build on
    the other."""
    units: set[str] = set()
    at = number
    while at is not None and at != since and at in batch.versions:
        units |= {whole_name(unit) for unit in batch.versions[at].units}
        at = batch.versions[at].base
    return frozenset(units) if at == since and since is not None else None


def _by_table(units: Iterable[str], contracts: Sequence[Contract]) -> dict[str, frozenset[date]]:
    """Units of whole dates as event dates by raw table."""
    parsed = [Unit.parse(unit) for unit in units]
    return {table_of(c): frozenset(unit.day for unit in parsed if unit.contract in ("", c.name)) for c in contracts}


def fold_tasks(
    lake: Lake, definition: Definition, plan: Plan, source: FoldSource, run: str, memory: str
) -> list[UnitTask]:
    """One task for each unit to fold: its files in the base's version, and what was counted there."""
    if definition.base is None or source.number is None:
        raise AssertionError("a version is folded from a base's")
    files, counts = source.batch.files(source.number), source.batch.unit_counts(source.number)
    days = None if plan.dates is None else {day for of_table in plan.dates.values() for day in of_table}
    base, keys = definition.base, tuple(key.name for key in definition.base.of.keys)
    order = sort_keys(definition.properties, tuple(key.name for key in definition.keys))
    last = f"\nORDER BY {', '.join(map(quote, order))}" if order else ""
    return [
        UnitTask(
            lake=lake.uri,
            definition=plan.definition,
            run=run,
            of=Unit.parse(unit),
            files=tuple(file.path for file in of_unit),
            statements=Folding(base.fold, keys, counts.get(unit, Counts()), definition.merging, last),
            size=sum(file.rows for file in of_unit),
            memory=memory,
        )
        for unit, of_unit in sorted(files.items())
        if days is None or Unit.parse(unit).day in days
    ]
