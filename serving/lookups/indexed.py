"""One view's rows in layers, the newest first: a base, and over it the rows of the keys that epochs have touched since.

Each row carries the merged partials of its key, so the rows of an epoch's keys are finished again from these and from
what the epoch brought. Layers are put together as their sizes come within FANOUT of each other (a log-structured
merge): a row moves log(rows) times, and a lookup searches that many layers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from heapq import merge
from itertools import islice
from operator import itemgetter
from typing import Any

import numpy as np
import pyarrow as pa

from seamline.kernel import quote
from seamline.schemas.views.definition import Definition
from seamline.serving.bounds import BatchFiles
from seamline.serving.groups import SECONDS
from seamline.serving.lookups.layer import SHOWN, Layer
from seamline.serving.lookups.rowsasked import SORTED, KeyRange, key_order
from seamline.serving.rebound import Text
from seamline.serving.reserved import INDEXED, MERGED
from seamline.serving.serving import Serving
from seamline.serving.snapshot import ServedView
from seamline.serving.tail import FANOUT, EpochRun, span
from seamline.serving.touched import goes_on, moved, regroups

FoundRow = tuple[Layer, int]
"""A row of a layer."""


@dataclass(frozen=True, eq=False)
class ViewIndex:
    """The rows of one served view. Nothing in it changes."""

    served: ServedView
    layers: tuple[Layer, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(layer.size for layer in self.layers)

    @property
    def rows(self) -> int:
        """How many its layers hold."""
        return sum(layer.table.num_rows for layer in self.layers)

    def find(self, asked: KeyRange, most: int) -> list[FoundRow]:
        """The rows of a range in the order of their keys, so many at most. Each costs a microsecond for each layer
        that has some, beside the searches."""
        places = [(layer, *layer.between(asked)) for layer in self.layers]
        places = [one for one in places if one[1] < one[2]]
        if len(asked.key) == len(places[0][0].columns if places else ()):
            places = places[:1]  # one key: the newest layer has it
        if len(places) == 1:
            (layer, first, last) = places[0]
            return list(islice(((layer, row) for row in range(first, last) if layer.is_shown(row)), most))
        return list(islice(_newest(places), most))


def suits(served: ServedView) -> bool:
    """Whether a view's rows can stand in an index: its keys are shown and can be ordered, its values do not depend on
    the tree of merges, and something was read of it."""
    definition, order = served.definition, key_order(served.definition)
    sorts = len(order) == len(definition.keys) > 0 and all(key.sql_type in SORTED for key in order)
    return sorts and regroups(definition) and not served.is_unread


def built(serving: Serving, served: ServedView, room: int) -> ViewIndex | None:
    """The whole view, merged and finished; None where that is more than `room` bytes, or its keys are too many.
    Raises what a query over all of it raises. Costs the view."""
    layer = _layer(serving, served, room)
    return None if layer is None or layer.size > room else ViewIndex(served, (layer,))


def advanced(serving: Serving, index: ViewIndex, served: ServedView, room: int) -> ViewIndex | None:
    """The same index at a later snapshot; None where that does not go on from it, or as `built`. Costs the rows of the
    epochs between, and for each the logarithm of the index."""
    rows = moved(serving, index.served, served) if goes_on(index.served, served) else None
    if rows is None:
        return None
    if not rows.num_rows:
        return replace(index, served=served)
    known = _partials(index, served, rows)
    segment = span([run.segment for run in served.runs], rows.num_rows)
    layer = _layer(serving, replace(served, batch=known, runs=(EpochRun(segment, rows),)), room)
    layers = None if layer is None else _together(served.definition, (layer, *index.layers))
    found = None if layers is None else ViewIndex(served, layers)
    return None if found is None or found.size > room else found


def _partials(index: ViewIndex, served: ServedView, rows: pa.Table) -> pa.Table | None:
    """The merged partials that the index has of the keys of some partial rows."""
    wanted = Layer.of(rows.select([key.name for key in served.definition.keys]), key_order(served.definition))
    if wanted is None:
        return None
    left, found = np.ones(len(wanted.codes), bool), list[pa.Table]()
    for layer in index.layers:
        places = layer.rows_of(wanted)
        here = left & (places >= 0)
        left &= ~here
        found.append(layer.table.take(np.unique(places[here])))
    names = {MERGED + name: name for name in served.definition.merges}
    table = pa.concat_tables(found)
    keys = [key.name for key in served.definition.keys]
    return table.select([*keys, *names]).rename_columns([*keys, *names.values()])


def _layer(serving: Serving, served: ServedView, room: int) -> Layer | None:
    """The merged and finished rows of a view; None where they take more than `room` bytes, or do not fit in a layer."""
    definition, view = served.definition, served.definition.view
    name = INDEXED + view
    files = frozenset(served.batch.paths) if isinstance(served.batch, BatchFiles) else frozenset[str]()
    with serving.pool.cursor(files, frozenset([name, view])) as cursor:
        cursor.define_rows(name, served, indexed_rows)
        batches, size = list[pa.RecordBatch](), 0
        with cursor.reading(Text(f"SELECT * FROM {quote(name)}"), SECONDS) as reader:
            for batch in reader:
                batches.append(batch)
                size += batch.nbytes
                if size > room:
                    return None
            schema = reader.schema
    return Layer.of(pa.Table.from_batches(batches, schema), key_order(definition))


def _together(definition: Definition, layers: tuple[Layer, ...]) -> tuple[Layer, ...] | None:
    while len(layers) > 1 and layers[0].table.num_rows * FANOUT >= layers[1].table.num_rows:
        newer, older, *others = layers
        hidden = newer.rows_of(older) >= 0 if newer.table.num_rows > older.table.num_rows else _hidden(newer, older)
        left = older.table.filter(pa.array(~hidden))
        merged = Layer.of(pa.concat_tables([newer.table, left]), key_order(definition))
        if merged is None:
            return None
        layers = (merged, *others)
    return layers


def _hidden(newer: Layer, older: Layer) -> Any:
    """Which rows of an older layer a newer one has."""
    places = older.rows_of(newer)
    hidden = np.zeros(len(older.codes), bool)
    hidden[places[places >= 0]] = True
    return hidden


def _newest(places: Iterable[tuple[Layer, int, int]]) -> Iterator[FoundRow]:
    """The rows of several layers in order; of one key the newest."""
    last: Any = None
    for keys, _, layer, row in merge(*(_ordered(n, *one) for n, one in enumerate(places)), key=itemgetter(0, 1)):
        if keys != last and layer.is_shown(row):
            yield layer, row
        last = keys


def _ordered(number: int, layer: Layer, first: int, last: int) -> Iterator[tuple[Any, int, Layer, int]]:
    for row in range(first, last):
        yield tuple((null, value if value is not None else 0) for null, value in layer.keys(row)), number, layer, row


def indexed_rows(definition: Definition) -> str:
    """A view's rows whatever HAVING says, whether it lets them be, and their merged partials, over `partials`."""
    lines = [f"{output.finalise} AS {quote(output.name)}" for output in definition.columns]
    lines += [f"partials.{quote(name)} AS {quote(MERGED + name)}" for name in definition.merges]
    lines.append(f"({definition.having or 'true'}) IS TRUE AS {SHOWN}")
    return f"SELECT {', '.join(lines)}\nFROM ({definition.merge}) AS partials"
