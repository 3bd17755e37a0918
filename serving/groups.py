"""The finished rows of one view of a snapshot, for who keeps a copy of them elsewhere: those of its batch version, all
of them, or those of some groups.

Rows of some groups cost these groups, and of batch files a look into those between whose time keys they lie; the others
cost the whole view.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pyarrow as pa

from seamline.kernel import Given, Kernel, quote
from seamline.schemas.views.definition import Definition
from seamline.serving.bounds import NUMBER, BatchFiles, Paths, limits, time_keys
from seamline.serving.cursor import statement
from seamline.serving.pool import Pool
from seamline.serving.rebound import Text
from seamline.serving.reserved import BATCH, SPEED
from seamline.serving.snapshot import ServedView

GROUPS = "wanted groups"
"""The name of a table of keys in a statement."""

SECONDS = 3600.0
"""How long the rows of a view may take."""


@dataclass(frozen=True)
class FinishedRows:
    """Rows of a view, as it is served: its columns and types. Raises VALUE_OUT_OF_RANGE, STORE_UNAVAILABLE,
    KERNEL_MEMORY."""

    pool: Pool
    engine: Kernel
    served: ServedView

    @contextmanager
    def of_version(self) -> Iterator[pa.RecordBatchReader]:
        """At the cut: those of the batch version alone."""
        with self._read(replace(self.served, runs=())) as reader:
            yield reader

    @contextmanager
    def all(self) -> Iterator[pa.RecordBatchReader]:
        """At what the snapshot has reached."""
        with self._read(self.served) as reader:
            yield reader

    @contextmanager
    def of_groups(self, groups: pa.Table) -> Iterator[pa.RecordBatchReader]:
        """The same of those groups that there are of some keys (distinct, with the definition's names and types)."""
        partials = self.engine.run(
            statement(self.served, self.served.definition, _chosen, self._paths(groups)),
            {**self._inputs(), GROUPS: groups},
        )
        with self._read(replace(self.served, batch=partials, runs=())) as reader:
            yield reader

    def since_cut(self) -> pa.Table:
        """The keys of all groups that epochs after the cut hold."""
        speed = self.served.speed
        return self.keys(speed) if speed is not None else self.engine.run(_no_keys(self.served.definition))

    def keys(self, partials: pa.Table) -> pa.Table:
        """The keys of some partial rows, each once."""
        names = ", ".join(
            f"{quote(key.name)}::{key.sql_type} AS {quote(key.name)}" for key in self.served.definition.keys
        )
        return self.engine.run(f"SELECT DISTINCT {names} FROM partials", {"partials": partials})

    @contextmanager
    def _read(self, served: ServedView) -> Iterator[pa.RecordBatchReader]:
        view = served.definition.view
        files = frozenset(served.batch.paths) if isinstance(served.batch, BatchFiles) else frozenset[str]()
        with self.pool.cursor(files, frozenset([view])) as cursor:
            cursor.define(view, served)
            with cursor.reading(Text(f"SELECT * FROM {quote(view)}"), SECONDS) as reader:
                yield reader

    def _inputs(self) -> dict[str, Given]:
        view, found = self.served.definition.view, dict[str, Given]()
        if self.served.speed is not None:
            found[SPEED + view] = self.served.speed
        if (rows := self.served.in_memory(None)) is not None:
            found[BATCH + view] = rows
        return found

    def _paths(self, groups: pa.Table) -> Paths | None:
        """The batch files in which there may be rows of these groups; None: all."""
        files, keys = self.served.batch, time_keys(self.served.definition)
        if not isinstance(files, BatchFiles) or files.held or not keys:
            return None
        inside = " AND ".join(
            f"coalesce(wanted.{quote(key.name)} BETWEEN files.{least} AND files.{most}, true)"
            for number, key in enumerate(keys)
            for least, most in [limits(number)]
        )
        text = (
            f"SELECT {NUMBER} FROM files WHERE EXISTS (SELECT 1 FROM {quote(GROUPS)} AS wanted WHERE {inside})"
            f" ORDER BY {NUMBER}"
        )
        found = self.engine.run(text, {"files": files.bounds, GROUPS: groups})
        return tuple(files.paths[number] for number in found[NUMBER].to_pylist())


def _chosen(definition: Definition) -> str:
    """The partial rows of the wanted groups."""
    same = " AND ".join(
        f"partials.{quote(key.name)} IS NOT DISTINCT FROM wanted.{quote(key.name)}" for key in definition.keys
    )
    return f"SELECT partials.* FROM partials SEMI JOIN {quote(GROUPS)} AS wanted ON {same}"


def _no_keys(definition: Definition) -> str:
    return "SELECT " + ", ".join(f"NULL::{k.sql_type} AS {quote(k.name)}" for k in definition.keys) + " WHERE false"
