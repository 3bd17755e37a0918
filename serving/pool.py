"""Readers that do not block each other: what their texts ask is checked, then they run on cursors that see no more.

Texts are parsed and bound on a DuckDB that can open nothing, and run on one that can open the files of their snapshot.
"""

from __future__ import annotations

import json
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache

import pyarrow as pa

from seamline.kernel import Limits, quote
from seamline.schemas.views.definition import Definition
from seamline.serving import rebound
from seamline.serving.bounds import time_keys
from seamline.serving.cursor import Cursor, finished, unread
from seamline.serving.guard import Reference, check, check_text, too_deep
from seamline.serving.inference import Inference
from seamline.serving.instances import FileNames, Instances
from seamline.serving.measure import Measured, measured
from seamline.serving.named import Names, named
from seamline.serving.once import hidden, repeated
from seamline.serving.parameters import NONE_GIVEN, Given
from seamline.serving.plain import PlainCall, plain_calls
from seamline.serving.pruning import Pruning, prunings
from seamline.serving.rebound import Text
from seamline.serving.remerge import tiles
from seamline.serving.reserved import TILES

NOTHING: FileNames = frozenset()

BINDING = "256MB"
"""Memory for parsing and binding, beside what queries have."""


class Pool:
    """Hands out cursors. Safe to share between threads."""

    def __init__(self, limits: Limits, seconds: float) -> None:
        self.seconds = seconds
        self._instances = Instances(limits, seconds)
        self._binding = replace(limits, memory=BINDING, threads=1)
        self._empty = Instances(self._binding, seconds, rebound.SETTINGS)
        self._inferring = threading.Lock()
        self._inference: list[Inference] = []  # made when a parameter's type is first asked for
        self.close = weakref.finalize(  # also when the interpreter ends
            self, _close, [self._instances, self._empty], self._inference
        )
        self.asked = lru_cache(maxsize=512)(self._asked)
        self.measured = lru_cache(maxsize=512)(self._measured)
        self.bound = lru_cache(maxsize=512)(self._bound)
        self.prunings = lru_cache(maxsize=512)(self._prunings)
        self._tree = lru_cache(maxsize=8)(self._parsed)
        self._columns = lru_cache(maxsize=512)(self._described)

    @contextmanager
    def cursor(self, files: FileNames = NOTHING, names: frozenset[str] = NOTHING) -> Iterator[Cursor]:
        """A cursor for one query over views of these names, which can open these files."""
        with self._instances.cursor(files, names) as cursor:
            yield cursor

    def prepare(self, files: FileNames) -> None:
        """Makes ready for a snapshot of these files."""
        self._instances.prepare(files)

    @contextmanager
    def _bare(self) -> Iterator[Cursor]:
        """A cursor that sees nothing."""
        with self._empty.cursor(NOTHING, NOTHING) as cursor:
            yield cursor

    def _parsed(self, sql: str) -> str:
        """A text's tree. Kept while it is looked at from several sides: it is large."""
        with self._bare() as cursor:
            return cursor.tree(sql)

    def _asked(self, sql: str) -> Question:
        """What an allowed query asks. Raises QUERY_INVALID or QUERY_REFUSED. Kept: the text decides it alone."""
        check_text(sql)
        checked = check(sql, self._tree(sql))
        try:
            names = None if checked.measured else named(checked.node)
            asked, calls = checked.references, plain_calls(sql, checked.node)
            hides = hidden(asked, checked.node)
            return Question(asked, checked.measured, checked.parameters, calls, names, repeated(asked), hides)
        except RecursionError:
            raise too_deep() from None

    def _measured(self, sql: str, definitions: tuple[Definition, ...]) -> Measured:
        """An allowed query with its MEASURE calls written out for these definitions. Raises QUERY_INVALID. Kept."""
        with self._bare() as cursor:
            try:
                return measured(sql, {one.view: one for one in definitions}, cursor.parser)
            except RecursionError:
                raise too_deep() from None

    def _prunings(
        self, sql: str, definitions: tuple[Definition, ...], given: Given = NONE_GIVEN
    ) -> Mapping[str, Pruning]:
        """What an allowed query can reach of the batch files of these definitions, by view, where that is less than
        all and can be told. Kept."""
        with self._bare() as cursor:
            node = json.loads(self._tree(sql))["statements"][0]["node"]
            named = {one.view: one for one in definitions}
            try:
                found = prunings(node, named, cursor.text)
            except RecursionError:
                raise too_deep() from None
            return {view: one for view, one in found.items() if cursor.binds(one, time_keys(named[view]), given)}

    def _bound(self, text: Text, definitions: tuple[Definition, ...], tiled: tuple[Definition, ...]) -> None:
        """Binds a checked text over nothing but these views, and the tiles of some. Raises QUERY_INVALID,
        QUERY_REFUSED or QUERY_TIMEOUT. Kept."""
        with self._bare() as cursor:
            cursor.bind(text, self._tables(definitions, tiled), self.seconds)

    def described(
        self, text: Text, definitions: tuple[Definition, ...], tiled: tuple[Definition, ...]
    ) -> tuple[pa.Schema, tuple[str, ...], dict[str, str]]:
        """Of a text that was `bound` with NULL for each parameter: its columns in Arrow, their types' names in DuckDB,
        and the parameters' by folded name."""
        tables = self._tables(definitions, tiled)
        with self._bare() as cursor:
            columns, kinds = cursor.empty(text, tables, self.seconds)
        if not text.given.values:
            return columns, kinds, {}
        with self._inferring:
            if not self._inference:
                self._inference.append(Inference(self._binding, rebound.SETTINGS))
            return columns, kinds, self._inference[0].parameters(text.sql, tables)

    def _tables(self, definitions: tuple[Definition, ...], tiled: tuple[Definition, ...]) -> dict[str, str]:
        tables = {one.view: self._columns(one, False) for one in definitions}
        return tables | {TILES + one.view: self._columns(one, True) for one in tiled}

    def _described(self, definition: Definition, tiled: bool) -> str:
        """The columns of a view, or of its tiles, as a table has them. Kept."""
        with self._bare() as cursor:
            found = cursor.describe(unread(definition, tiles if tiled else finished))
        return ", ".join(f"{quote(name)} {kind}" for name, kind in found)


@dataclass(frozen=True)
class Question:
    """What a query's text says."""

    references: tuple[Reference, ...]
    """The views that it names."""

    measured: bool
    """Whether it has MEASURE."""

    parameters: tuple[str, ...]
    """The names of its parameters."""

    calls: tuple[PlainCall, ...]
    """Its plain aggregates over columns."""

    names: Names
    """The columns that it can name."""

    repeated: frozenset[str]
    """The views that it names more than once."""

    hidden: frozenset[str]
    """Those whose names it gives to WITH names, too."""


def _close(instances: list[Instances], inference: list[Inference]) -> None:
    for one in instances:
        one.close()
    for other in inference:
        other.close()
