"""Requests to take a mended contract over: an archive that files by it has filed again what it accepts.

A request is an empty object, `retries/<stream>/<contract>/<decoding>`; it is answered by being removed. Removing it
twice, or asking twice, is harmless: what was filed again is not a second time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import obstore

from seamline.lake import Lake
from seamline.schemas.contracts.contract import Contract
from seamline.streaming.archive.filing import Shelf


def ask(lake: Lake, contract: Contract) -> str:
    """Asks the contract's archive to file by it; returns the request's path."""
    path = f"{lake.retries_prefix(contract.stream)}{contract.name}/{contract.decoding}"
    obstore.put(lake.store, path, b"")
    return path


def waits(lake: Lake, contract: Contract, path: str) -> bool:
    """Whether a request still waits for its answer."""
    return path in _asked(lake, contract.stream)


def withdraw(lake: Lake, path: str) -> None:
    """Asks no more."""
    lake.delete([path])


def answer(lake: Lake, stream: str, shelves: Iterable[Shelf]) -> None:
    """Removes the requests for contracts that are filed by; others wait until the archive reads them. One listing."""
    filed_by = {f"{lake.retries_prefix(stream)}{shelf.contract}/{shelf.version}" for shelf in shelves}
    for path in _asked(lake, stream):
        if path in filed_by:
            withdraw(lake, path)


def _asked(lake: Lake, stream: str) -> Iterator[str]:
    return (item["path"] for item in lake.listed(lake.retries_prefix(stream)))
