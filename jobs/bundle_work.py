"""What is done for several units at once, wherever it runs: raw files to partial rows, one Parquet file for each task.

Raw is read once for what it holds and for its copies, then once for one view; for several, their events are put aside,
and each view's partial rows are made of those. So each view costs its groups and its files, and no reading.

Law: every result is what `run_unit` gives for its task, but for the order of rows in its file. A unit of which that is
not known beforehand is left to it, and so is a view whose statements fail over all units.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from datetime import date

from seamline.attempts import new_attempt
from seamline.entries.base import Counts, DataFile
from seamline.errors import Condition, SeamlineError
from seamline.jobs.bundle import Bundle
from seamline.jobs.bundle_statements import BundleStatements, least_of, partials_of, rows_of, together
from seamline.jobs.copies import MANY
from seamline.jobs.doubled import doubled
from seamline.jobs.holding import Tally, tally_of
from seamline.jobs.statements import Statements
from seamline.jobs.unit import TODAY, UnitResult, UnitTask
from seamline.kernel import Given, Kernel
from seamline.lake import Lake

FAILED = (Condition.KERNEL_MEMORY, Condition.KERNEL_FAILED, Condition.STORE_UNAVAILABLE)
"""What a statement over all units may raise where those over each would not, or not all of them: the unit whose file is
out of reach will say so."""

NOTHING = Tally(0, 0, 0, 0, 0)

MOST_KEPT = 4_000_000
"""Events that are put aside for several views, in memory or spilled. Of more, each view reads raw: what holds for
copies is found once all the same."""


def run_bundle(lake: Lake, engine: Kernel, bundle: Sequence[UnitTask]) -> dict[int, UnitResult]:
    """The results of the tasks that could be computed together, by their places; what is left is computed alone."""
    if len(bundle) == 1:
        return {}
    try:
        return _Together(lake, engine, tuple(bundle)).results()
    except SeamlineError as error:
        if error.condition not in FAILED:
            raise
    return {}


@dataclass(frozen=True)
class _View:
    """One view of a bundle: its statements, and the places of its tasks by their units' numbers."""

    statements: Statements
    places: dict[int, int]


class _Together:
    """A bundle at work. Units are told apart by their numbers in it, whatever view they are of."""

    def __init__(self, lake: Lake, engine: Kernel, bundle: Bundle) -> None:
        self._lake, self._engine, self._bundle = lake, engine, bundle
        self._files = [lake.batch_path(task.definition, task.unit, new_attempt()) for task in bundle]
        self._units: dict[tuple[date, tuple[str, ...]], int] = {}
        self._views: dict[tuple[str, str], _View] = {}
        for place, task in enumerate(bundle):
            number = self._units.setdefault((task.of.day, task.files), len(self._units))
            if not isinstance(task.statements, Statements):
                raise AssertionError("only what is read from raw goes together")
            view = self._views.setdefault((task.definition, task.run), _View(task.statements, {}))
            view.places[number] = place
        self._statements = BundleStatements(tuple(view.statements for view in self._views.values()))

    def results(self) -> dict[int, UnitResult]:
        """Those of the tasks whose units are plain."""
        tallies = self._plain()
        if not tallies:
            return {}
        whole, inputs = together(tallies), self._raw(tallies)
        copies = self._copies(whole, inputs)
        if copies is None:
            return {}
        events = self._statements.events(whole, copies="copies" in inputs)
        if len(self._views) == 1 or whole.stood > MOST_KEPT:
            return self._of_views(tallies, copies, events, inputs)
        with self._engine.scratch(events, inputs) as kept:
            return self._of_views(tallies, copies, "SELECT * FROM kept", {"kept": kept})

    def _raw(self, numbers: Iterable[int]) -> dict[str, Given]:
        files = {number: files for (_, files), number in self._units.items()}
        return {"raw": self._lake.read_parted({number: files[number] for number in numbers})}

    def _plain(self) -> dict[int, Tally]:
        """What the files of each unit hold that may be computed with others."""
        whole = self._statements.of.whole
        told = {number: tally_of(self._lake, whole, files) for (_, files), number in self._units.items()}
        tallies = {number: tally for number, tally in told.items() if tally is not None}
        tallies |= self._counted([number for number in told if number not in tallies])
        return {number: tally for number, tally in sorted(tallies.items()) if tally.plain}

    def _counted(self, numbers: Sequence[int]) -> dict[int, Tally]:
        """The same of some units by a statement, of any kind."""
        if not numbers:
            return {}
        table = self._engine.run(self._statements.tallies, self._raw(numbers))
        rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
        found = {number: Tally(*(int(value or 0) for value in held)) for number, *held in rows}
        return {number: found.get(number, NOTHING) for number in numbers}

    def _copies(self, whole: Tally, inputs: dict[str, Given]) -> dict[int, list[int]] | None:
        """Of each unit that has copies, how many, and of each view how many disagree; where they stand becomes an
        input. None where there are more than may be held in memory."""
        if not (self._statements.of.event_id and whole.stood):
            return {}
        twice = doubled(self._engine, self._statements.hashes(whole), inputs, whole.stood)
        if not twice.rows:
            return {}
        if twice.rows > MANY:
            return None
        found = self._engine.run(self._statements.copies(whole), {**inputs, "doubled": twice.hashes})
        inputs["copies"] = found
        contents = self._statements.contents
        told = [f"_disagrees{contents.index(view.statements.used)}" for view in self._views.values()]
        sums = [(name, "sum") for name in dict.fromkeys(told)]
        by_unit = found.group_by("_unit").aggregate([("_unit", "count"), *sums]).to_pylist()
        return {one["_unit"]: [one["_unit_count"], *(one[f"{name}_sum"] for name in told)] for one in by_unit}

    def _of_views(
        self, tallies: Mapping[int, Tally], copies: Mapping[int, Sequence[int]], events: str, inputs: dict[str, Given]
    ) -> dict[int, UnitResult]:
        """The results of every view, but for those whose statements fail."""
        found: dict[int, UnitResult] = {}
        for which, view in enumerate(self._views.values()):
            try:
                found |= self._written(which, tallies, copies, events, inputs)
            except SeamlineError as error:
                self._lake.delete(self._files[place] for place in view.places.values())
                if error.condition not in FAILED:
                    raise
        return found

    def _written(
        self,
        which: int,
        tallies: Mapping[int, Tally],
        copies: Mapping[int, Sequence[int]],
        events: str,
        inputs: dict[str, Given],
    ) -> dict[int, UnitResult]:
        """One view's results by place, of the events that a SELECT gives."""
        view, found = [*self._views.values()][which], {}
        with self._engine.scratch(partials_of(view.statements, events), inputs) as made:
            groups = self._groups(view, made)
            for number, place in view.places.items():
                if (tally := tallies.get(number)) is None:
                    continue
                duplicate, *disagreeing = copies.get(number, [0] * (len(self._views) + 1))
                counted = tally.stood - tally.rejected - duplicate
                found[place] = UnitResult(
                    unit=self._bundle[place].unit,
                    file=self._file(view, number, made) if counted else None,
                    counts=Counts(read=tally.stood, rejected=tally.rejected, counted=counted, duplicate=duplicate),
                    disagreeing=disagreeing[which],
                    groups=tuple(groups.get(number, ())),
                    tally=astuple(tally),
                    **TODAY,
                )
        return found

    def _file(self, view: _View, number: int, made: Given) -> DataFile | None:
        path = self._files[view.places[number]]
        rows = self._lake.write(self._engine, rows_of(view.statements, number), {"partials": made}, path)
        return DataFile(path=path, rows=rows) if rows else None

    def _groups(self, view: _View, made: Given) -> dict[int, list[tuple[int, int]]]:
        """Hash and events of each unit's groups of the least hashes."""
        task, groups = self._bundle[min(view.places.values())], dict[int, list[tuple[int, int]]]()
        if task.groups and task.run:
            least = least_of(view.statements, task.run, task.groups)
            for row in self._engine.run(least, {"partials": made}).to_pylist():
                groups.setdefault(row["_unit"], []).append((row["h"], row["n"]))
        return groups
