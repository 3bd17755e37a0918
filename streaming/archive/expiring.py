"""Which event dates of a contract's raw go: those that its `seamline.rawRetention` is past, and that nobody needs.

A date that is gone is never computed again: its partials stay as they are. So it goes only when everything that may be
built on has read all of its records: of each live definition the version that is served, those that may be gone back
to, and runs that hold a reservation. What has read as much is told by two numbers (`Begins`), so that whoever comes
later is judged alike.

*Nobody is too late.* The newest entry that touched such a date is older than UNTOUCHED. Whoever decided before that
entry reserves nothing any more (attempts.py), and whoever decided after it has read it.

A look takes the Delta log of the contract's tables, and then the batch logs of the definitions that read it and, where
a version has not, the speed log.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

from seamline.claims import Stay
from seamline.entries.archive import Begins, Touched
from seamline.errors import TerminalError
from seamline.frontier import Frontier
from seamline.history.archive import ArchiveHistory
from seamline.history.backfills import BackfillHistory
from seamline.history.batch import BatchHistory
from seamline.history.forget import ForgetHistory
from seamline.history.speed import SpeedHistory
from seamline.kernel import Kernel
from seamline.lake import Lake
from seamline.portions import in_portions, portion_bytes
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.judged import judged_statement
from seamline.segment import build_chain
from seamline.sides.raw import DATE, RawFile, raw_files
from seamline.streaming.archive.filing import Shelf
from seamline.streaming.archive.vacuum import SLACK

GRACE = timedelta(days=2)
"""Beyond retention and horizon, for timestamps that run back: what still comes for a date that is gone is rejected."""

UNTOUCHED = timedelta(days=2)
"""Since the newest entry that touched what goes: an attempt gives up at half a day, and a reservation ends within
another half."""

NeededBy = tuple[str, str]
"""Who needs a date, and the command that helps ('' where it ends by itself)."""

NOT_SERVED = 0

_RECORDS = """SELECT _source AS source, _partition AS "partition", _offset AS "offset", _timestamp AS "timestamp",
  _key AS key, _value AS value FROM raw WHERE _reject IS NOT NULL"""


def due(kept: timedelta | None, time: int | None) -> date | None:
    """Which event dates may go by the log's time (in seconds; None: not known): all before this one. Pure."""
    if kept is None or time is None:
        return None
    at = datetime.fromtimestamp(time, UTC) - kept - GRACE
    return at.date()


def last_touch(touched: Iterable[Touched], tables: Collection[str], before: date) -> Touched | None:
    """The newest of the archive's entries (or of some that are told together) that touched an event date before one.
    Pure."""

    def on_them(part: Touched) -> bool:
        return part.dates is None or any(day < before for table in tables for day in part.dates.get(table, ()))

    return max(filter(on_them, touched), key=lambda part: part.number, default=None)


@dataclass(frozen=True)
class Going:
    """Event dates of a contract that go."""

    contract: str
    begins: Begins
    files: tuple[RawFile, ...]

    def __str__(self) -> str:
        return f"gone before {self.begins.date}"


@dataclass(frozen=True)
class Expiring:
    """A stream's contracts, and who reads them."""

    lake: Lake
    stream: str
    engine: Kernel
    history: ArchiveHistory
    now: datetime

    def going(self, shelf: Shelf, before: date) -> Going | Stay | None:
        """What goes of the contract of a shelf before a date; or why nothing does; None where nothing is there."""
        name = shelf.contract
        tables = [path for path in self.history.tables if Lake.contract_of(path) == name]
        held = [file for path in tables for file in raw_files(self.lake, path, self.history.tables[path])]
        catalogue = Catalogue(self.lake)
        before = self._awaited(catalogue, name, [file for file in held if file.date < before], before)
        files = tuple(file for file in held if file.date < before)
        if not files:
            return None
        touch = last_touch(self.history.touched, tables, before)
        if touch is None or self.now - touch.at < UNTOUCHED:
            until = f", and stay until {_minute(touch.at + UNTOUCHED)}" if touch else ""
            return Stay(before.isoformat(), f"entry {touch.number if touch else 0} touched them too lately{until}")
        begins = _later(Begins(date=before, entry=touch.number, end=touch.end), self.history.begins.get(name))
        needed = next(self._needed(catalogue, name, begins), None)
        return Stay(before.isoformat(), *needed) if needed else Going(name, begins, files)

    def _needed(self, catalogue: Catalogue, name: str, begins: Begins) -> Iterator[NeededBy]:
        """Who still needs a date before that."""
        forgets = ForgetHistory(self.lake.forget_log(self.stream))
        for number, request in forgets.requests.items():
            if request.contract == name and number not in forgets.forgotten:
                yield f"request {number} to forget records is not done yet", "seamline forget status"
        for view, state in catalogue.states.items():
            mine = [one for one in state.live if _reads(catalogue, one, name)]
            for definition in mine:
                yield from self._unread(
                    view, definition, begins, state.version if state.served == definition else NOT_SERVED
                )
            if mine:
                for one in BackfillHistory(self.lake.backfill_log(view)).open.values():
                    if one.asked.partition("..")[0] < begins.date.isoformat():
                        asked = f"backfill {one.id} of {view} asks for dates before {begins.date}"
                        yield asked, "seamline backfill status"

    def _unread(self, view: str, definition: str, begins: Begins, served: int | None) -> Iterator[NeededBy]:
        """`served`: the version that is; None: epochs alone are; NOT_SERVED: nothing of this definition."""
        batch, of = BatchHistory(self.lake.batch_log(definition)), f"of {view} (definition {definition})"
        refresh = f"seamline batch refresh {view}"
        if served != NOT_SERVED and served not in batch.versions:
            yield f"{view} is served without a batch version (definition {definition})", refresh
        for number, version in sorted(batch.versions.items(), reverse=True):
            if begins.were_read(version.cut, version.archive_entry):
                continue
            if number == served:
                yield f"batch version {number} {of}, which is served, has not read all of it", refresh
            elif self._stands(definition, version.cut):
                why = f"batch version {number} {of} has not read all of it, and may be gone back to"
                yield f"{why} while its epochs stand", f"seamline views history {view}"
        for reserved in batch.held(self.now - SLACK):
            if not begins.were_read(reserved.cut, reserved.archive_entry):
                until = _minute(reserved.until + SLACK)
                yield f"run {reserved.run} {of} has not read all of it, and has until {until}", ""

    def _stands(self, definition: str, cut: Frontier) -> bool:
        """Whether what ends at a cut may be gone back to: epochs lead on from there. Where none do, none will."""
        speed = self.speed
        try:
            build_chain(definition, None, cut, speed.segments(definition, cut, speed.frontier), speed.frontier)
        except TerminalError:
            return not speed.last_epoch
        return True

    @cached_property
    def speed(self) -> SpeedHistory:
        """The stream's epochs."""
        return SpeedHistory(self.lake.speed_log(self.stream))

    def _awaited(self, catalogue: Catalogue, name: str, files: Collection[RawFile], before: date) -> date:
        """The date, or an earlier one: what was rejected under a date that would go, and counts by a live definition's
        contract under one that stays, stays until that goes too. Only events ahead of their records do that, so only
        the last dates are looked at."""
        texts = {
            contract.decoding: contract
            for state in catalogue.states.values()
            for one in state.live
            for contract in catalogue.contracts(one)
            if contract.name == name
        }
        for contract in texts.values():
            near = before - contract.ahead - timedelta(days=1)
            last = [file for file in files if file.rejects and file.date >= near]
            waits = [file.date for file in last if self._counts(contract, file, before)]
            before = min([before, *waits])
        return before

    def _counts(self, contract: Contract, file: RawFile, before: date) -> bool:
        records = self.engine.run(_RECORDS, {"raw": self.lake.read([file.path])})
        statement = (
            f"SELECT _offset FROM ({judged_statement(contract)}) WHERE _reject IS NULL"
            f" AND _event_date >= DATE '{before.isoformat()}'"
        )
        found = in_portions(
            lambda one: self.engine.run(statement, {"records": one}), records, portion_bytes(self.engine)
        )
        return any(rows.num_rows for rows in found)


def files_of_gone(lake: Lake, contract: str, tables: Iterable[str], first: date) -> Iterator[str]:
    """Data files of a contract's event dates that are gone, as its tables' folders are listed: the newest version names
    none of them."""
    for table in tables:
        if Lake.contract_of(table) == contract:
            for item in lake.listed(f"{table}/"):
                folder = item["path"].removeprefix(f"{table}/").partition("/")[0]
                named, _, day = folder.partition("=")
                if named == DATE and date.fromisoformat(day) < first:
                    yield item["path"]


def _later(found: Begins, known: Begins | None) -> Begins:
    """What was gone before was touched before, too."""
    if known is None:
        return found
    return Begins(date=max(found.date, known.date), entry=max(found.entry, known.entry), end=found.end.join(known.end))


def _minute(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _reads(catalogue: Catalogue, definition: str, name: str) -> bool:
    return any(contract.name == name for contract in catalogue.contracts(definition))
