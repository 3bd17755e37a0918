"""A snapshot as bytes for workers: tables and definitions by their files, all else as it is.

Only the parent process writes such bytes, and only its workers read them.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import pyarrow as pa
import pyarrow.parquet as pq

from seamline.schemas.views.definition import Definition
from seamline.serving.bounds import BatchFiles
from seamline.serving.snapshot import ServedView, Snapshot


@dataclass(frozen=True, eq=False)
class Index:
    """A snapshot for workers."""

    snapshot: Snapshot
    data: bytes

    paths: frozenset[Path]
    """The files that are needed to read it."""


def index(snapshot: Snapshot, put: Callable[[Any], Path]) -> Index:
    """A snapshot's index; `put` says where a table or definition stands. Raises what it raises.

    Costs a write for each table that is new, and a few microseconds for each view and run.
    """
    buffer = io.BytesIO()
    writer = _IndexPickler(buffer, put)
    writer.dump(snapshot)
    return Index(snapshot, buffer.getvalue(), frozenset(writer.paths))


class IndexReader:
    """Reads indexes; what two have in common is mapped once."""

    def __init__(self, load: Callable[[str], Any]) -> None:
        self._load = load
        self._known: WeakValueDictionary[str, Any] = WeakValueDictionary()

    def read(self, data: bytes) -> Snapshot:
        """The snapshot of an index."""
        found: Snapshot = _Unpickler(io.BytesIO(data), self._at).load()
        return found

    def _at(self, path: str) -> Any:
        found = self._known.get(path)
        if found is None:
            found = self._known[path] = self._load(path)
        return found


class _IndexPickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, put: Callable[[Any], Path]) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self._put = put
        self.paths: set[Path] = set()

    def persistent_id(self, value: Any) -> str | None:
        if not isinstance(value, pa.Table | Definition):
            return None
        path = self._put(value)
        self.paths.add(path)
        return str(path)

    def reducer_override(self, value: Any) -> Any:
        """Fields alone: what such a value has computed of them is not sent."""
        if isinstance(value, BatchFiles):
            value = replace(value, footer=pq.read_metadata, known=value.found, earlier={})
        if isinstance(value, ServedView | Snapshot | BatchFiles):
            return type(value), tuple(getattr(value, one.name) for one in fields(value) if one.init)
        return NotImplemented


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, at: Callable[[str], Any]) -> None:
        super().__init__(file)
        self._at = at

    def persistent_load(self, path: Any) -> Any:
        return self._at(path)
