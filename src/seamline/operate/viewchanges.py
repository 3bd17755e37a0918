"""Why a view's numbers changed between two epochs: each count's and sum's difference, divided by cause.

The difference is that of the two chains that were served. What raw says of the events that either side counted divides
it; what is left is what was computed otherwise from the same events, so the parts add up exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from seamline.entries.views import EarlierState
from seamline.errors import Condition, SeamlineError, TransientError, UserError
from seamline.history.archive import ArchiveHistory
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.history.views import ViewHistory
from seamline.jobs.compare import empty_partials
from seamline.kernel import Kernel, literal, quote
from seamline.lake import Lake
from seamline.operate.changed_events import GONE, AnswerSide, TwoSides, changed_events
from seamline.schemas.algebra.forms import INTEGERS, decimal_of
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.judged import settled
from seamline.schemas.project import Project
from seamline.schemas.views.definition import Definition, Output, select
from seamline.segment import Chain
from seamline.serving.chains import ChainBase, chain_from, origin_of, out_of_retention, topics_only, version_base

Number: TypeAlias = "int | Decimal"
Key: TypeAlias = "tuple[Any, ...]"

CAUSES = {
    "new": "events that were read between the two epochs",
    "late": "the same, below the newest event time of their partition when they were read",
    "duplicates": "copies that were counted again, and that a version has left out since (or not yet)",
    "imports": "events of files that were imported, in a version since",
    "backfill": "what a version computed otherwise of the same events: a backfill, a rebuild, records filed again",
    "definition": "the view was defined otherwise",
    "forgotten": "events that were erased",
}
"""Why a number changes, and what each means. What is computed for one stands in `_parts`, or in what is left."""

ADDITIVE = ("count", "count_if", "regr_count", "sum")
"""Aggregates whose value over two sets of events is the sum of their values."""

ROUNDED = "a sum over DOUBLE is rounded: its parts would not add up to it"


@dataclass(frozen=True)
class Told:
    """What readers were told while an epoch was the newest."""

    epoch: int
    definition: str
    version: int | None
    """None: by epochs alone."""

    chain: Chain


@dataclass(frozen=True)
class NumberChange:
    """One column of one group."""

    key: Key
    column: str
    difference: Number

    parts: Mapping[str, Number]
    """By cause, those that are not 0; they add up to the difference."""


@dataclass(frozen=True)
class Changes:
    """What changed of a view, and why."""

    view: str
    before: Told
    after: Told

    keys: tuple[str, ...]
    """None where the two definitions have different ones: then the changes are of all groups together."""

    groups: tuple[NumberChange, ...]
    totals: tuple[NumberChange, ...]
    """Of all these groups together, by column; their key is empty."""

    left_out: Mapping[str, str]
    """Columns that are not divided, by why."""

    note: str = ""
    """What makes the division less sharp."""


def changes(
    project: Project, view: str, first: int, last: int | None = None, where: Mapping[str, str] | None = None
) -> Changes:
    """Why a view's counts and sums differ between epoch `first` and epoch `last` (the newest), of all its groups or of
    those where keys have some values. Raises as `find_changes`."""
    settings = project.settings.kernel
    engine = project.lake.kernel(settings.memory, settings.threads)
    return find_changes(project.lake, engine, view, first, last, where or {})


def find_changes(
    lake: Lake, engine: Kernel, view: str, first: int, last: int | None, where: Mapping[str, str]
) -> Changes:
    """The same of a lake. Reads the files that only one of the chains has, and of raw the event dates that were touched
    since the earlier version's cut, once for each side.

    Raises VIEW_UNKNOWN; INPUT_INVALID for epochs in the wrong order or a key that there is not; OUT_OF_RETENTION where
    a chain, or raw as a version read it, is gone; VIEW_NOT_READY where the archive has not come to `last` yet.
    """
    catalogue = Catalogue(lake)
    states = catalogue.history(view)
    now = states.state
    stream = catalogue.stream(str(now.served)) if now is not None and now.served else "main"
    speed = SpeedHistory(lake.speed_log(stream), lake.packs.keep)
    last = speed.last_epoch if last is None else last
    if not 0 < first <= last <= speed.last_epoch:
        raise UserError(
            Condition.INPUT_INVALID, f"from epoch {first} to epoch {last}",
            detail=f"the earlier one first, of the epochs 1 to {speed.last_epoch}",
            hint="'seamline status' names the newest",
        )  # fmt: skip
    before, after = (_told(lake, catalogue, states, speed, view, epoch) for epoch in (first, last))
    return _Dividing(lake, engine, catalogue, speed, stream, before, after, where).changes(view)


# --- what was told


def _told(lake: Lake, catalogue: Catalogue, states: ViewHistory, speed: SpeedHistory, view: str, epoch: int) -> Told:
    """The chain that answered while an epoch was the newest: from the version that was served last before the next."""
    end = speed.end_of(epoch)
    state = None if end is None else _state_at(states, speed, epoch)
    if end is None or state is None or state.served is None:
        raise out_of_retention(view, epoch, speed)
    definition, batch = catalogue.definition(state.served), BatchHistory(lake.batch_log(state.served))
    if state.version is not None and state.version not in batch.versions:
        raise out_of_retention(view, epoch, speed)
    try:
        base = (
            ChainBase(None, origin_of(speed))
            if state.version is None
            else version_base(definition, batch, state.version, speed)
        )
        chain = chain_from(view, state.served, base, speed, end)
        batch.files(state.version) if state.version is not None else None
    except SeamlineError as error:
        gone = (Condition.SEAM_HOLE, Condition.VIEW_NOT_READY, Condition.OUT_OF_RETENTION)
        if error.condition not in gone:
            raise
        raise out_of_retention(view, epoch, speed) from error
    return Told(epoch, state.served, state.version, chain)


def _state_at(states: ViewHistory, speed: SpeedHistory, epoch: int) -> EarlierState | None:
    """The view's last state before the next epoch came; the newest where none has. By the times that entries say."""
    listed = list(states.states.values())
    if epoch == speed.last_epoch:
        return listed[-1] if listed else None
    if epoch + 1 in speed.epochs:
        until = speed.epochs[epoch + 1].at
        return next((state for state in reversed(listed) if state.at < until), None)
    at = speed.epochs[epoch].at if epoch in speed.epochs else _newest_of(speed, epoch)
    return next((state for state in reversed(listed) if at is None or state.at <= at), None)


def _newest_of(speed: SpeedHistory, epoch: int) -> Any:
    return next((entry.newest for (_, last), entry in speed.compacted.items() if last == epoch), None)


# --- the difference, and its parts


@dataclass(frozen=True)
class _Dividing:
    lake: Lake
    engine: Kernel
    catalogue: Catalogue
    speed: SpeedHistory
    stream: str
    before: Told
    after: Told
    where: Mapping[str, str]

    def changes(self, view: str) -> Changes:
        old, new = (self.catalogue.definition(told.definition) for told in (self.before, self.after))
        columns, left_out = additive(old, new)
        keys = tuple(key.name for key in new.keys)
        if [(key.name, key.sql_type) for key in old.keys] != [(key.name, key.sql_type) for key in new.keys]:
            keys = ()
        self._check_keys(keys)
        differences = self._difference(old, new, columns, keys)
        parts = self._parts(new, columns, keys) if self._moved else {}
        rest = "backfill" if old.hash == new.hash else "definition"
        found = _divided(differences, parts, rest)
        names = [column.name for column in columns]
        groups = [NumberChange(key, names[n], *one) for (key, n), one in sorted(found.items(), key=_order)]
        return Changes(
            view, self.before, self.after, keys, tuple(groups), tuple(_totals(groups, names)), left_out, self._note()
        )

    @property
    def _moved(self) -> bool:
        return (self.before.version, self.before.chain.reached) != (self.after.version, self.after.chain.reached)

    def _check_keys(self, keys: Sequence[str]) -> None:
        for name in self.where:
            if name not in keys:
                hint = "name a key of the view as it was at both epochs"
                raise UserError(Condition.INPUT_INVALID, f"key {name!r}", detail=", ".join(keys), hint=hint)

    def _difference(
        self, old: Definition, new: Definition, columns: Sequence[Output], keys: Sequence[str]
    ) -> dict[tuple[Key, int], Number]:
        """What the later chain says more than the earlier one, from the files that only one of them has."""
        files = {id(told): _files(self.lake, told) for told in (self.before, self.after)}
        found: dict[tuple[Key, int], Number] = {}
        for told, other, of, sign in ((self.after, self.before, new, 1), (self.before, self.after, old, -1)):
            both = files[id(other)] if old.hash == new.hash else frozenset[str]()
            own = sorted(files[id(told)] - both)
            if own:
                _add(found, self._values(of, self.lake.read(own), columns, keys), sign)
        return found

    def _parts(
        self, new: Definition, columns: Sequence[Output], keys: Sequence[str]
    ) -> dict[str, dict[tuple[Key, int], Number]]:
        """By cause, what events that only one side counted come to."""
        parts: dict[str, dict[tuple[Key, int], Number]] = {}
        made: dict[tuple[str, int], list[pa.Table]] = {}
        try:
            for changed in changed_events(self._asked(new)):
                for cause, sign, events in _by_cause(changed.rows):
                    partials = self.engine.run(new.partials[changed.contract.name], {"events": events})
                    made.setdefault((cause, sign), []).append(partials)
        except GONE as error:
            raise out_of_retention(new.view, self.before.epoch, self.speed) from error
        for (cause, sign), tables in made.items():
            whole = pa.concat_tables(tables, promote_options="permissive")
            _add(parts.setdefault(cause, {}), self._values(new, whole, columns, keys), sign)
        return parts

    def _asked(self, new: Definition) -> TwoSides:
        archive = ArchiveHistory(self.lake.archive_log(self.stream))
        end = topics_only(self.after.chain.reached)
        if not end <= archive.frontier:
            raise TransientError(
                Condition.VIEW_NOT_READY,
                f"raw does not hold all of epoch {self.after.epoch} yet: the archive is at {archive.frontier}",
                hint="ask again once it is further, or up to an earlier epoch (--to-epoch)",
            )
        contracts = tuple(settled(one, self.speed.handovers) for one in self.catalogue.contracts(new.hash))
        before, after = self._side(self.before, new.view), self._side(self.after, new.view)
        return TwoSides(self.lake, self.engine, new, contracts, before, after, archive, self._epochs())

    def _side(self, told: Told, view: str) -> AnswerSide:
        if told.version is None:
            return AnswerSide(None, topics_only(told.chain.reached))
        version = BatchHistory(self.lake.batch_log(told.definition)).versions[told.version]
        if version.tables is None:
            raise out_of_retention(view, told.epoch, self.speed)
        return AnswerSide(version, topics_only(told.chain.reached))

    def _epochs(self) -> list[Any]:
        return [epoch for _, epoch in sorted(self.speed.epochs.items())]

    def _note(self) -> str:
        start = min(
            (told.chain.segments[0].first for told in (self.before, self.after) if told.chain.segments), default=0
        )
        lacking = [n for n in range(start, self.after.epoch + 1) if n not in self.speed.epochs] if start else []
        if not lacking:
            return ""
        return (
            f"epochs {lacking[0]} to {lacking[-1]} are told by segments alone: of copies that speed counted again "
            "there, the parts 'duplicates' and 'backfill' may be told as each other's or as 'new'"
        )

    def _values(
        self, definition: Definition, partials: Any, columns: Sequence[Output], keys: Sequence[str]
    ) -> Iterable[tuple[Key, list[Number]]]:
        """By group, the columns' values over some partial rows; all groups together where no keys are told."""
        of = {column.name: column for column in definition.columns}
        lines = [f"partials.{quote(key.name)} AS {quote(key.name)}" for key in definition.keys]
        lines += [f"{of[one.name].finalise} AS _{n}" for n, one in enumerate(columns)]
        kinds = {key.name: key.sql_type for key in definition.keys}
        tests = [f"{quote(k)} = {self._typed(k, v, kinds[k])}" for k, v in self.where.items()]
        rows = f"SELECT * FROM stored WHERE {' AND '.join(tests)}" if tests else "FROM stored"
        empty = empty_partials(definition)
        statement = f"WITH partials AS ({rows} UNION ALL BY NAME {empty})\n" + select(
            lines, f"({definition.merge}) AS partials"
        )
        for row in self.engine.run(statement, {"stored": partials}).to_pylist():
            yield tuple(row[key] for key in keys), [row[f"_{n}"] or 0 for n in range(len(columns))]

    def _typed(self, key: str, value: str, kind: str) -> str:
        (found,) = self.engine.run(f"SELECT TRY_CAST({literal(value)} AS {kind}) IS NOT NULL AS good").to_pylist()
        if not found["good"]:
            raise UserError(Condition.INPUT_INVALID, f"{key}={value}", detail=f"a {kind}", hint="correct the value")
        return f"{literal(value)}::{kind}"


def additive(old: Definition, new: Definition) -> tuple[list[Output], dict[str, str]]:
    """The columns whose difference can be divided, and why others cannot. Pure."""
    before = {column.name: column for column in old.columns if _is_additive(column)}
    columns = [column for column in new.columns if _is_additive(column) and column.name in before]
    left_out = {}
    for column in new.columns:
        if column.aggregate and column not in columns:
            rounded = column.aggregate == "sum" and not _is_exact(column)
            why = ROUNDED if rounded else "no count or sum" if not _is_additive(column) else "no such column before"
            left_out[column.name] = why
    return columns, left_out


def _is_additive(column: Output) -> bool:
    return column.aggregate in ADDITIVE and _is_exact(column)


def _is_exact(column: Output) -> bool:
    return column.sql_type in (*INTEGERS, "HUGEINT") or decimal_of(column.sql_type) is not None


def _files(lake: Lake, told: Told) -> frozenset[str]:
    paths = [path for segment in told.chain.segments for path in segment.files]
    if told.version is not None:
        history = BatchHistory(lake.batch_log(told.definition))
        paths += [file.path for files in history.files(told.version).values() for file in files if file.rows]
    return frozenset(paths)


def _by_cause(rows: pa.Table) -> Iterable[tuple[str, int, pa.Table]]:
    if not rows.num_rows:
        return
    for cause in sorted(set(rows["_cause"].to_pylist())):
        for sign in (1, -1):
            mine = rows.filter(pc.and_(pc.equal(rows["_cause"], cause), pc.equal(rows["_sign"], sign)))
            if mine.num_rows:
                yield cause, sign, mine.drop_columns(["_cause", "_sign"])


def _add(into: dict[tuple[Key, int], Number], values: Iterable[tuple[Key, list[Number]]], sign: int) -> None:
    for key, of_group in values:
        for number, value in enumerate(of_group):
            if value:
                into[key, number] = into.get((key, number), 0) + sign * value


def _divided(
    differences: Mapping[tuple[Key, int], Number], parts: Mapping[str, Mapping[tuple[Key, int], Number]], rest: str
) -> dict[tuple[Key, int], tuple[Number, dict[str, Number]]]:
    """Each difference with its parts; what no cause explains is the rest's. Pure."""
    found: dict[tuple[Key, int], tuple[Number, dict[str, Number]]] = {}
    for at in {*differences, *(at for of_cause in parts.values() for at in of_cause)}:
        difference: Number = differences.get(at, 0)
        mine = {cause: parts[cause].get(at, 0) for cause in CAUSES if cause in parts}
        left = difference - sum(mine.values(), start=Decimal(0) if isinstance(difference, Decimal) else 0)
        mine[rest] = mine.get(rest, 0) + left
        mine = {cause: mine[cause] for cause in CAUSES if mine.get(cause)}
        if mine:
            found[at] = difference, mine
    return found


def _totals(groups: Sequence[NumberChange], names: Sequence[str]) -> Iterable[NumberChange]:
    for name in names:
        mine = [one for one in groups if one.column == name]
        parts = {cause: sum(one.parts.get(cause, 0) for one in mine) for cause in CAUSES}
        yield NumberChange((), name, sum(one.difference for one in mine), {c: n for c, n in parts.items() if n})


def _order(item: tuple[tuple[Key, int], Any]) -> tuple[list[str], int]:
    return [str(value) for value in item[0][0]], item[0][1]
