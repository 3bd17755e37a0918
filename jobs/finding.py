"""Which records of a contract a field's values stand in: looked for in raw, by what each record decodes to.

A record that no text of the contract accepts has no fields. It is one of them where its bytes, or its key's, hold a
value as a word (of other types than text: after the field's own key). Copies of an event that is one of them are, too,
whatever they say themselves.

It takes a look at the field's column, and at the bytes of what another decoding has filed or rejected: time by the size
of raw, as there is no index of values.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.compute as pc

from seamline.entries.base import Counts
from seamline.entries.forget import FORGOTTEN
from seamline.errors import Condition, SeamlineError, UserError
from seamline.frontier import topic_of
from seamline.history.archive import ArchiveHistory
from seamline.kernel import Kernel, literal, quote
from seamline.lake import Lake
from seamline.portions import in_portions, portion_bytes
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.decode import decode_statement, filed_identity
from seamline.sides.raw import RawFile, raw_files

_POSITION = "_source, _partition, _offset"
_RECORDS = """SELECT _source AS source, _partition AS "partition", _offset AS "offset", _timestamp AS "timestamp",
  _key AS key, _value AS value, _reject IS NULL AS _stood"""
_SCALAR = frozenset({"string", "integer", "number", "decimal", "boolean", "date", "timestamp"})

FOUND = pa.schema(
    [
        ("_source", pa.string()),
        ("_partition", pa.int32()),
        ("_offset", pa.int64()),
        ("_id_hi", pa.uint64()),
        ("_id_lo", pa.uint64()),
        ("table", pa.string()),
        ("day", pa.date32()),
        ("accepted", pa.bool_()),
    ]
)
"""What is known of a record: where it stands, what tells its copies, the raw table and event date that it counts in (no
table: in none), and whether it does."""


@dataclass(frozen=True)
class ValuesSought:
    """What is looked for: a field of a contract, and values of its type as the kernel writes them."""

    contract: Contract
    field: str
    values: tuple[str, ...]

    @property
    def matches(self) -> str:
        """The condition on a row's own columns."""
        return f"{quote(self.field)}::VARCHAR IN ({', '.join(map(literal, self.values))})"

    def words(self) -> re.Pattern[bytes]:
        """What the bytes of a record hold that cannot be decoded."""
        field = self.contract.field(self.field)
        forms = {form for value in self.values for form in (value, json.dumps(value)[1:-1])}
        either = b"|".join(re.escape(form.encode()) for form in sorted(forms))
        before = rb"(?<!\w)"
        if field.type != "string":
            before = rb'"' + re.escape((field.source or field.name).encode()) + rb'"\s*:\s*"?'
        return re.compile(before + b"(?:" + either + rb")(?!\w)")


@dataclass(frozen=True)
class FoundRecords:
    """The records that hold them, as a request of the forget log says it."""

    rows: pa.Table
    """Like FORGOTTEN, one of each position."""

    dates: Mapping[str, tuple[date, ...]]
    days: Mapping[date, int]
    counts: Counts


def wanted(engine: Kernel, contract: Contract, field: str, values: Sequence[str]) -> ValuesSought:
    """Raises INPUT_INVALID where the contract has no such field, or a value is none of its type."""
    fields = {one.name: one for one in contract.fields if one.type in _SCALAR}
    if field not in fields:
        raise UserError(
            Condition.INPUT_INVALID,
            f"contract {contract.name} has no field {field!r} to go by",
            detail=", ".join(sorted(fields)),
            hint="name one field of one value of the contract",
        )
    kind, said = fields[field].sql_type, list[str]()
    for value in values:
        try:
            found = engine.run(f"SELECT ({literal(value)}::{kind})::VARCHAR AS v")["v"][0].as_py()
        except SeamlineError as error:
            raise UserError(
                Condition.INPUT_INVALID,
                f"{value!r} is no value of {field}, which is {kind}",
                hint="give values as the contract's type has them",
            ) from error
        said.append(str(found))
    return ValuesSought(contract, field, tuple(dict.fromkeys(said)))


def find(
    lake: Lake, engine: Kernel, archive: ArchiveHistory, texts: Sequence[Contract], asked: ValuesSought, unclaimed: str
) -> FoundRecords:
    """Looks through every raw table of the contract that the archive names, and what no contract claims (`unclaimed`).

    `texts`: every text by which the contract is decoded somewhere, the project's own first.
    """
    looking = _Looking(lake, engine, archive, _different(texts), asked)
    tables = [path for path in sorted(archive.tables) if Lake.contract_of(path) == asked.contract.name]
    own = {path: raw_files(lake, path, archive.tables[path]) for path in tables}
    found = [rows for path in tables for file in own[path] for rows in looking.through(file)]
    found += [
        rows for file in raw_files(lake, unclaimed, archive.tables.get(unclaimed)) for rows in looking.through(file)
    ]
    rows = _together(engine, found)
    ids = engine.run("SELECT DISTINCT _id_hi, _id_lo FROM found WHERE _id_hi IS NOT NULL", {"found": rows})
    days = set(rows.filter(rows["accepted"])["day"].to_pylist()) if ids.num_rows else set()
    copies = [copy for path in tables for file in own[path] if file.date in days for copy in looking.copies(file, ids)]
    return _said(engine, _together(engine, [rows, *copies]))


def _different(texts: Iterable[Contract]) -> tuple[Contract, ...]:
    return tuple({text.decoding: text for text in reversed([*texts])}.values())[::-1]


@dataclass(frozen=True)
class _Looking:
    """One look through raw."""

    lake: Lake
    engine: Kernel
    archive: ArchiveHistory
    texts: tuple[Contract, ...]
    asked: ValuesSought

    def through(self, file: RawFile) -> Iterator[pa.Table]:
        """The records of one file that are looked for, like FOUND."""
        columns = self._columns(file)
        for text in self._filed_by(columns):
            if self.asked.field in columns:
                yield self._filed(file, text, self.asked.matches)
        for records in self._others(file, columns):
            yield from self._decoded(file, records)

    def copies(self, file: RawFile, ids: pa.Table) -> Iterator[pa.Table]:
        """Accepted records of one file that are copies of these events."""
        columns, semi = self._columns(file), "SELECT found.* FROM found SEMI JOIN ids USING (_id_hi, _id_lo)"
        for text in self._filed_by(columns):
            if text.event_id in columns:
                yield self.engine.run(semi, {"found": self._filed(file, text, "true"), "ids": ids})
        for records in self._others(file, columns):
            for text in self.texts:
                for rows in self._by(text, records):
                    yield self.engine.run(semi, {"found": _as_found(rows, text), "ids": ids})

    def _columns(self, file: RawFile) -> frozenset[str]:
        return frozenset(self.lake.footer(file.path).schema.to_arrow_schema().names)

    def _filed_by(self, columns: frozenset[str]) -> list[Contract]:
        """The texts whose rows stand in a file as they are."""
        return [text for text in self.texts if {field.name for field in text.fields} <= columns]

    def _filed(self, file: RawFile, text: Contract, where: str) -> pa.Table:
        """Rows that a text has filed, by their own columns."""
        mine = f"_reject IS NULL AND _contract_version = {literal(text.decoding)}"
        columns = (
            f'{_POSITION}, {filed_identity(text)}, {literal(file.table)} AS "table",'
            f" DATE '{file.day}' AS day, true AS accepted"
        )
        statement = f"SELECT {columns} FROM raw WHERE {mine} AND ({where})"
        return self.engine.run(statement, {"raw": self.lake.read([file.path])}).cast(FOUND)

    def _others(self, file: RawFile, columns: frozenset[str]) -> list[pa.Table]:
        """The bytes of all other records that may be the contract's."""
        filed = [literal(text.decoding) for text in self._filed_by(columns)]
        own = f"_reject IS NULL AND _contract_version IN ({', '.join(filed)})" if filed else "false"
        records = self.engine.run(f"{_RECORDS} FROM raw WHERE NOT ({own})", {"raw": self.lake.read([file.path])})
        if Lake.contract_of(file.table) != self.asked.contract.name:
            records = records.filter(pc.is_in(records["source"], pa.array(sorted(self._sources(records)), pa.string())))
        return [records] if records.num_rows else []

    def _sources(self, records: pa.Table) -> Iterator[str]:
        """Those of unclaimed records that are of the contract's topics, or of files imported for it."""
        topics, name = {text.topic for text in self.texts}, self.asked.contract.name
        for source in records["source"].unique().to_pylist():
            imported = self.archive.imports.get(source)
            if topic_of(source) in topics or (imported is not None and imported.contract == name):
                yield source

    def _decoded(self, file: RawFile, records: pa.Table) -> Iterator[pa.Table]:
        """Of records that are decoded again those whose field has a value, and of those that no text accepts the ones
        whose bytes hold it."""
        rejected = records.select(["source", "partition", "offset"])
        for text in self.texts:
            for rows in self._by(text, records):
                places = rows.select(["_source", "_partition", "_offset"])
                rejected = self.engine.run(
                    "SELECT * FROM records ANTI JOIN places ON source = _source"
                    ' AND "partition" = _partition AND "offset" = _offset',
                    {"records": rejected, "places": places},
                )
                if self.asked.field in rows.column_names:
                    matched = f"SELECT * FROM rows WHERE {self.asked.matches}"
                    yield _as_found(self.engine.run(matched, {"rows": rows}), text)
        left = self.engine.run(
            "SELECT r.* FROM records AS r SEMI JOIN rejected AS j"
            ' ON r.source = j.source AND r."partition" = j."partition" AND r."offset" = j."offset"',
            {"records": records, "rejected": rejected},
        )
        yield self._holding(file, left)

    def _by(self, text: Contract, records: pa.Table) -> Iterator[pa.Table]:
        """Records that a text accepts, as it decodes them."""
        statement = f"SELECT * FROM ({decode_statement(text)}) WHERE _reject IS NULL"
        named = records.select(["source", "partition", "offset", "timestamp", "key", "value"])
        yield from in_portions(
            lambda one: self.engine.run(statement, {"records": one}), named, portion_bytes(self.engine)
        )

    def _holding(self, file: RawFile, records: pa.Table) -> pa.Table:
        """Records whose bytes hold a value, which count in no date."""
        words = self.asked.words()
        held = [
            any(body is not None and words.search(body) for body in (row["value"], row["key"]))
            for row in records.select(["value", "key"]).to_pylist()
        ]
        kept = records.filter(pa.array(held, pa.bool_()))
        nothing = [pa.nulls(kept.num_rows, field.type) for field in list(FOUND)[3:6]]
        days = pa.array([file.date] * kept.num_rows, pa.date32())
        places = [kept["source"].cast(pa.string()), kept["partition"].cast(pa.int32()), kept["offset"].cast(pa.int64())]
        return pa.table([*places, *nothing, days, pa.array([False] * kept.num_rows, pa.bool_())], schema=FOUND)


def _as_found(rows: pa.Table, text: Contract) -> pa.Table:
    """Decoded rows like FOUND, where the text files them."""
    columns = [rows[name] for name in (*FORGOTTEN, "_event_date")]
    of = pa.array([Lake.raw_path(text.name, text.layout)] * rows.num_rows, pa.string())
    yes = pa.array([True] * rows.num_rows, pa.bool_())
    return pa.table([*columns[:5], of, columns[5], yes], names=FOUND.names).cast(FOUND)


def _together(engine: Kernel, parts: Iterable[pa.Table]) -> pa.Table:
    rows = pa.concat_tables([FOUND.empty_table(), *parts])
    return engine.run("SELECT DISTINCT * FROM found", {"found": rows}).cast(FOUND)


def _said(engine: Kernel, rows: pa.Table) -> FoundRecords:
    """Each position with what tells its copies (in two layouts a record may be two events), and where they count."""
    ids = engine.run(f"SELECT DISTINCT {', '.join(FORGOTTEN)} FROM found ORDER BY ALL", {"found": rows})
    once = (
        f"SELECT {_POSITION}, bool_or(accepted) AS accepted, max(day) FILTER (WHERE accepted) AS day"
        f" FROM found GROUP BY {_POSITION}"
    )
    positions = engine.run(once, {"found": rows})
    dates: dict[str, set[date]] = {}
    for row in rows.filter(rows["accepted"]).group_by(["table", "day"]).aggregate([]).to_pylist():
        dates.setdefault(row["table"], set()).add(row["day"])
    counted = sum(positions["accepted"].to_pylist())
    days = positions.filter(positions["accepted"]).group_by("day").aggregate([([], "count_all")]).to_pylist()
    return FoundRecords(
        ids,
        {table: tuple(sorted(of)) for table, of in sorted(dates.items())},
        {row["day"]: row["count_all"] for row in sorted(days, key=lambda row: row["day"])},
        Counts(read=positions.num_rows, counted=counted, rejected=positions.num_rows - counted),
    )
