"""Entries, histories and targets of a batch run, made by hand: one view over one contract, ten offsets an epoch."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from obstore.store import MemoryStore
from stream_parts import VIEW, contract, definition, memory_lake

from seamline.entries.archive import Archived, Imported
from seamline.entries.base import EntryBase, Stored
from seamline.entries.batch import Reserved, Version
from seamline.entries.speed import Epoch, Memory
from seamline.entries.views import Published
from seamline.frontier import START, Frontier, Partition
from seamline.history.archive import ArchiveHistory
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.jobs.plan import Logs, Plan, table_of
from seamline.jobs.stages import Target
from seamline.jobs.unit import TODAY
from seamline.lake import Lake
from seamline.ledger import Log
from seamline.schemas.states import apply_views
from seamline.schemas.views.text import parse_views

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)
CLICKS = contract()
PER_HOUR = definition(CLICKS)
D, DECODING, TABLE = PER_HOUR.hash, CLICKS.decoding, table_of(CLICKS)
DAYS = [date(2026, 1, n) for n in range(1, 10)]
OTHERWISE = Stored(kernel="duckdb-0", layout=10**6)
"""How what no statement of today reads was stored."""


def log_of(*entries: EntryBase) -> Log:
    log = Log(MemoryStore(), "one/log")
    for number, entry in enumerate(entries, 1):
        log.put(number, entry)
    return log


def at(offset: int) -> Frontier:
    return Frontier({Partition("clicks@1", 0): offset} if offset else {})


def epoch(number: int, **named: Any) -> Epoch:
    """Epoch n covers (10(n-1), 10n], and lists the definition."""
    given: dict[str, Any] = {"start": at(10 * number - 10), "end": at(10 * number), "files": {D: None}}
    return Epoch(at=NOW, number=number, claim=1, **{**TODAY, "decodings": (DECODING,), **given, **named})


def remembering(number: int, whole: bool) -> Epoch:
    memory = Memory(horizon=3600, identity="i", spans=((1, DECODING),), start=START, whole=whole)
    return epoch(number, memories={DECODING: memory})


def archived(start: int, end: int, *days: date, imports: tuple[str, ...] = (), table: str = TABLE) -> Archived:
    taken = tuple(Imported(source=f"import:{name}", contract=name, rows=1) for name in imports)
    return Archived(
        at=NOW, claim=1, start=at(start), end=at(end), tables={}, dates={table: days} if days else {}, imports=taken
    )


def version(cut: int, base: int | None = None, run: str = "r", **named: Any) -> Version:
    given: dict[str, Any] = {"complete": base is None, "units": {}, "archive_entry": 1, "tables": {}, **TODAY}
    return Version(at=NOW, run=run, cut=at(cut), base=base, **{**given, **named})


def served(number: int | None, of: str | None = D, live: tuple[str, ...] = (D,)) -> Published:
    return Published(at=NOW, view="per_hour", definitions=(), live=live, served=of, version=number)


def logs(speed: list[Epoch], archive: list[Archived], batch: list[EntryBase] | None = None) -> Logs:
    return Logs(SpeedHistory(log_of(*speed)), ArchiveHistory(log_of(*archive)), BatchHistory(log_of(*(batch or []))))


PLAN = Plan("per_hour", D, at(20), 1, {TABLE: frozenset()}, 2, {}, (), 1)


def reserved(run: str, **named: Any) -> Reserved:
    given: dict[str, Any] = {"at": NOW, "cut": at(20), "until": NOW + HOUR, "base": 1, "archive_entry": 2, "tables": {}}
    return Reserved(run=run, **{**given, "view_entry": 1, **named})


def target(of: Logs) -> Target:
    return Target(PER_HOUR, (CLICKS,), "main", of, None)


def with_entries(lake: Lake, speed: list[Epoch], archive: list[Archived], *batch: EntryBase) -> Lake:
    """A lake with the view applied, and these entries in its logs."""
    texts = {view.name: view for view in parse_views(VIEW.format(name="per_hour"), "views.sql")}
    apply_views(lake, texts, {"clicks": CLICKS}, lambda: NOW)
    for log, entries in (
        (lake.speed_log("main"), speed),
        (lake.archive_log("main"), archive),
        (lake.batch_log(D), batch),
    ):
        for number, entry in enumerate(entries, 1):
            log.put(number, entry)
    return lake


def lake_of(speed: list[Epoch], archive: list[Archived], *batch: EntryBase) -> Lake:
    return with_entries(memory_lake(), speed, archive, *batch)
