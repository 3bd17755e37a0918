"""One batch run from its decision to its publication: the steps, in the order in which they are committed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING

from seamline.commitpoint import reach
from seamline.entries import Audit, Counts, DataFile, Published, Reserved, Version, new_attempt
from seamline.errors import Condition, TerminalError, TransientError
from seamline.frontier import START, Frontier, Partition, topic_of
from seamline.history import ArchiveHistory, BatchHistory, SpeedHistory, TopicsHistory
from seamline.jobs.fold import fold_tasks, plan_fold, source_of
from seamline.jobs.plan import (
    ArchiveAt,
    Logs,
    Nothing,
    Plan,
    continued,
    plan_run,
    reservation,
    resumed,
    table_of,
    targets,
    unpublished,
)
from seamline.jobs.raw import RawFile, by_day, fingerprint, raw_files
from seamline.jobs.repack import repacked
from seamline.jobs.served import audit_version
from seamline.jobs.statements import mended_statement, unit_statements
from seamline.jobs.unit import TODAY, UnitResult, UnitTask, finished, local_runner
from seamline.jobs.verify import verify
from seamline.kernel import Kernel
from seamline.schemas.catalogue import Catalogue, publish, unknown_view
from seamline.schemas.contracts import Contract
from seamline.schemas.definition import Definition
from seamline.schemas.properties import by_hour
from seamline.schemas.stored import unread
from seamline.segment import build_chain
from seamline.units import HOURS, Unit, standing

if TYPE_CHECKING:
    from seamline.jobs.batch import Batch

COMPLETE_EVERY = 16
"""One version in so many lists all files, so that a reader follows at most that many bases."""

SWEPT_AFTER = timedelta(days=1)
"""Files that no entry lists are swept once they are this old; a run half as old gives up before its put."""


@dataclass(frozen=True)
class Outcome:
    """What a run did. `version` None: there was nothing to do, and `reason` says why."""

    view: str
    definition: str = ""
    version: int | None = None
    reason: str = ""
    cut: Frontier = field(default_factory=Frontier)
    units: int = 0
    counts: Counts = field(default_factory=Counts)
    audit: Audit = field(default_factory=lambda: Audit(compared=False))


class Run:
    """One decision from the newest ledger, carried through. A ConflictError means: decide again."""

    def __init__(self, batch: Batch, view: str, *, rebuild: bool) -> None:
        self.batch = batch
        self.lake = batch.lake
        self.clock = batch.clock
        self.rebuild = rebuild
        self.catalogue = Catalogue(batch.lake)
        self.history = self.catalogue.history(view)
        self.state = newest_state(self.catalogue, view)

    def go(self) -> Outcome:
        """Plans, computes, puts the version, publishes."""
        plan = self._plan()
        if isinstance(plan, Nothing):
            return Outcome(self.state.view, reason=plan.reason)
        waiting = unpublished(plan, self.history, self.logs.batch, self.clock())
        if waiting is not None and self._as_far(waiting, plan):
            return self._publish(waiting)
        self.reserved = self._reserve(plan)
        self.plan = self._as_reserved(plan)
        results = self._compute()
        reach("batch.after-files")
        audit = self._noted(audit_version(self, results)).model_copy(update={"verified": verify(self, results)})
        number = self._put(results, audit)
        reach("batch.after-version")
        return self._publish(number)

    def _plan(self) -> Plan | Nothing:
        reasons = []
        for definition in targets(self.history.states.values()):
            self.definition: Definition = self.catalogue.definition(definition)
            self.contracts: tuple[Contract, ...] = self.catalogue.contracts(definition)
            self.stream: str = self.catalogue.stream(definition)
            # the speed log first: the archive may pass an epoch meanwhile, never the other way round
            speed = SpeedHistory(self.lake.speed_log(self.stream))
            archive = ArchiveHistory(self.lake.archive_log(self.stream))
            self.logs = Logs(speed, archive, BatchHistory(self.lake.batch_log(definition)))
            plan = self._plan_from()
            if isinstance(plan, Plan):
                return plan
            waiting = definition != self.state.served
            reasons.append(f"definition {definition} waits: {plan.reason}" if waiting else plan.reason)
        return Nothing("; ".join(reasons) or "nothing is served yet: run 'seamline views apply'")

    def _plan_from(self) -> Plan | Nothing:
        """From raw, or from the view that it is derived from."""
        self.source = source_of(self.lake, self.catalogue, self.definition)
        of, logs = self.definition, self.logs
        if self.source is None:
            return plan_run(self.state, self.contracts, of, logs, rebuild=self.rebuild)
        return plan_fold(self.state, self.contracts, of, logs, self.source, rebuild=self.rebuild)

    def _as_far(self, number: int, plan: Plan) -> bool:
        """Whether a finished version can be published as it stands. One with drift only while this plan would make the
        same again: the same cut, imports and raw files; an operator's rebuild makes it again in any case."""
        version = self.logs.batch.versions[number]
        if unread(self.definition, version):
            return False
        if version.audit.clean:
            return True
        same = (version.cut, version.imports) == (plan.cut, plan.imports) and not self.rebuild
        return same and version.raw == self._raw(plan, self.logs.archive)

    def _raw(self, plan: Plan, archive: ArchiveHistory) -> str:
        """Which raw files a plan reads; nothing where it folds a version of another view, which it names."""
        if plan.folded is not None:
            return ""
        tables = [table_of(contract) for contract in self.contracts]
        return fingerprint(self.lake, {table: archive.tables.get(table) for table in tables}, plan.dates)

    def _reserve(self, plan: Plan) -> Reserved:
        """A reservation that holds: the one this run was killed with, or a new one."""
        mine = continued(plan, self.history, self.logs.batch, self.clock())
        if mine is None:
            lasting = timedelta(minutes=self.batch.settings.reservation_minutes)
            mine = reservation(plan, new_attempt(), self.clock(), lasting, self.history.number)
            self.logs.batch.log.put_last(self.logs.batch.number + 1, mine)
            self.logs.batch.catch_up()
        reach("batch.after-reserve")
        self.check_stands(mine.cut)
        return mine

    def _as_reserved(self, plan: Plan) -> Plan:
        archive = ArchiveAt(self.lake.archive_log(self.stream), self.reserved.archive_entry)
        self.archive = archive
        return resumed(plan, self.reserved, self.contracts, archive, self.logs.batch)

    def check_stands(self, cut: Frontier) -> None:
        """The epochs after a cut still reach to the frontier. Raises RESERVATION_EXPIRED."""
        speed = SpeedHistory(self.lake.speed_log(self.stream))
        if not speed.last_epoch:
            return
        try:
            build_chain(self.definition.hash, None, cut, speed.segments(self.definition.hash), speed.frontier)
        except TerminalError as error:
            raise _expired(self.state.view, f"epochs after its cut no longer stand ({error.got})") from error

    def check_holds(self) -> None:
        """The reservation has not run out, nor may its files be swept soon. Raises RESERVATION_EXPIRED."""
        ends = min(self.reserved.until, self.reserved.at + SWEPT_AFTER / 2)
        if self.clock() >= ends:
            raise _expired(self.state.view, f"its reservation ended at {ends.isoformat()}")

    @property
    def engine(self) -> Kernel:
        """The driver's kernel."""
        return self.lake.kernel(self.batch.kernel.memory, self.batch.kernel.threads)

    # computing

    def _compute(self) -> list[UnitResult]:
        """Runs the units that are not done yet; results of all of them, by their names."""
        if self.source is not None:
            memory = self.batch.kernel.memory
            tasks = fold_tasks(self.lake, self.definition, self.plan, self.source, self.reserved.run, memory)
        else:
            tasks = [task for contract in self.contracts for task in self._tasks_of(contract, self.plan.dates)]
        tasks = [replace(task, groups=self.batch.settings.verify_sample) for task in tasks]
        self.tasks = [t for t in tasks if t.files or t.mended]
        done = finished(self.lake, self.reserved.run)
        left = sorted((t for t in self.tasks if t.unit not in done), key=lambda t: -t.size)
        results = [done[t.unit] for t in self.tasks if t.unit in done]
        results += [UnitResult(unit=t.unit, file=None, counts=t.known_counts) for t in tasks if t not in self.tasks]
        results += self.run_tasks(left, len(results), len(tasks))
        return sorted(results, key=lambda result: result.unit)

    def raw_tasks(self, dates: Mapping[str, frozenset[date]] | None = None) -> list[UnitTask]:
        """The units as they are read from raw, for the audit: a version that was folded has read none. `dates`: by raw
        table, others than this run's."""
        if self.source is None and dates is None:
            return self.tasks
        wanted = self.plan.dates if dates is None else dates
        tasks = [task for contract in self.contracts for task in self._tasks_of(contract, wanted)]
        return [task for task in tasks if task.files or task.mended]

    def raw_by_day(self, contract: Contract) -> dict[date, tuple[RawFile, ...]]:
        """A contract's raw files by event date, as this run reads them."""
        table = table_of(contract)
        return by_day(raw_files(self.lake, table, self.archive.tables.get(table)))

    def _tasks_of(self, contract: Contract, dates: Mapping[str, frozenset[date]] | None) -> list[UnitTask]:
        """Every unit of one contract on some dates (None: on all), those that hold nothing any more too."""
        table = table_of(contract)
        files = raw_files(self.lake, table, self.archive.tables.get(table))
        days = by_day(files)
        mended, mended_days = self._mended(contract, files)
        if dates is None:
            wanted = frozenset(days) | mended_days
        else:
            fresh = tuple(f for f in files if f.day in dates[table])
            wanted = dates[table] | (self._mended(contract, fresh)[1] if mended else set())
        return [
            self.task(unit, days.get(day, ()), mended if day in mended_days else "")
            for day in sorted(wanted)
            for unit in self._units(contract, day, empty=day not in days and day not in mended_days)
        ]

    def _units(self, contract: Contract, day: date, *, empty: bool) -> tuple[Unit, ...]:
        """The units of one event date: by the view's grain as it is now, whatever its base was written by."""
        whole = self.unit(contract, day)
        return whole.hours if by_hour(self.definition.properties) and not empty else (whole,)

    def unit(self, contract: Contract, day: date) -> Unit:
        """One event date of one contract."""
        return Unit(contract.name if len(self.contracts) > 1 else "", day)

    def contract_of(self, unit: Unit) -> Contract:
        """The contract whose events a unit of this run holds."""
        return next(contract for contract in self.contracts if unit.contract in ("", contract.name))

    def task(self, unit: Unit, files: tuple[RawFile, ...], mended: str) -> UnitTask:
        """One unit of this run."""
        plan, contract = self.plan, self.contract_of(unit)
        statements = unit_statements(self.definition, contract, unit, plan.cut, plan.imports, mended=bool(mended))
        return UnitTask(
            lake=self.lake.uri,
            definition=plan.definition,
            run=self.reserved.run,
            of=unit,
            files=tuple(f.path for f in files),
            statements=statements,
            size=sum(f.size for f in files) // (HOURS if unit.hour is not None else 1),
            memory=self.batch.kernel.memory,
            mended=mended,
        )

    def run_tasks(self, tasks: list[UnitTask], done: int = 0, total: int = 0) -> Iterable[UnitResult]:
        """Gives tasks to the runner and says how far they are."""
        runner = self.batch.runner or local_runner(self.lake)
        for number, result in enumerate(runner(tasks) if tasks else (), start=done + 1):
            if self.batch.progress and total:
                self.batch.progress(number, total)
            yield result

    def _mended(self, contract: Contract, files: tuple[RawFile, ...]) -> tuple[str, set[date]]:
        """A contract's records that another decoding rejected and this one accepts, in one file, and their dates.

        They stand under the date of their Kafka timestamp, so no unit could find them by its own files.
        """
        paths = [f.path for f in files if f.rejects]
        if not paths:
            return "", set()
        engine = self.lake.kernel(self.batch.kernel.memory, self.batch.kernel.threads)
        path = self.lake.batch_path(self.definition.hash, "mended", new_attempt())
        statement = mended_statement(contract, self.plan.cut, self.plan.imports)
        written = repacked(
            self.lake,
            engine,
            {"raw": self.lake.read(paths)},
            lambda inputs: self.lake.write(engine, statement, inputs, path),
            path.rpartition("/")[0],
        )
        if not written:
            return "", set()
        days = engine.run("SELECT DISTINCT _event_date AS day FROM mended", {"mended": self.lake.read([path])})
        return path, set(days["day"].to_pylist())

    def _noted(self, audit: Audit) -> Audit:
        """Says where an operator accepted records as gone between both cuts: one layer may have read what the other has
        not, and nobody can compute that again."""
        before = self.logs.batch.versions.get(self.plan.against) if self.plan.against is not None else None
        since = before.cut if before is not None else START
        names = [contract.name for contract in self.contracts]
        gone = TopicsHistory(self.lake.topics_log(self.stream)).gone_of(names, self.plan.cut)
        new = [one for one in gone if one.end > since[Partition(one.source, one.partition)]]
        if not new:
            return audit
        said = [f"{topic_of(one.source)}/{one.partition} {one.start} to {one.end} ({one.known})" for one in new]
        note = "; ".join(filter(None, [audit.note, f"accepted as gone: {', '.join(said)}"]))
        return audit.model_copy(update={"note": note})

    # committing

    def _put(self, results: list[UnitResult], audit: Audit) -> int:
        """Puts the version entry and returns its number; a twin's of the same run is as good."""
        self.check_holds()
        history, plan = self.logs.batch, self.plan
        history.catch_up()
        twin = [n for n, version in history.versions.items() if version.run == self.reserved.run]
        if twin:
            return twin[0]
        told = [r for r in results if r.counts.read or Unit.parse(r.unit).first]  # not each hour without records
        units: dict[str, tuple[DataFile, ...]] = {r.unit: (r.file,) if r.file else () for r in told}
        counted = {r.unit: r.counts for r in told}
        whole = plan.base is None or len(history.lineage(plan.base)) + 1 >= COMPLETE_EVERY
        stood = standing(history.unit_counts(plan.base), counted)
        if whole and plan.base is not None:
            units, counted = standing(history.files(plan.base), units), stood
        version = Version(
            at=self.clock(),
            run=self.reserved.run,
            cut=plan.cut,
            base=plan.base,
            complete=whole,
            units=units,
            archive_entry=plan.archive_entry,
            folded=plan.folded,
            imports=plan.imports,
            counts=sum(stood.values(), Counts()),
            unit_counts=counted,
            audit=audit,
            **TODAY,
            raw="" if audit.clean else self._raw(plan, self.archive),
        )
        number = history.number + 1
        self.lake.sync(r.file.path for r in results if r.file)
        history.log.put_last(number, version)
        history.catch_up()
        return number

    def _publish(self, number: int) -> Outcome:
        """Serves the version, if the view is still as this run found it and its epochs stand."""
        version = self.logs.batch.versions[number]
        if version.audit.wrong or (self.batch.settings.hold_on_drift and not version.audit.clean):
            raise _held(self.state.view, number, version.audit)
        self.reserved = next(r for r in self.logs.batch.reserved.values() if r.run == version.run)
        self.check_holds()
        self.check_stands(version.cut)
        publish(self.lake, self.state, self.definition.hash, number, f"run {version.run}", self.clock())
        reach("batch.after-publish")
        return Outcome(
            self.state.view, self.definition.hash, number, "published", version.cut, len(version.units),
            version.counts, version.audit,
        )  # fmt: skip


def newest_state(catalogue: Catalogue, view: str) -> Published:
    """A view's newest state. Raises VIEW_UNKNOWN."""
    state = catalogue.history(view).state
    if state is None:
        raise unknown_view(view, list(catalogue.states))
    return state


def _expired(view: str, why: str) -> TransientError:
    return TransientError(
        Condition.RESERVATION_EXPIRED,
        f"the new version of {view} was not published: {why}",
        mend="refresh again; raise batch.reservation_minutes if runs take longer than that",
    )


def _held(view: str, number: int, audit: Audit) -> TerminalError:
    drift = "; ".join(f"{d.column}: {d.groups} groups, at most {d.largest}" for d in audit.drift)
    wrong = "; ".join(f"{d.column}: {d.groups} groups, such as {d.largest}" for d in audit.wrong)
    if wrong:
        got = f"version {number} of {view} differs from raw, computed another way ({wrong})"
        allowed = "no difference in the sample that every version is verified by"
    else:
        got = f"version {number} of {view} differs from what was served ({drift})"
        allowed = "no unexplained difference, since batch.hold_on_drift is set"
    return TerminalError(
        Condition.DRIFT_HELD,
        got,
        allowed=allowed,
        mend=f"look at both; 'seamline views rollback {view} --version {number}' serves it all the same",
    )
