"""A sample of a version's groups computed another way, in one pass over raw and in plain Python, before it is served.

The audit compares two results of one engine: what that always gets wrong is equal on both sides. Here nothing is shared
but the scalar expressions of keys and arguments, each row alone. It is compared with the finished answers of the new
version's files, so that a wrong aggregate is seen, and a wrong merge. What was not looked at is recorded.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pyarrow as pa
from deltalake.exceptions import DeltaError

from seamline.entries.base import DataFile
from seamline.entries.batch import ColumnDrift, Verified
from seamline.errors import TransientError
from seamline.ipc import from_ipc
from seamline.jobs.compare import GROUP
from seamline.jobs.compute import raw_by_day, raw_tasks
from seamline.jobs.gone import is_gone
from seamline.jobs.plan import table_of
from seamline.jobs.resources import Resources
from seamline.jobs.sample import DEARER, FEWEST, Sample, SampleLimits, Wanted, choose
from seamline.jobs.stages import Recomputed
from seamline.jobs.unit import UnitTask
from seamline.kernel import literal, quote
from seamline.schemas.plainly import OUT_OF_RANGE, PLAINLY, Asked
from seamline.schemas.views.definition import EVENTS_COMPARED, Checked, Definition
from seamline.schemas.views.rowwise import key_of
from seamline.units import Unit, standing, whole_name

ELSEWHERE = "lies in other dates too"

READING = 0.25
"""What reading a unit for a sample costs, over computing it: 0.1 without copies, 0.35 with them and few columns."""

Group = tuple[Any, ...]
"""A group: its hash, and its keys as text."""


def verify(resources: Resources, computed: Recomputed) -> Verified:
    """The sample of a run's version. Groups that lie wholly in the units it rewrites are taken in any case, others
    while the raw files of further units stay within the budget."""
    settings, results = resources.settings, computed.results
    if not settings.verify_sample:
        return Verified(note="batch.verify_sample is 0")
    counted = sum(result.counts.counted for result in results)
    events = max(FEWEST, int(counted * settings.verify_budget / DEARER))
    sizes = {task.unit: task.size for task in computed.tasks}
    limits = SampleLimits(settings.verify_sample, events, sum(sizes.values()) * settings.verify_budget / READING)
    salt = computed.reservation.entry.run
    target, gone = computed.target, computed.plan.gone
    there = [r for r in results if r.groups and not is_gone(Unit.parse(r.unit), target.contracts, gone)]
    sample = choose(salt, {r.unit: r.groups for r in there}, sizes, limits)
    if sample is None:
        return Verified(note="no group was rewritten")
    if not sample.units:
        return Verified(groups=sum(sample.left.values()), left=dict(sample.left))
    try:
        return _Verifying(resources, computed, sample).verified()
    except (OSError, DeltaError, TransientError) as error:
        if computed.target.source is None:
            raise
        # folded from its base, it needs no raw: what cannot be read of it is said, and not looked at
        left = {**sample.left, "raw cannot be read": len(sample.groups)}
        said = next(iter(str(error).splitlines()), type(error).__name__)
        return Verified(groups=sum(left.values()), left=left, note=f"raw cannot be read: {said}")


@dataclass(frozen=True)
class _Verifying:
    """One sample, looked up in the files of the new version and in raw."""

    resources: Resources
    computed: Recomputed
    sample: Sample

    def verified(self) -> Verified:
        """Reads the raw rows of the sample's units, evaluates them, and compares."""
        inside = [r.file for r in self.computed.results if r.file and r.unit in self.sample.units]
        elsewhere, near = self._elsewhere(inside, self._others()), list[UnitTask]()
        if elsewhere and (near := self._near()):
            read = {whole_name(task.unit) for task in near}
            others = self._others()
            inside += [file for unit, files in others.items() if whole_name(unit) in read for file in files]
            elsewhere = self._elsewhere(inside, self._others(read))
        left = {**self.sample.left, **({ELSEWHERE: len(elsewhere)} if elsewhere else {})}
        if len(elsewhere) == len(self.sample.groups):
            return Verified(groups=sum(left.values()), left=left)
        tasks = [*self._tasks(raw_tasks(self.resources, self.computed), self.sample.units), *near]
        found = self._compared(tasks, inside, elsewhere)
        return found.model_copy(update={"groups": found.checked + sum(left.values()), "left": left})

    def _compared(self, tasks: list[UnitTask], inside: Sequence[DataFile], elsewhere: set[int]) -> Verified:
        definition, wanted = self.computed.target.definition, self.sample.wanted
        tables = [from_ipc(result.rows) for result in self.resources.run_units(tasks)]
        if any(table.num_rows > wanted.rows for table in tables):
            many = ColumnDrift(column=EVENTS_COMPARED, groups=1, largest=f"over {wanted.rows} more")
            return Verified(checked=len(self.sample.groups), wrong=(many,))
        rows = _Rows(pa.concat_tables(tables, promote_options="permissive") if tables else pa.table({"_h": []}))
        return compare_rows(definition, rows, self._served(definition, inside), elsewhere)

    def _tasks(self, tasks: Iterable[UnitTask], units: Iterable[str]) -> list[UnitTask]:
        """The tasks that read these units from raw. A version that was folded may have other hours than its base."""
        folded = self.computed.target.source is not None
        named = {whole_name(unit) for unit in units} if folded else set(units)
        name = whole_name if folded else str
        known = {} if folded else {result.unit: result for result in self.computed.results if result.tally}
        found = [replace(t, run="", groups=0, wanted=self.sample.wanted) for t in tasks if name(t.unit) in named]
        return [
            replace(t, tally=known[t.unit].tally, copies=known[t.unit].counts.duplicate > 0) if t.unit in known else t
            for t in found
        ]

    def _others(self, but: Container[str] = ()) -> dict[str, Sequence[DataFile]]:
        """The files of units that this run does not rewrite, without those of some whole dates."""
        base = self.computed.plan.base
        if base is None:
            return {}
        rewritten = {result.unit for result in self.computed.results}
        stands = standing(self.computed.target.logs.batch.files(base), dict.fromkeys(rewritten, ()))
        return {unit: files for unit, files in stands.items() if unit not in rewritten and whole_name(unit) not in but}

    def _near(self) -> list[UnitTask]:
        """Tasks of the dates next to those rewritten, the nearest first, as far as their raw files' bytes stay within
        the budget."""
        target, tasks = self.computed.target, self.computed.tasks
        others = {whole_name(unit) for unit in self._others()}
        left = self.resources.settings.verify_budget / READING * sum(task.size for task in tasks)
        days = [task.of.day for task in tasks]
        found: dict[str, frozenset[date]] = {}
        for _, size, table, day in sorted(
            (min(abs(day - one) for one in days), sum(file.size for file in files), table_of(contract), day)
            for contract in target.contracts
            for day, files in raw_by_day(self.resources, self.computed.reservation, contract).items()
            if target.unit(contract, day).name in others
        ):
            left -= size
            if left < 0:
                break
            found[table] = found.get(table, frozenset()) | {day}
        if not found:
            return []
        tables = {table_of(contract): frozenset[date]() for contract in target.contracts}
        near = raw_tasks(self.resources, self.computed, {**tables, **found})
        return self._tasks(near, [task.unit for task in near])

    def _elsewhere(self, inside: Sequence[DataFile], others: dict[str, Sequence[DataFile]]) -> set[int]:
        """Hashes of the sample's groups of which some events lie in other units."""
        paths = [file.path for files in others.values() for file in files]
        if not paths:
            return set()
        definition, lake = self.computed.target.definition, self.resources.lake
        keys = [key.name for key in definition.keys]
        condition = self.sample.wanted.among(map(quote, keys))
        bucket = next(key for key in definition.keys if key.name in definition.buckets)
        ends = f"SELECT min({quote(bucket.name)})::VARCHAR AS low, max({quote(bucket.name)})::VARCHAR AS high"
        engine = self.resources.engine
        stored = {"stored": lake.read([file.path for file in inside], keys)}
        low, high = engine.run(f"{ends} FROM stored WHERE {condition}", stored).to_pylist()[0].values()
        within = f"{quote(bucket.name)} IS NULL"
        if low is not None:  # files and row groups of other times are passed over by their statistics
            kind = bucket.sql_type
            within += f" OR {quote(bucket.name)} BETWEEN {literal(low)}::{kind} AND {literal(high)}::{kind}"
        value = self.sample.wanted.hashed(map(quote, keys))
        statement = f"SELECT DISTINCT {value} AS h FROM stored WHERE ({within}) AND {condition}"
        found = engine.run(statement, {"stored": lake.read(paths, keys)})["h"].to_pylist()
        return set(found) & set(self.sample.groups)

    def _served(self, definition: Definition, files: Sequence[DataFile]) -> _Rows:
        """The sample's groups as serving would finish them."""
        stored = {"stored": self.resources.lake.read([file.path for file in files])}
        return _Rows(self.resources.engine.run(served_statement(definition, self.sample.wanted), stored))


def served_statement(definition: Definition, wanted: Wanted) -> str:
    """Hash, keys as text and every aggregate, `_1`, …, of a sample's groups, merged from `stored`; `_out1`, …: whether
    it is out of range. Whatever HAVING says: it shows some of them."""
    keys = [quote(key.name) for key in definition.keys]
    lines = [f"{wanted.hashed(f'partials.{key}' for key in keys)} AS _h"]
    lines += [f"partials.{key}::VARCHAR AS {key_of(n)}" for n, key in enumerate(keys, start=1)]
    for number, one in enumerate(definition.checked, start=1):
        value = f"CASE WHEN ({one.check}) IS NULL THEN {one.value} END" if one.check else one.value
        lines += [f"{value} AS _{number}", f"{f'({one.check}) IS NOT NULL' if one.check else 'false'} AS _out{number}"]
    select = ",\n  ".join(lines)
    rows = f"SELECT * FROM stored WHERE {wanted.among(keys)}"
    return f"WITH partials AS (\n{rows}\n)\nSELECT {select}\nFROM (\n{definition.merge}\n) AS partials"


class _Rows:
    """A table with the hash and keys of groups: its columns as Python has them, and where each group stands in it.

    A column that holds what Python cannot (a year beyond 9999) is None.
    """

    def __init__(self, table: pa.Table) -> None:
        self._table = table
        self._columns: dict[str, list[Any] | None] = {}
        keys = [name for name in table.column_names if name == "_h" or name.startswith("_key")]
        self.groups: dict[Group, list[int]] = {}
        for at, key in enumerate(zip(*(table[name].to_pylist() for name in keys), strict=True)):
            self.groups.setdefault(key, []).append(at)

    def column(self, name: str) -> list[Any] | None:
        """A column's values."""
        if name not in self._columns:
            try:
                self._columns[name] = self._table[name].to_pylist()
            except (OverflowError, ValueError):
                self._columns[name] = None
        return self._columns[name]


BEYOND = "values that Python does not hold, such as years beyond 9999"


def compare_rows(definition: Definition, rows: _Rows, served: _Rows, but: set[int]) -> Verified:
    """Evaluates every group of `rows` and compares it with what is `served`; groups of the hashes in `but` are passed
    over. Pure."""
    both = [key for key in rows.groups if key[0] not in but]
    wrong: list[ColumnDrift] = []
    alone = {key for key in (rows.groups.keys() ^ served.groups.keys()) if key[0] not in but}
    if alone:
        wrong.append(ColumnDrift(column=GROUP, groups=len(alone), largest=""))
    both = [key for key in both if key not in alone]
    unchecked = {}
    for number, one in enumerate(definition.checked, start=1):
        why, found = _differing(one, number, rows, served, both)
        if why:
            unchecked[one.name] = why
        elif found:
            wrong.append(ColumnDrift(column=one.name, groups=len(found), largest=min(found)))
    named = {one.name for one in definition.checked}
    unchecked |= {c.name: "no other evaluator" for c in definition.compared if c.name.split(": counts")[0] not in named}
    return Verified(checked=len(both) + len(alone), unchecked=unchecked, wrong=tuple(wrong))


def _differing(one: Checked, number: int, rows: _Rows, served: _Rows, keys: Sequence[Group]) -> tuple[str, list[str]]:
    """Why an aggregate cannot be checked, or ''; and what is said of each group where it differs."""
    arguments = [rows.column(name) for name in one.arguments]
    where = rows.column(one.where) if one.where else None
    at = rows.column(one.at) if one.at else None
    answers, out = served.column(f"_{number}"), served.column(f"_out{number}")
    if answers is None or out is None or None in arguments or (one.at and at is None):
        return BEYOND, []
    found = []
    for key in keys:
        places = [n for n in rows.groups[key] if where is None or where[n]]
        values = [tuple(column[n] for column in arguments if column is not None) for n in places]
        asked = Asked(one.types, one.constants, values, [at[n] for n in places] if at is not None else ())
        (row,) = served.groups[key]
        answer = OUT_OF_RANGE if out[row] else answers[row]
        plain = PLAINLY[one.entry].evaluate(asked)
        if not plain.agrees(answer):
            found.append(f"{_short(answer)} is {_short(plain.value)}")
    return "", found


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
