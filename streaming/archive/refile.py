"""Records that are filed again from their bytes: what a mended contract accepts, and all of them for a new layout.

Files are written here; the archive commits them in one entry over an empty range. Dying before it changes nothing;
afterwards nothing is left to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from seamline.entries.base import Counts
from seamline.history.archive import ArchiveHistory
from seamline.kernel import Input, Kernel, literal
from seamline.lake import Lake
from seamline.portions import in_portions, portion_bytes
from seamline.sides.raw import RawFile
from seamline.streaming.archive.filing import LeftOut, Shelf, file_records
from seamline.streaming.archive.inbox import Request
from seamline.streaming.archive.tables import RawTable, write_raw
from seamline.streaming.gathered import gather
from seamline.streaming.stream_plan import UNCLAIMED

_RECORDS = """SELECT _source AS source, _partition AS "partition", _offset AS "offset", _timestamp AS "timestamp",
  _key AS key, _value AS value"""
_POSITION = ("_source", "_partition", "_offset")

Filed = tuple[list[RawFile], dict[str, Counts]]
"""Files that are written, and law 3's counts of what is in them."""


@dataclass(frozen=True)
class Holdings:
    """What an archive holds."""

    lake: Lake
    engine: Kernel

    shelves: Sequence[Shelf]
    """By which it files."""

    tables: Mapping[str, RawTable]
    """Its open tables, by their paths."""

    history: ArchiveHistory
    """What the ledger says of them."""

    forgotten: LeftOut
    """Which records copies are not filed of."""


def mended(holdings: Holdings) -> Filed:
    """What an older decoding rejected, or no contract claimed, and the present one accepts."""
    files, counts = list[RawFile](), dict[str, Counts]()
    for shelf in holdings.shelves:
        if shelf.label == UNCLAIMED:
            continue
        for accepted in _accepted(holdings, shelf, shelf):
            files += _written(holdings, shelf, accepted)
            _count(counts, shelf.label, Counts(counted=accepted.num_rows, rejected=-accepted.num_rows))
        for other in holdings.shelves:
            if other.label == UNCLAIMED and set(other.topics) <= set(shelf.topics):
                for claimed in _accepted(holdings, shelf, other):
                    files += _written(holdings, shelf, claimed)
                    _count(counts, shelf.label, Counts(read=claimed.num_rows, counted=claimed.num_rows))
                    _count(counts, UNCLAIMED, Counts(read=-claimed.num_rows, rejected=-claimed.num_rows))
    return files, {label: one for label, one in counts.items() if one != Counts()}


def filled(holdings: Holdings, new: Iterable[str]) -> Filed:
    """All bytes of a contract's former tables, for those of its tables that are `new`. None of it is counted again."""
    tables, files = set(new), list[RawFile]()
    for shelf in holdings.shelves:
        if shelf.table in tables and shelf.label != UNCLAIMED:
            files += _filled(holdings, shelf)
    return files, {}


def requested(holdings: Holdings, request: Request, *, fresh: bool = True) -> Filed | None:
    """An import's files, by the tables that are in force: a contract's event time, id or discriminator may change while
    a request waits, and raw may begin later. Written anew where they are not `fresh`, since a file's age says how long
    it may have been part of a table. None where no shelf is for its contract."""
    contract = request.imported.contract
    wanted = {shelf.table for shelf in holdings.shelves if shelf.contract == contract}
    if not wanted:
        return None
    first = holdings.history.first_date(contract)
    fresh = fresh and (first is None or all(first <= file.date for file in request.files if _is_of(contract, file)))
    if fresh and wanted <= request.tables and {file.table for file in request.files} <= holdings.tables.keys():
        return [*request.files], {**request.counts}
    return _imported(holdings, contract, request.files)


def _is_of(contract: str, file: RawFile) -> bool:
    return Lake.contract_of(file.table) == contract


def _imported(holdings: Holdings, contract: str, files: Sequence[RawFile]) -> Filed:
    """From files that were written for other tables."""
    prefix = Lake.raw_path(contract, "")
    former = sorted({file.table for file in files if file.table.startswith(prefix)})
    unclaimed = {file.table for file in files} - set(former)  # what one layout does not claim stands there, once
    topics = {topic for shelf in holdings.shelves if shelf.contract == contract for topic in shelf.topics}
    shelves = [
        shelf
        for shelf in holdings.shelves
        if shelf.contract == contract or (shelf.label == UNCLAIMED and topics.intersection(shelf.topics))
    ]
    made, counts = list[RawFile](), dict[str, Counts]()
    for file in files:
        if file.table in (*former[:1], *unclaimed):
            raw: dict[str, Input] = {"raw": holdings.lake.read([file.path])}
            seen = gather(
                file_records(
                    holdings.engine, holdings.lake, shelves, holdings.engine.run(f"{_RECORDS} FROM raw", raw),
                    holdings.forgotten,
                )
            )  # fmt: skip
            made += [RawFile(**one) for one in seen.files]
            for label, more in seen.filed.items():
                _count(counts, label, more)
    return made, counts


def _filled(holdings: Holdings, shelf: Shelf) -> list[RawFile]:
    """One former table after the other, date by date; a position that an earlier one held is not filed twice."""
    prefix = Lake.raw_path(shelf.contract, "")
    former = sorted(path for path in holdings.history.tables if path.startswith(prefix) and path != shelf.table)
    written: list[RawFile] = []
    done: list[str] = []
    for path in former:
        table = RawTable(holdings.lake, path, version=holdings.history.tables[path])
        for day in table.days():
            files = table.files(day)
            for number, file in enumerate(files):
                inputs: dict[str, Input] = {"raw": holdings.lake.read([file])}
                but = ""
                if before := [*done, *files[:number]]:
                    inputs["done"] = holdings.lake.read(before, [*_POSITION])
                    but = f"ANTI JOIN done USING ({', '.join(_POSITION)})"
                once = f"QUALIFY row_number() OVER (PARTITION BY {', '.join(_POSITION)}) = 1"
                records = holdings.engine.run(f"{_RECORDS} FROM raw {but} {once}", inputs)
                for rows in _decoded(holdings, shelf, records):
                    written += _written(holdings, shelf, rows)
        done += table.files()
    return written


def _accepted(holdings: Holdings, shelf: Shelf, source: Shelf) -> Iterator[pa.Table]:
    """Rejected rows of the table of `source` under another version than its present one, that `shelf` accepts now.

    Without those that stand accepted in the shelf's own table already. File by file: their bytes may be many.
    """
    where = f"_reject IS NOT NULL AND _contract_version NOT IN ({literal(source.version)}, {literal(source.marked)})"
    if source is not shelf:
        where += f" AND {_of_topic(holdings, shelf, source)}"
    mine = holdings.tables[shelf.table].files()
    stands = f"SELECT {', '.join(_POSITION)} FROM raw WHERE _reject IS NULL"
    new = f"SELECT * FROM accepted ANTI JOIN ({stands}) USING ({', '.join(_POSITION)})"
    for file in holdings.tables[source.table].files():
        candidates = holdings.engine.run(f"{_RECORDS} FROM raw WHERE {where}", {"raw": holdings.lake.read([file])})
        for rows in _decoded(holdings, shelf, candidates):
            accepted = rows.filter(pc.is_null(rows["_reject"]))
            if mine and accepted.num_rows:
                accepted = holdings.engine.run(new, {"accepted": accepted, "raw": holdings.lake.read(mine)})
            yield accepted


def _decoded(holdings: Holdings, shelf: Shelf, records: pa.Table) -> Iterator[pa.Table]:
    """Records as the shelf files them, in portions that the kernel can hold."""
    engine = holdings.engine
    return in_portions(lambda one: engine.run(shelf.statement, {"records": one}), records, portion_bytes(engine))


def _of_topic(holdings: Holdings, shelf: Shelf, unclaimed: Shelf) -> str:
    """Records of one topic that the shelf's contract is read from; with its own, of files imported for it too."""
    (topic,), own = unclaimed.topics, shelf.topics[0]
    imports = [one.source for one in holdings.history.imports.values() if one.contract == shelf.contract]
    listed = f" OR _source IN ({', '.join(map(literal, imports))})" if imports and topic == own else ""
    return f"(split_part(_source, '@', 1) = {literal(topic)}{listed})"


def _written(holdings: Holdings, shelf: Shelf, rows: pa.Table) -> Sequence[RawFile]:
    return write_raw(holdings.engine, holdings.lake, shelf.table, rows) if rows.num_rows else []


def _count(counts: dict[str, Counts], label: str, more: Counts) -> None:
    counts[label] = counts.get(label, Counts()) + more
