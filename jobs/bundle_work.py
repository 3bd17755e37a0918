"""What is done for several units at once, wherever it runs: raw files to partial rows, one Parquet file for each unit.

Law: every result is what `run_unit` gives for its task, but for the order of rows in its file. A unit of which that is
not known beforehand is left to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

import duckdb

from seamline.attempts import new_attempt
from seamline.entries.base import Counts, DataFile
from seamline.errors import Condition, SeamlineError
from seamline.jobs.bundle import BundleStatements, together
from seamline.jobs.statements import Statements, Tally
from seamline.jobs.unit import TODAY, UnitResult, UnitTask
from seamline.kernel import Given, Kernel
from seamline.lake import Lake

FAILED = (Condition.KERNEL_MEMORY, Condition.KERNEL_FAILED)
"""What a statement over all units may raise where those over each would not, or not all of them."""

NOTHING = Tally(0, 0, 0, 0, 0)


def run_bundle(lake: Lake, engine: Kernel, bundle: Sequence[UnitTask]) -> dict[str, UnitResult]:
    """The results of the units that could be computed together, by name; what is left is to be computed alone."""
    if len(bundle) == 1 or not isinstance(bundle[0].statements, Statements):
        return {}
    work = _Together(lake, engine, bundle[0], BundleStatements(bundle[0].statements))
    files = [lake.batch_path(task.definition, task.unit, new_attempt()) for task in bundle]
    try:
        return work.results(bundle, files)
    except SeamlineError as error:
        if error.condition not in FAILED:
            raise
    except duckdb.Error:
        pass  # a file that cannot be opened: its own unit will say so
    lake.delete(files)
    return {}


@dataclass(frozen=True)
class _Together:
    """What the units of a bundle share: units are told apart by their numbers in it."""

    lake: Lake
    engine: Kernel
    like: UnitTask
    statements: BundleStatements

    def results(self, bundle: Sequence[UnitTask], files: Sequence[str]) -> dict[str, UnitResult]:
        """Those of the units that are plain. `files`: where each may write its rows."""
        tallies = self._plain(bundle)
        if not tallies:
            return {}
        whole, inputs = together(tallies), self._raw(bundle, tallies)
        copies = self._copies(whole, inputs)
        results = {}
        with self.engine.scratch(self.statements.partials(whole, copies="copies" in inputs), inputs) as made:
            partials: dict[str, Given] = {"partials": made}
            groups = self._groups(partials)
            for number, tally in tallies.items():
                duplicate, disagreeing = copies.get(number, (0, 0))
                counted = tally.stood - tally.rejected - duplicate
                rows = counted and self.lake.write(
                    self.engine, self.statements.of_unit(number), partials, files[number]
                )
                results[bundle[number].unit] = UnitResult(
                    unit=bundle[number].unit,
                    file=DataFile(path=files[number], rows=rows) if rows else None,
                    counts=Counts(read=tally.stood, rejected=tally.rejected, counted=counted, duplicate=duplicate),
                    disagreeing=disagreeing,
                    groups=tuple(groups.get(number, ())),
                    tally=astuple(tally),
                    **TODAY,
                )
        return results

    def _raw(self, bundle: Sequence[UnitTask], numbers: Iterable[int]) -> dict[str, Given]:
        return {"raw": self.lake.read_parted({number: bundle[number].files for number in numbers})}

    def _plain(self, bundle: Sequence[UnitTask]) -> dict[int, Tally]:
        """What the files of each unit hold that may be computed with others."""
        table = self.engine.run(self.statements.tallies, self._raw(bundle, range(len(bundle))))
        rows = zip(*(column.to_pylist() for column in table.columns), strict=True)
        found = {number: Tally(*(int(value or 0) for value in held)) for number, *held in rows}
        tallies = {number: found.get(number, NOTHING) for number in range(len(bundle))}
        return {number: tally for number, tally in tallies.items() if tally.plain}

    def _copies(self, whole: Tally, inputs: dict[str, Given]) -> dict[int, tuple[int, int]]:
        """Of each unit, how many copies there are and how many of them disagree; where they stand becomes an input."""
        if not (self.statements.of.event_id and whole.stood):
            return {}
        doubled = self.engine.run(self.statements.doubled(whole), inputs)
        if not doubled.num_rows:
            return {}
        inputs["copies"] = found = self.engine.run(self.statements.copies(whole), {**inputs, "doubled": doubled})
        by_unit = found.group_by("_unit").aggregate([("_disagrees", "count"), ("_disagrees", "sum")])
        return {one["_unit"]: (one["_disagrees_count"], one["_disagrees_sum"]) for one in by_unit.to_pylist()}

    def _groups(self, partials: dict[str, Given]) -> dict[int, list[tuple[int, int]]]:
        """Hash and events of each unit's groups of the least hashes."""
        groups: dict[int, list[tuple[int, int]]] = {}
        if self.like.groups and self.like.run:
            least = self.statements.least(self.like.run, self.like.groups)
            for row in self.engine.run(least, partials).to_pylist():
                groups.setdefault(row["_unit"], []).append((row["h"], row["n"]))
        return groups
