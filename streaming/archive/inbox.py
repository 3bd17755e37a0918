"""Requests to the archive: files whose rows are written already and wait to be committed by the log's one writer.

A request is a small JSON object, `inbox/<stream>/<name>.json`. Taking it twice is harmless: the ledger knows every
import.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import obstore

from seamline.entries.archive import Imported
from seamline.entries.base import Counts
from seamline.lake import Lake
from seamline.sides.raw import RawFile

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Request:
    """One import that waits."""

    path: str

    at: datetime
    """When it was put."""

    imported: Imported
    files: Sequence[RawFile]
    counts: Mapping[str, Counts]

    tables: frozenset[str]
    """The raw tables that its rows were written for."""


class Inbox:
    """The requests of one stream."""

    def __init__(self, lake: Lake, stream: str) -> None:
        self.lake = lake
        self.prefix = lake.inbox_prefix(stream)

    def put(
        self, imported: Imported, files: list[RawFile], counts: dict[str, Counts], tables: Iterable[str] = ()
    ) -> str:
        """Asks for one import, whose rows were written for these tables; returns the request's path."""
        request = {
            "tables": sorted(tables),
            "imported": imported.model_dump(),
            "files": [asdict(file) for file in files],
            "counts": {label: one.model_dump() for label, one in counts.items()},
        }
        path = f"{self.prefix}{imported.source.split(':', 1)[1]}.json"
        obstore.put(self.lake.store, path, json.dumps(request).encode())
        return path

    def requests(self) -> Iterator[Request]:
        """What is asked for now, in the order of the paths; each stays until it is removed."""
        put = {item["path"]: item["last_modified"] for item in self.lake.listed(self.prefix)}
        for path, at in sorted(put.items()):
            if (said := self._read(path)) is not None:
                yield _request(path, at, said)

    def files(self) -> set[str]:
        """Of every request that waits: no table names them yet."""
        return {file.path for request in self.requests() for file in request.files}

    def remove(self, request: Request) -> None:
        """Nothing is asked any more."""
        obstore.delete(self.lake.store, request.path)

    def _read(self, path: str) -> dict[str, Any] | None:
        try:
            request: dict[str, Any] = json.loads(bytes(obstore.get(self.lake.store, path).bytes()))
        except (FileNotFoundError, ValueError) as error:
            log.warning("%s is no request: %s", path, error)
            return None
        return request


def _request(path: str, at: datetime, said: Mapping[str, Any]) -> Request:
    files = [RawFile(**one) for one in said["files"]]
    counts = {label: Counts(**one) for label, one in said["counts"].items()}
    tables = frozenset(said.get("tables", ())) or frozenset(file.table for file in files)
    return Request(path, at, Imported(**said["imported"]), files, counts, tables)
