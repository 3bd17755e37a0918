"""First step of a run: what there is to do, from the newest ledger. Nothing is written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from seamline.entries.backfills import Backfill
from seamline.entries.views import Published
from seamline.history.archive import ArchiveHistory
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.history.views import ViewHistory
from seamline.jobs.asked import DateRange, days_of, plan_asked
from seamline.jobs.fold import plan_fold, source_of
from seamline.jobs.plan import Logs, Nothing, Plan, plan_run, table_of, targets
from seamline.jobs.reserve import unpublished
from seamline.jobs.resources import Resources
from seamline.jobs.stages import Decided, Target, Unpublished
from seamline.lake import Lake
from seamline.schemas.catalogue import Catalogue, unknown_view
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.judged import settled
from seamline.schemas.stored import unread
from seamline.sides.raw import fingerprint


@dataclass(frozen=True)
class LedgerAsRead:
    """The catalogue and the logs of streams, each read once for all views that are decided by it: so they are cut at
    one place, and what they read alike they can read together."""

    lake: Lake
    """Whose ledger it is."""

    catalogue: Catalogue
    """The views' states."""

    at: datetime
    """When it was begun to be read."""

    streams: dict[str, tuple[SpeedHistory, ArchiveHistory]] = field(default_factory=dict)
    """Those that were asked for."""

    @classmethod
    def of(cls, lake: Lake, now: datetime) -> LedgerAsRead:
        """The newest."""
        return cls(lake, Catalogue(lake), now)

    def logs(self, stream: str) -> tuple[SpeedHistory, ArchiveHistory]:
        """A stream's epochs and archive. The cost of reading them follows their entries, whatever the views."""
        if stream not in self.streams:
            # the speed log first: the archive may pass an epoch meanwhile, never the other way round
            speed = SpeedHistory(self.lake.speed_log(stream))
            self.streams[stream] = speed, ArchiveHistory(self.lake.archive_log(stream))
        return self.streams[stream]


def decide(
    resources: Resources,
    view: str,
    *,
    rebuild: bool,
    ledger: LedgerAsRead | None = None,
    asked: Backfill | None = None,
) -> Decided | Unpublished | Nothing:
    """What to do for a view now (or as the ledger was read), or the version of an earlier run that only waits to be
    published; `rebuild` takes every date and no base, `asked` its dates of the served version too. Raises
    VIEW_UNKNOWN; KERNEL_VERSION where only a rebuild can be; INPUT_INVALID where a date cannot be left out."""
    lake, ledger = resources.lake, ledger or LedgerAsRead.of(resources.lake, resources.clock())
    state, history = newest_state(ledger.catalogue, view), ledger.catalogue.history(view)
    if state.pinned:
        return Nothing(f"version {state.version} is pinned: 'seamline views unpin {view}' lets runs publish again")
    if asked is None:
        decision = choose(history, state, read_targets(ledger, history), ledger.at, rebuild=rebuild)
    else:
        decision = _asked(ledger, history, state, asked)
    if isinstance(decision, Nothing):
        return decision
    waiting = made_before(decision, resources.clock())
    return waiting if waiting is not None and _serves(lake, waiting, decision, rebuild=rebuild) else decision


def newest_state(catalogue: Catalogue, view: str) -> Published:
    """A view's newest state. Raises VIEW_UNKNOWN."""
    state = catalogue.states.get(view)
    if state is None:
        raise unknown_view(view, list(catalogue.states))
    return state


def read_targets(ledger: LedgerAsRead, view: ViewHistory) -> Iterator[Target]:
    """The definitions that a refresh of a view may work on, most wanted first, each read as it is asked for."""
    lake, catalogue = ledger.lake, ledger.catalogue
    for definition in targets(view.states.values()):
        compiled, stream = catalogue.definition(definition), catalogue.stream(definition)
        logs = Logs(*ledger.logs(stream), BatchHistory(lake.batch_log(definition)))
        source = source_of(lake, catalogue, compiled)
        contracts = tuple(settled(one, logs.speed.handovers) for one in catalogue.contracts(definition))
        yield Target(compiled, contracts, stream, logs, source)


def choose(
    view: ViewHistory, state: Published, targets: Iterable[Target], now: datetime, *, rebuild: bool
) -> Decided | Nothing:
    """The first target of which there is anything to compute. Pure; those after it are not asked for."""
    reasons = []
    for target in targets:
        plan = plan_of(state, target, rebuild=rebuild)
        if isinstance(plan, Plan):
            return Decided(view, state, target, plan, now)
        waits = target.definition.hash != state.served
        reasons.append(f"definition {target.definition.hash} waits: {plan.reason}" if waits else plan.reason)
    return Nothing("; ".join(reasons) or "nothing is served yet: run 'seamline views apply'")


def _asked(ledger: LedgerAsRead, view: ViewHistory, state: Published, asked: Backfill) -> Decided | Nothing:
    """The dates that are asked for, of the served definition alone."""
    targets = read_targets(ledger, view)
    target = next((one for one in targets if one.definition.hash == state.served), None)
    if target is None:
        return Nothing("nothing is served yet: run 'seamline views apply'")
    refresh = plan_of(state, target, rebuild=False)
    days = days_of(ledger.lake, state, target, DateRange.parse(asked.asked))
    plan = plan_asked(state, target, asked, days, refresh)
    return Decided(view, state, target, plan, ledger.at) if isinstance(plan, Plan) else plan


def plan_of(state: Published, target: Target, *, rebuild: bool) -> Plan | Nothing:
    """What to compute of one definition: from raw, or from the view that it is derived from. Pure."""
    contracts, of, logs, source = target.contracts, target.definition, target.logs, target.source
    if source is None:
        return plan_run(state, contracts, of, logs, rebuild=rebuild)
    return plan_fold(state, contracts, of, logs, source, rebuild=rebuild)


def made_before(decision: Decided, now: datetime) -> Unpublished | None:
    """The version that an earlier life of this run has put and not published, if any. Pure."""
    target, batch = decision.target, decision.target.logs.batch
    number = unpublished(decision.plan, decision.view, batch, now)
    if number is None:
        return None
    version = batch.versions[number]
    reserved = next(one for one in batch.reserved.values() if one.run == version.run)
    return Unpublished(decision.state, target, number, version, reserved)


def _serves(lake: Lake, made: Unpublished, decision: Decided, *, rebuild: bool) -> bool:
    """Whether a version can be published as it stands. One with drift only while the decision's plan would make the
    same again: the same cut, imports and raw files; an operator's rebuild makes it again in any case."""
    target, version, plan = made.target, made.version, decision.plan
    if unread(target.definition, version):
        return False
    if version.audit.clean:
        return True
    same = (version.cut, version.imports) == (plan.cut, plan.imports) and not rebuild
    return same and version.raw == raw_read(lake, target.contracts, plan)


def raw_read(lake: Lake, contracts: Sequence[Contract], plan: Plan) -> str:
    """Which raw files a plan reads; nothing where it folds a version of another view, which it names."""
    if plan.folded is not None:
        return ""
    tables = [table_of(contract) for contract in contracts]
    return fingerprint(lake, {table: plan.tables.get(table) for table in tables}, plan.dates)
