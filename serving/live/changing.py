"""What changed in a view between two snapshots: the rows of the keys that their epochs touched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

import pyarrow as pa

from seamline.kernel import fold, quote
from seamline.serving.encode import rows
from seamline.serving.groups import FinishedRows
from seamline.serving.live.updates import ChangedRows, as_json
from seamline.serving.serving import Serving
from seamline.serving.snapshot import ServedView
from seamline.serving.touched import regroups, touched

MOST = 10_000
"""Keys that are told one by one; where more are touched, the whole answer is told."""


def changes(serving: Serving, before: ServedView, after: ServedView) -> ChangedRows | None:
    """Between two snapshots; None where they cannot be told, or are too many. Costs the rows of the epochs between, and
    a look into the batch files where their keys may stand. Raises as `FinishedRows` does."""
    keys = touched(serving, before, after)
    return None if keys is None else _of_keys(serving, after, keys)


def changes_since(serving: Serving, epoch: int, after: ServedView) -> ChangedRows | None:
    """Since the end of an epoch, of a view of the same standing then; None where that cannot be told."""
    reached = serving.reached_at(after.stream, epoch)
    partials = serving.rows_since(after, reached) if reached is not None and regroups(after.definition) else None
    if partials is None:
        return None
    return _of_keys(serving, after, FinishedRows(serving.pool, serving.engine, after).keys(partials))


def key_columns(view: ServedView) -> tuple[int, ...] | None:
    """Which of a view's columns are its keys; None where it does not show one of them."""
    names = [fold(column.name) for column in view.definition.columns]
    keys = [fold(key.name) for key in view.definition.keys]
    return tuple(names.index(key) for key in keys) if set(keys) <= set(names) else None


def _of_keys(serving: Serving, view: ServedView, keys: pa.Table) -> ChangedRows | None:
    places = key_columns(view)
    if places is None or keys.num_rows > MOST:
        return None
    found = FinishedRows(serving.pool, serving.engine, view)
    seen = _seen(serving, view, keys)
    with found.of_groups(seen) as reader:
        table = reader.read_all()
    here = list(rows(table))
    known = {as_json([row[place] for place in places]) for row in here}
    asked = rows(_as_answered(table, places, seen))
    columns = tuple({"name": one.name, "type": str(one.type)} for one in table.schema)
    return ChangedRows(columns, places, here, [key for key in asked if as_json(key) not in known])


def _seen(serving: Serving, view: ServedView, keys: pa.Table) -> pa.Table:
    """Those of the keys that a policy does not hide: what others have is not told, not even that it is gone."""
    if not view.where:
        return keys
    text = f"SELECT * FROM keys AS {quote(view.definition.view)} WHERE ({view.where}\n)"
    return serving.engine.run(text, {"keys": keys})


def _as_answered(table: pa.Table, places: tuple[int, ...], keys: pa.Table) -> pa.Table:
    """The keys in the types that an answer has them in."""
    schema = pa.schema([table.schema.field(place) for place in places])
    return pa.table([keys.column(n).cast(field.type) for n, field in enumerate(schema)], schema=schema)


class Changing:
    """Looks for what changed, in threads of this process."""

    def __init__(self, serving: Callable[[], Serving]) -> None:
        """`serving`: what is served now."""
        self._serving = serving

    async def between(self, before: ServedView, after: ServedView) -> ChangedRows | None:
        """As `changes` has it."""
        return await asyncio.to_thread(changes, self._serving(), before, after)

    async def since(self, epoch: int, after: ServedView) -> ChangedRows | None:
        """As `changes_since` has it."""
        return await asyncio.to_thread(changes_since, self._serving(), epoch, after)

    def now(self) -> datetime:
        """By the clock of what is served."""
        return self._serving().clock()
