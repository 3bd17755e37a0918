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
from seamline.errors import Condition, ConflictError, TerminalError
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


def check_gone(looked: Looked, *, drop_gone: bool) -> None:
    """Raises OUT_OF_RETENTION where records may stand in partials of dates whose raw is gone, and those shall stay."""
    name = looked.asked.contract.name
    first = looked.archive.first_date(name)
    if first is not None and not drop_gone:
        raise TerminalError(
            Condition.OUT_OF_RETENTION,
            f"raw of {name} is gone before {first}: of those event dates nobody can find records any more, or compute"
            " what views say without them",
            detail="what views hold of such dates, and with it whatever they hold of a person, stays or goes whole",
            hint="with --drop-gone, views that read the contract begin at that date from then on",
        )


def ask(
    lake: Lake, engine: Kernel, looked: Looked, clock: Clock, *, withhold: bool = False, drop_gone: bool = False
) -> int:
    """Puts the request, from which on they are to go, and returns its number. Their positions first, which no entry
    names yet. `drop_gone`: what stands of dates whose raw is gone goes, too.

    Raises OUT_OF_RETENTION as `check_gone`; LEDGER_CONFLICT where dates went since it was looked for them.
    """
    asked, found, archive = looked.asked, looked.found, looked.archive
    check_gone(looked, drop_gone=drop_gone)
    now = ArchiveHistory(archive.log)
    if now.first_date(asked.contract.name) != archive.first_date(asked.contract.name):
        raise ConflictError(
            Condition.LEDGER_CONFLICT,
            f"event dates of {asked.contract.name} have gone from raw while records of it were looked for",
            hint="look for them again",
        )
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
        drop_gone=drop_gone,
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
