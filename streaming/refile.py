"""Records that are filed again from their bytes: what a mended contract accepts, and all of them for a new layout.

Each is one `archived` entry over an empty range. Dying before it changes nothing; afterwards nothing is left to do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from seamline.entries import Archived, Counts
from seamline.kernel import Input, literal
from seamline.lake import Lake
from seamline.portions import in_portions, portion_bytes
from seamline.streaming.plan import UNCLAIMED
from seamline.streaming.raw import RawFile, RawTable, write_raw
from seamline.streaming.shelves import Shelf, file_records
from seamline.streaming.tasks import gather

if TYPE_CHECKING:
    from seamline.streaming.archive import Archive

_RECORDS = """SELECT _source AS source, _partition AS "partition", _offset AS "offset", _timestamp AS "timestamp",
  _key AS key, _value AS value"""
_POSITION = ("_source", "_partition", "_offset")


def refile(archive: Archive) -> Archived | None:
    """Files what an older decoding rejected, or no contract claimed, and the present one accepts."""
    files: list[RawFile] = []
    counts: dict[str, Counts] = {}
    for shelf in archive.shelves:
        if shelf.label == UNCLAIMED:
            continue
        for mended in _accepted(archive, shelf, shelf):
            files += _written(archive, shelf, mended)
            _count(counts, shelf.label, Counts(counted=mended.num_rows, rejected=-mended.num_rows))
        for other in archive.shelves:
            if other.label == UNCLAIMED and set(other.topics) <= set(shelf.topics):
                for claimed in _accepted(archive, shelf, other):
                    files += _written(archive, shelf, claimed)
                    _count(counts, shelf.label, Counts(read=claimed.num_rows, counted=claimed.num_rows))
                    _count(counts, UNCLAIMED, Counts(read=-claimed.num_rows, rejected=-claimed.num_rows))
    return archive.commit(_entry(archive, counts), files) if files else None


def fill_new(archive: Archive, shelves: Iterable[Shelf]) -> Archived | None:
    """Fills new tables of contracts that had another layout, from all bytes of the former tables."""
    files: list[RawFile] = []
    for shelf in shelves:
        if shelf.label != UNCLAIMED:
            files += _filled(archive, shelf)
    return archive.commit(_entry(archive, {}), files) if files else None


def file_import(archive: Archive, contract: str, files: Sequence[RawFile]) -> tuple[list[RawFile], dict[str, Counts]]:
    """An import's records, filed by the tables that are in force, from files that were written for others."""
    prefix = Lake.raw_path(contract, "")
    former = sorted({file.table for file in files if file.table.startswith(prefix)})
    unclaimed = {file.table for file in files} - set(former)  # what one layout does not claim stands there, once
    topics = {topic for shelf in archive.shelves if shelf.contract == contract for topic in shelf.topics}
    shelves = [
        shelf
        for shelf in archive.shelves
        if shelf.contract == contract or (shelf.label == UNCLAIMED and topics.intersection(shelf.topics))
    ]
    made, counts = list[RawFile](), dict[str, Counts]()
    for file in files:
        if file.table in (*former[:1], *unclaimed):
            raw: dict[str, Input] = {"raw": archive.lake.read([file.path])}
            seen = gather(
                file_records(archive.engine, archive.lake, shelves, archive.engine.run(f"{_RECORDS} FROM raw", raw))
            )
            made += [RawFile(**one) for one in seen.files]
            for label, read in seen.read.items():
                rejected = seen.rejected[label]
                _count(counts, label, Counts(read=read, rejected=rejected, counted=read - rejected))
    return made, counts


def _filled(archive: Archive, shelf: Shelf) -> list[RawFile]:
    """One former table after the other, date by date; a position that an earlier one held is not filed twice."""
    prefix = Lake.raw_path(shelf.contract, "")
    former = sorted(path for path in archive.history.tables if path.startswith(prefix) and path != shelf.table)
    written: list[RawFile] = []
    done: list[str] = []
    for path in former:
        table = RawTable(archive.lake, path, version=archive.history.tables[path])
        for day in table.days():
            files = table.files(day)
            for number, file in enumerate(files):
                inputs: dict[str, Input] = {"raw": archive.lake.read([file])}
                but = ""
                if before := [*done, *files[:number]]:
                    inputs["done"] = archive.lake.read(before, [*_POSITION])
                    but = f"ANTI JOIN done USING ({', '.join(_POSITION)})"
                once = f"QUALIFY row_number() OVER (PARTITION BY {', '.join(_POSITION)}) = 1"
                records = archive.engine.run(f"{_RECORDS} FROM raw {but} {once}", inputs)
                for rows in _decoded(archive, shelf, records):
                    written += _written(archive, shelf, rows)
        done += table.files()
    return written


def _accepted(archive: Archive, shelf: Shelf, source: Shelf) -> Iterator[pa.Table]:
    """Rejected rows of the table of `source` under another version than its present one, that `shelf` accepts now.

    Without those that stand accepted in the shelf's own table already. File by file: their bytes may be many.
    """
    where = f"_reject IS NOT NULL AND _contract_version NOT IN ({literal(source.version)}, {literal(source.marked)})"
    if source is not shelf:
        where += f" AND {_of_topic(archive, shelf, source)}"
    mine = archive.tables[shelf.table].files()
    stands = f"SELECT {', '.join(_POSITION)} FROM raw WHERE _reject IS NULL"
    new = f"SELECT * FROM accepted ANTI JOIN ({stands}) USING ({', '.join(_POSITION)})"
    for file in archive.tables[source.table].files():
        candidates = archive.engine.run(f"{_RECORDS} FROM raw WHERE {where}", {"raw": archive.lake.read([file])})
        for rows in _decoded(archive, shelf, candidates):
            accepted = rows.filter(pc.is_null(rows["_reject"]))
            if mine and accepted.num_rows:
                accepted = archive.engine.run(new, {"accepted": accepted, "raw": archive.lake.read(mine)})
            yield accepted


def _decoded(archive: Archive, shelf: Shelf, records: pa.Table) -> Iterator[pa.Table]:
    """Records as the shelf files them, in portions that the kernel can hold."""
    engine = archive.engine
    return in_portions(lambda one: engine.run(shelf.statement, {"records": one}), records, portion_bytes(engine))


def _of_topic(archive: Archive, shelf: Shelf, unclaimed: Shelf) -> str:
    """Records of one topic that the shelf's contract is read from; with its own, of files imported for it too."""
    (topic,), own = unclaimed.topics, shelf.topics[0]
    imports = [one.source for one in archive.history.imports.values() if one.contract == shelf.contract]
    listed = f" OR _source IN ({', '.join(map(literal, imports))})" if imports and topic == own else ""
    return f"(split_part(_source, '@', 1) = {literal(topic)}{listed})"


def _written(archive: Archive, shelf: Shelf, rows: pa.Table) -> Sequence[RawFile]:
    return write_raw(archive.engine, archive.lake, shelf.table, rows) if rows.num_rows else []


def _entry(archive: Archive, counts: dict[str, Counts]) -> Archived:
    return Archived(
        at=archive.clock(),
        claim=archive.writer.claim,
        start=archive.frontier,
        end=archive.frontier,
        tables={},
        dates={},
        counts={label: one for label, one in counts.items() if one != Counts()},
    )


def _count(counts: dict[str, Counts], label: str, more: Counts) -> None:
    counts[label] = counts.get(label, Counts()) + more
