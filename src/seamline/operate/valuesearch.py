"""Whether a value stands anywhere in a lake, or in this machine's logs of a project: every object is decoded and looked
through. No index and no ledger is asked, so it finds what those do not know of.

Time and bytes by the size of the lake, once; memory by its largest object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from seamline import objects
from seamline.advance import Show, unshown
from seamline.ipc import from_ipc
from seamline.jobs.finding import ValuesSought
from seamline.lake import Lake
from seamline.operate.forget import sought_of
from seamline.packs import ENTRY, MAGIC, Pack, body_of
from seamline.schemas.project import Project

BATCH_ROWS = 65_536
"""Rows of a file that are decoded at once."""

CARRIED_IN = b'"data":'
"""How an entry says that it carries a pack."""


@dataclass(frozen=True)
class Held:
    """An object that holds a value."""

    path: str

    where: str
    """The column it stands in, 'text' of an object that has none."""


def where_held(
    project: Project, contract: str, field: str, values: Sequence[str], *, show: Show = unshown
) -> list[Held]:
    """What of a project holds one of a field's values ('': of the event id). Raises CONTRACT_UNKNOWN, INPUT_INVALID,
    STORE_UNAVAILABLE."""
    sought = sought_of(project, contract, field, values)
    return holding(project.lake, sorted((project.state / "logs").glob("*")), sought, show)


def holding(lake: Lake, logs: Iterable[Path], sought: ValuesSought, show: Show = unshown) -> list[Held]:
    """The objects of a lake, and the log files, that hold one of the values; by path. Raises STORE_UNAVAILABLE."""
    look, found = _Look(sought), list[Held]()
    listed = [(str(item["path"]), int(item["size"])) for item in lake.listed("")]
    with show("look for values in the lake", sum(size for _, size in listed)) as advance:
        for path, size in listed:
            body = objects.get(lake.store, path)
            found += [] if body is None else [Held(path, where) for where in sorted(set(look.through(path, body)))]
            advance(size)
    found += [Held(str(log), "text") for log in logs if log.is_file() and look.in_text(log.read_bytes())]
    return sorted(found, key=lambda one: (one.path, one.where))


class _Look:
    """What is looked for, in each form in which it may stand."""

    def __init__(self, sought: ValuesSought) -> None:
        field = sought.contract.field(sought.field)
        self._field, self._values = sought.field, pa.array(sought.values, pa.string())
        self._is_text = field.type == "string"
        either = "|".join(sorted({re.escape(form) for value in sought.values for form in _forms(value)}))
        word = f"(?:^|[^\\pL\\pN_])(?:{either})(?:$|[^\\pL\\pN_])"
        key = f'{re.escape(field.source or field.name)}\\\\*"\\s*:\\s*\\\\*"?'
        named = f"{key}(?:{either})(?:$|\\W)"
        self._anywhere = f"(?s){word if self._is_text else named}"
        before = r"(?<!\w)" if self._is_text else key
        self._bytes = re.compile(f"{before}(?:{either})(?!\\w)".encode())

    def through(self, path: str, body: bytes) -> Iterator[str]:
        """Where an object holds a value: by its columns where it has any, else by its text."""
        if path.endswith(".parquet"):
            yield from self._in_parquet(body)
        elif body.startswith(MAGIC):
            yield from self._in_pack(Pack(body, path))
        else:
            if self.in_text(body):
                yield "text"
            if path.endswith(ENTRY) and CARRIED_IN in body and json.loads(body).get("data"):
                yield from self._in_pack(Pack(body_of(body, path), path))

    def in_text(self, body: bytes) -> bool:
        """Whether a text holds a value as a word; of other types than text, after the field's own key."""
        return self._bytes.search(body) is not None

    def _in_parquet(self, body: bytes) -> Iterator[str]:
        file = parquet.ParquetFile(pa.BufferReader(body))
        for batch in file.iter_batches(BATCH_ROWS):
            yield from self._in_table(pa.Table.from_batches([batch]))
        if self.in_text(b" ".join((file.schema_arrow.metadata or {}).values())):
            yield "metadata"

    def _in_pack(self, of: Pack) -> Iterator[str]:
        for name, place in of.places.items():
            table = from_ipc(of.frame(place.frame)[place.start : place.end])
            yield from (f"{name}, {column}" for column in self._in_table(table))

    def _in_table(self, table: pa.Table) -> Iterator[str]:
        for name, column in zip(table.column_names, table.columns, strict=True):
            for chunk in column.chunks:
                if any(self._in_array(leaf, name) for leaf in _leaves(chunk)):
                    yield f"column {name}"

    def _in_array(self, leaf: pa.Array, name: str) -> bool:
        kind = leaf.type
        if pa.types.is_large_string(kind) or pa.types.is_string(kind) or pa.types.is_string_view(kind):
            texts = leaf.cast(pa.large_string())
        elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
            texts = leaf.cast(pa.large_binary())
        elif pa.types.is_fixed_size_binary(kind):
            texts = leaf.cast(pa.binary())
        elif not self._is_text and name == self._field:
            return bool(pc.any(pc.is_in(leaf.cast(pa.string()), self._values)).as_py())
        else:
            return False
        return bool(pc.any(pc.match_substring_regex(texts, self._anywhere)).as_py())


def _forms(value: str) -> tuple[str, ...]:
    """A text as it is, as JSON writes it, and as JSON writes that: the statistics of Delta's log."""
    once = json.dumps(value)[1:-1]
    return value, once, json.dumps(once)[1:-1]


def _leaves(array: pa.Array) -> Iterator[pa.Array]:
    """The arrays of no nested type that one is made of."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        yield from _leaves(array.dictionary)
    elif pa.types.is_struct(kind):
        for number in range(kind.num_fields):
            yield from _leaves(array.field(number))
    elif pa.types.is_map(kind):
        yield from _leaves(array.keys)
        yield from _leaves(array.items)
    elif pa.types.is_nested(kind):
        yield from _leaves(array.values)
    else:
        yield array
