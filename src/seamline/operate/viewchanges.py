"""Why a view's numbers changed between two epochs: each count's and sum's difference, divided by cause.

The difference is that of the two chains that were served. What raw says of the events that either side counted divides
it; what is left is what was computed otherwise from the same events, so the parts add up exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from seamline.errors import Condition, UserError
from seamline.history.archive import ArchiveHistory
from seamline.history.speed import SpeedHistory
from seamline.jobs.compare import empty_partials
from seamline.kernel import Kernel, quote
from seamline.lake import Lake
from seamline.operate.askedkey import check_keys, key_tests
from seamline.operate.changed_events import changed_events
from seamline.operate.changed_numbers import (
    Key,
    Number,
    NumberChange,
    add_to,
    additive,
    by_cause,
    divided,
    in_order,
    totals_of,
)
from seamline.operate.changed_told import Told, files_of, told_at
from seamline.operate.counted_events import GONE, two_sides
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.project import Project
from seamline.schemas.views.definition import Definition, Output, select
from seamline.serving.chains import out_of_retention


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
    before, after = (told_at(lake, catalogue, states, speed, view, epoch) for epoch in (first, last))
    return _Dividing(lake, engine, catalogue, speed, stream, before, after, where).changes(view)


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
        check_keys(self.where, keys)
        differences = self._difference(old, new, columns, keys)
        parts, lost = self._parts(new, columns, keys) if self._moved else ({}, ())
        found = divided(differences, parts, self._rest(lost))
        names = [column.name for column in columns]
        groups = [NumberChange(key, names[n], *one) for (key, n), one in sorted(found.items(), key=in_order)]
        return Changes(
            view,
            self.before,
            self.after,
            keys,
            tuple(groups),
            tuple(totals_of(groups, names)),
            left_out,
            "; ".join(filter(None, (self._note(lost), self._gone(new)))),
        )

    @property
    def _moved(self) -> bool:
        return (self.before.version, self.before.chain.reached) != (self.after.version, self.after.chain.reached)

    def _difference(
        self, old: Definition, new: Definition, columns: Sequence[Output], keys: Sequence[str]
    ) -> dict[tuple[Key, int], Number]:
        """What the later chain says more than the earlier one, from the files that only one of them has."""
        files = {id(told): files_of(self.lake, told) for told in (self.before, self.after)}
        found: dict[tuple[Key, int], Number] = {}
        for told, other, of, sign in ((self.after, self.before, new, 1), (self.before, self.after, old, -1)):
            both = files[id(other)] if old.hash == new.hash else frozenset[str]()
            own = sorted(files[id(told)] - both)
            if own:
                add_to(found, self._values(of, self.lake.read(own), columns, keys), sign)
        return found

    def _parts(
        self, new: Definition, columns: Sequence[Output], keys: Sequence[str]
    ) -> tuple[dict[str, dict[tuple[Key, int], Number]], tuple[int, ...]]:
        """By cause, what events that only one side counted come to; and the requests whose events nobody knows."""
        parts: dict[str, dict[tuple[Key, int], Number]] = {}
        made: dict[tuple[str, int], list[pa.Table]] = {}
        lost = set[int]()
        try:
            for changed in changed_events(
                two_sides(self.lake, self.engine, self.catalogue, self.speed, self.before, self.after)
            ):
                lost |= {*changed.lost}
                for cause, sign, events in by_cause(changed.rows):
                    partials = self.engine.run(new.partials[changed.contract.name], {"events": events})
                    made.setdefault((cause, sign), []).append(partials)
        except GONE as error:
            raise out_of_retention(new.view, self.before.epoch, self.speed) from error
        for (cause, sign), tables in made.items():
            whole = pa.concat_tables(tables, promote_options="permissive")
            add_to(parts.setdefault(cause, {}), self._values(new, whole, columns, keys), sign)
        return parts, tuple(sorted(lost))

    def _gone(self, new: Definition) -> str:
        """What raw cannot tell any more."""
        archive = ArchiveHistory(self.lake.archive_log(self.stream))
        gone = {one.name: archive.first_date(one.name) for one in self.catalogue.contracts(new.hash)}
        said = [f"raw of {name} is gone before {first}" for name, first in sorted(gone.items()) if first]
        return f"{', '.join(said)}: what changed there is told as 'backfill'" if said else ""

    def _note(self, lost: Sequence[int]) -> str:
        return "; ".join(filter(None, [self._by_segments(), _of_lost(lost, self._rest(lost))]))

    def _rest(self, lost: Sequence[int]) -> str:
        """The cause of what no other explains."""
        if self.before.definition != self.after.definition:
            return "definition"
        return "forgotten" if lost else "backfill"

    def _by_segments(self) -> str:
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
        rows = f"SELECT * FROM stored WHERE {key_tests(self.engine, self.where, definition.keys)}"
        empty = empty_partials(definition)
        statement = f"WITH partials AS ({rows} UNION ALL BY NAME {empty})\n" + select(
            lines, f"({definition.merge}) AS partials"
        )
        for row in self.engine.run(statement, {"stored": partials}).to_pylist():
            yield tuple(row[key] for key in keys), [row[f"_{n}"] or 0 for n in range(len(columns))]


def _of_lost(lost: Sequence[int], rest: str) -> str:
    if not lost:
        return ""
    requests = ", ".join(map(str, lost))
    return (
        f"raw as it was before request {requests} to forget records is gone: what it took away is what no other cause "
        f"explains, and is told as '{rest}' with whatever was computed otherwise besides"
    )
