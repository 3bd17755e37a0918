"""Requests to the archive: files whose rows are written already and wait to be committed by the log's one writer.

A request is a small JSON object, `inbox/<stream>/<name>.json`. Taking it twice is harmless: the ledger knows every
import.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import obstore

from seamline.entries import Counts, Imported
from seamline.lake import Lake
from seamline.streaming.raw import RawFile
from seamline.streaming.refile import file_import

if TYPE_CHECKING:
    from seamline.streaming.archive import Archive

log = logging.getLogger(__name__)


class Inbox:
    """The requests of one stream."""

    def __init__(self, lake: Lake, stream: str) -> None:
        self.lake = lake
        self.prefix = f"inbox/{stream}/"

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

    def take_all(self, archive: Archive) -> int:
        """Commits what is asked for; returns how many imports that made. One for a contract not known yet is left.

        Where the contract's tables are others than those its rows were written for, they are filed again: a contract's
        event time, id or discriminator may change while a request waits.
        """
        paths = [item["path"] for batch in obstore.list(self.lake.store, prefix=self.prefix) for item in batch]
        taken = 0
        for path in sorted(paths):
            request = self._read(path)
            if request is None:
                continue
            files = [RawFile(**one) for one in request["files"]]
            imported, counts = Imported(**request["imported"]), {n: Counts(**c) for n, c in request["counts"].items()}
            wanted = {shelf.table for shelf in archive.shelves if shelf.contract == imported.contract}
            if not wanted:
                log.warning("%s waits: its contract is not one of the stream's", path)
                continue
            written = set(request.get("tables", ())) or {file.table for file in files}
            if not wanted <= written or not {file.table for file in files} <= archive.tables.keys():
                files, counts = file_import(archive, imported.contract, files)
            taken += archive.take_import(imported, files, counts) is not None
            obstore.delete(self.lake.store, path)
        return taken

    def _read(self, path: str) -> dict[str, Any] | None:
        try:
            request: dict[str, Any] = json.loads(bytes(obstore.get(self.lake.store, path).bytes()))
        except (FileNotFoundError, ValueError) as error:
            log.warning("%s is no request: %s", path, error)
            return None
        return request
