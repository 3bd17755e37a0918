"""Asking that records be forgotten: which they are is looked for, and stands in the ledger before anything goes."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from seamline.attempts import new_attempt
from seamline.clock import Clock
from seamline.commitpoint import reach
from seamline.entries.forget import Forget
from seamline.errors import ConflictError
from seamline.history.archive import ArchiveHistory
from seamline.history.forget import ForgetHistory
from seamline.jobs.finding import FoundRecords, ValuesSought, find
from seamline.kernel import Kernel
from seamline.lake import Lake
from seamline.schemas.contracts.contract import Contract


@dataclass(frozen=True)
class Looked:
    """Records that shall be forgotten, as they were found in raw at one moment."""

    asked: ValuesSought
    archive: ArchiveHistory
    found: FoundRecords


def look(lake: Lake, engine: Kernel, texts: Sequence[Contract], asked: ValuesSought) -> Looked:
    """Looks for them in the newest raw; nothing is written."""
    stream = asked.contract.stream
    archive = ArchiveHistory(lake.archive_log(stream))
    return Looked(asked, archive, find(lake, engine, archive, texts, asked, lake.unclaimed_path(stream)))


def ask(lake: Lake, engine: Kernel, looked: Looked, clock: Clock, *, withhold: bool = False) -> int:
    """Puts the request, from which on they are to go, and returns its number. Their positions first, which no entry
    names yet."""
    asked, found, archive = looked.asked, looked.found, looked.archive
    stream, salt = asked.contract.stream, secrets.token_hex(16)
    path = lake.forget_path(stream, new_attempt())
    lake.write(engine, "FROM found", {"found": found.rows}, path)
    lake.sync([path])
    reach("forget.after-file")
    entry = Forget(
        at=clock(),
        contract=asked.contract.name,
        field=asked.field,
        salt=salt,
        values=tuple(sorted(salted(salt, value) for value in asked.values)),
        until=archive.frontier,
        archive_entry=archive.number,
        imports=tuple(sorted(archive.imports)),
        file=path,
        dates=dict(found.dates),
        days=dict(found.days),
        counts=found.counts,
        withhold=withhold,
    )
    history = ForgetHistory(lake.forget_log(stream))
    while True:
        number = history.number + 1
        try:
            history.log.put_last(number, entry)
        except ConflictError:  # another request: this one is the same after it
            history.load()
            continue
        reach("forget.after-request")
        return number


def salted(salt: str, value: str) -> str:
    """What a request says of a value."""
    return hashlib.sha256((salt + value).encode()).hexdigest()
