"""Records that were erased since an answer was given, as they stood: from raw as it was before, while that is there.

A request to forget has raw written again without its records, and the archive's entry says which table versions were
the last to hold them. They stay for as long as an answer that counted them can be asked for, but for what came after
its version: of that, a day.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
from deltalake.exceptions import DeltaError

from seamline.entries.archive import Erased
from seamline.entries.forget import Forget
from seamline.entries.speed import Epoch
from seamline.frontier import Frontier
from seamline.history.archive import ArchiveHistory
from seamline.jobs.copies import POSITION
from seamline.kernel import Input, Kernel, Mixed, quote
from seamline.lake import Lake
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.judged import within
from seamline.sides.raw import RawFile, by_day, raw_files

DAY = "_stood_on"
"""The event date whose files a row stood in: those have no column for it."""

NONE = pa.table(
    {
        "_source": pa.array([], pa.string()),
        "_partition": pa.array([], pa.int32()),
        "_offset": pa.array([], pa.int64()),
        DAY: pa.array([], pa.date32()),
    }
)


@dataclass(frozen=True)
class ErasedRows:
    """Rows of one raw table."""

    rows: pa.Table
    """As they stood, with all their columns."""

    lost: tuple[int, ...]
    """The requests of which they cannot be read any more."""


def erased_rows(
    lake: Lake, engine: Kernel, archive: ArchiveHistory, table: str, requests: Collection[int]
) -> ErasedRows:
    """What some requests have taken out of a raw table. Takes time by the files that were written
    again without them, and those of their dates; memory follows the rows."""
    found, lost = [NONE], list[int]()
    newest = by_day(raw_files(lake, table, archive.tables.get(table)))
    for one in sorted(archive.erased.values(), key=lambda one: -one.entry):
        if one.request not in requests or not one.dates.get(table):
            continue
        older = _files_before(lake, table, one, {file.path for files in newest.values() for file in files})
        if older is None:
            lost.append(one.request)
        for day, files in by_day(older or ()).items():
            stands = [file.path for file in newest.get(day, ())]
            inputs: dict[str, Input] = {
                "older": lake.read([file.path for file in files]),
                "stands": lake.read(stands) if stands else NONE,
                "later": pa.concat_tables(found, promote_options="permissive"),
            }
            found.append(engine.run(_missing(day), inputs))
    return ErasedRows(pa.concat_tables(found, promote_options="permissive"), tuple(sorted(lost)))


def together(read: Input | None, rows: pa.Table) -> Input:
    """Both as one input."""
    if read is None:
        return rows
    if not rows.num_rows:
        return read
    if isinstance(read, pa.Table):
        return pa.concat_tables([read, rows], promote_options="permissive")
    files, more = (read.files, [read.table]) if isinstance(read, Mixed) else (tuple(read), [])
    return Mixed(files, pa.concat_tables([*more, rows], promote_options="permissive"))


def _files_before(lake: Lake, table: str, one: Erased, newest: set[str]) -> list[RawFile] | None:
    """The files that may have held the records of a request and stand in the table no more; None where one is gone."""
    try:
        listed = raw_files(lake, table, one.before.get(table))
    except (FileNotFoundError, DeltaError):
        return None
    files = [file for file in listed if file.path not in newest and file.date in one.dates[table]]
    return files if all(lake.exists(file.path) for file in files) else None


def _missing(day: date) -> str:
    """`older` but for what stands, and for what a `later` request has erased."""
    return (
        f"SELECT *, DATE '{day.isoformat()}' AS {DAY}\n"
        f"FROM older ANTI JOIN stands USING ({POSITION}) ANTI JOIN later USING ({POSITION})"
    )


@dataclass(frozen=True)
class KnownCopies:
    """Requests of which epochs know: the records that they find, and copies of them, count no more from there on."""

    lake: Lake
    engine: Kernel
    table: str
    contract: Contract

    requests: Mapping[int, Forget]
    """Of the contract, those whose records raw may hold or has held since the earlier side's version."""

    epochs: Sequence[Epoch]

    def on(self, day: date, raw: Input) -> pa.Table:
        """Positions of those of one event date. A request costs a look at that date's ids."""
        found = [NONE.select(POSITION.split(", "))]
        for number, one in self.requests.items():
            knew = next((epoch.start for epoch in self.epochs if epoch.forgets >= number), None)
            if knew is not None and day in one.dates.get(self.table, ()):
                inputs = {"raw": raw, "found": self.lake.read([one.file])}
                found.append(self.engine.run(self._statement(knew), inputs))
        return pa.concat_tables(found, promote_options="permissive")

    def _statement(self, knew: Frontier) -> str:
        id_, time = quote(self.contract.event_id or ""), quote(self.contract.event_time)
        valid = f"SELECT {POSITION}, {id_} AS _id, {time} AS _time FROM raw WHERE _reject IS NULL AND {id_} IS NOT NULL"
        return (
            f"WITH valid AS ({valid}),\n"
            f"events AS (SELECT DISTINCT _id, _time FROM valid SEMI JOIN found USING ({POSITION}))\n"
            f"SELECT {POSITION} FROM valid SEMI JOIN events USING (_id, _time)\n"
            f"WHERE NOT starts_with(_source, 'import:') AND NOT ({within(knew, ())})"
        )
