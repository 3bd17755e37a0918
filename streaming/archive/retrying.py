"""A mended contract takes effect on what was rejected: by the running archive, or by this process where none runs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime

from seamline.claims import claim
from seamline.clock import Clock, system_clock
from seamline.entries.archive import Archived
from seamline.errors import Condition, ConflictError, TransientError
from seamline.history.archive import ArchiveHistory
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.project import Project
from seamline.streaming.archive.archive import Archive
from seamline.streaming.archive.filing import make_shelves
from seamline.streaming.archive.retries import ask, waits, withdraw
from seamline.streaming.archive.role import IMPORTING
from seamline.streaming.following import Following

WAIT_SECONDS = 120.0
LOOK_SECONDS = 0.2


@dataclass(frozen=True)
class FiledAgain:
    """What a mended contract accepted of what was rejected."""

    accepted: int
    """Records that were filed under their dates since this was asked."""

    by_role: bool
    """The running archive did it, not this process."""

    at: datetime | None
    """When the newest entry was put that filed any; None: none since this was asked."""


def file_again(
    project: Project, contract: Contract, *, clock: Clock = system_clock, wait_seconds: float = WAIT_SECONDS
) -> FiledAgain:
    """Has what an older decoding of a contract rejected filed by the present one, in one entry, as the archive does
    where it takes a contract over. Takes time by the files of the contract's table and the bytes that were rejected.

    Raises TransientError STORE_UNAVAILABLE where the running archive does not take the contract within `wait_seconds`.
    """
    lake, log = project.lake, project.lake.archive_log(contract.stream)
    before = ArchiveHistory(log)
    if not before.begun:
        return FiledAgain(0, by_role=False, at=None)
    deadline, asked = time.monotonic() + wait_seconds, ""
    try:
        while True:
            try:
                with claim(lake, log, IMPORTING, clock) as writer:
                    following = Following(project, contract.stream)
                    shelves = make_shelves(following.contracts, following.lived_by, contract.stream)
                    kernel = project.settings.kernel
                    engine = lake.kernel(kernel.memory, kernel.threads)
                    Archive(lake, contract.stream, writer, shelves, engine=engine, clock=clock)
                return _since(before, contract, by_role=False)
            except ConflictError:
                pass  # another process writes the log, and looks for what is asked of it
            if asked and not waits(lake, contract, asked):
                return _since(before, contract, by_role=True)
            asked = asked or ask(lake, contract)
            if time.monotonic() > deadline:
                raise _not_taken(contract, wait_seconds)
            time.sleep(LOOK_SECONDS)
    finally:
        if asked:
            withdraw(lake, asked)


def _not_taken(contract: Contract, seconds: float) -> TransientError:
    return TransientError(
        Condition.STORE_UNAVAILABLE,
        f"the archive of stream {contract.stream} has not taken {contract.name} over within {seconds:.0f} s",
        detail="an archive reads the contracts of its own project's folder",
        hint="see whether its role runs, and by these contracts: it files again as soon as it reads this one",
    )


def _since(before: ArchiveHistory, contract: Contract, *, by_role: bool) -> FiledAgain:
    """Of the entries over an empty range that hold no import: those file again what was read before."""
    accepted, at = 0, None
    for _, entry in before.log.after(before.number):
        if isinstance(entry, Archived) and entry.start == entry.end and not entry.imports:
            counts = entry.counts.get(contract.name)
            if counts is not None and counts.counted:
                accepted, at = accepted + counts.counted, entry.at
    return FiledAgain(accepted, by_role, at)
