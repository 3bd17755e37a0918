"""Rejected records: which there are, why, since when, and their bytes, in the raw tables as the ledger names them.

What a mended contract accepts is filed under its date by the archive, and is no part of it any more."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from seamline.errors import Condition, UserError
from seamline.history.archive import ArchiveHistory
from seamline.kernel import Kernel, literal
from seamline.lake import RAW, UNCLAIMED, Lake
from seamline.schemas.project import Project
from seamline.schemas.views.language import close
from seamline.sides.raw import raw_files

SHOWN = 4096
"""Bytes of a value that are shown."""

_POSITION = "_source, _partition, _offset"


@dataclass(frozen=True)
class Rejects:
    """Records of one contract that are rejected for one reason."""

    contract: str
    """`_unclaimed`: those of a topic that no contract claims."""

    reason: str
    records: int

    first: datetime | None
    last: datetime | None
    """By Kafka's timestamps."""


@dataclass(frozen=True)
class Rejected:
    """One rejected record."""

    contract: str
    topic: str
    """Or the source of an import."""

    partition: int
    offset: int
    timestamp: datetime | None
    reason: str

    value: bytes | None

    @property
    def words(self) -> str:
        """Its value as text, as far as it is some, and not all of it where it is long."""
        if self.value is None:
            return "(null)"
        text = self.value[:SHOWN].decode("utf-8", "backslashreplace")
        return text + (f"… ({len(self.value)} bytes)" if len(self.value) > SHOWN else "")

    def line(self) -> str:
        """One JSON object: the value as text, or in base64 where it is none."""
        said: dict[str, Any] = {
            "contract": self.contract, "topic": self.topic, "partition": self.partition, "offset": self.offset,
            "timestamp": self.timestamp.isoformat() if self.timestamp else None, "reason": self.reason,
        }  # fmt: skip
        try:
            said["value"] = None if self.value is None else self.value.decode()
        except UnicodeDecodeError:
            said["value_base64"] = base64.b64encode(self.value or b"").decode()
        return json.dumps(said, ensure_ascii=False)


@dataclass(frozen=True)
class _Table:
    """A raw table, and what is rejected in it."""

    contract: str
    decoding: str
    """The contract's now; '' where it has none."""

    every: tuple[str, ...]
    """Its files."""

    rejecting: tuple[str, ...]
    """Those that may hold rejected records."""


def rejects(project: Project, contract: str | None = None) -> list[Rejects]:
    """What is rejected, the most first. Takes time by the files that hold rejected records; where older decodings have
    rejected some, also by the table's positions. Raises CONTRACT_UNKNOWN."""
    summed = "_reject AS reason, count(*) AS records, min(_timestamp) AS first, max(_timestamp) AS last"
    found = [
        Rejects(table.contract, *row.values())
        for table in _tables(project, contract)
        for row in _run(project, table, f"SELECT {summed} FROM standing GROUP BY ALL")
    ]
    by_reason: dict[tuple[str, str], Rejects] = {}
    for one in found:  # a contract has a table for each of its layouts
        key = one.contract, one.reason
        by_reason[key] = _added(by_reason[key], one) if key in by_reason else one
    return sorted(by_reason.values(), key=lambda one: (-one.records, one.contract, one.reason))


def _added(one: Rejects, other: Rejects) -> Rejects:
    firsts = [at for at in (one.first, other.first) if at]
    lasts = [at for at in (one.last, other.last) if at]
    records = one.records + other.records
    return Rejects(one.contract, one.reason, records, min(firsts, default=None), max(lasts, default=None))


def trend(project: Project, contract: str | None = None) -> list[dict[str, Any]]:
    """How many came when: by contract, reason, and the hour of Kafka's timestamps. Raises CONTRACT_UNKNOWN."""
    hour = "time_bucket(INTERVAL '1 hour', _timestamp) AS hour"
    statement = f"SELECT {hour}, _reject AS reason, count(*) AS records FROM standing GROUP BY ALL"
    found = [
        {"contract": table.contract, **row}
        for table in _tables(project, contract)
        for row in _run(project, table, statement)
    ]
    return sorted(found, key=lambda one: (str(one["hour"]), one["contract"], one["reason"]))


def records(project: Project, contract: str | None, reason: str | None, most: int | None) -> Iterator[Rejected]:
    """Rejected records, by contract the newest first; `reason`: what theirs begins with. Raises CONTRACT_UNKNOWN."""
    where = f"WHERE starts_with(_reject, {literal(reason)})" if reason else ""
    limit = f"LIMIT {most}" if most is not None else ""
    columns = f"{_POSITION}, _timestamp, _reject, _value"
    statement = f"SELECT {columns} FROM standing {where} ORDER BY _timestamp DESC, {_POSITION} {limit}"
    for table in _tables(project, contract):
        for row in _run(project, table, statement):
            source, partition, offset, at, why, value = row.values()
            yield Rejected(table.contract, source.partition("@")[0], partition, offset, at, why, value)


def _run(project: Project, table: _Table, statement: str) -> list[dict[str, Any]]:
    """A statement over `standing`: the table's rejected records, each once, that it has not accepted since."""
    if not table.rejecting:
        return []
    engine, lake = _engine(project), project.lake
    inputs = {"rejecting": lake.read(list(table.rejecting)), "every": lake.read(list(table.every))}
    own = f"_contract_version = {literal(table.decoding)}"
    one = f"QUALIFY row_number() OVER (PARTITION BY {_POSITION} ORDER BY {own} DESC) = 1"
    accepted = f"SELECT {_POSITION} FROM every WHERE _reject IS NULL"
    rejected = f"SELECT * FROM rejecting WHERE _reject IS NOT NULL {one}"
    older = engine.run(f"SELECT count(*) AS n FROM ({rejected}) WHERE NOT ({own})", inputs)["n"][0].as_py()
    standing = f"SELECT * FROM rejected ANTI JOIN accepted USING ({_POSITION})" if older else "FROM rejected"
    ctes = [f"rejected AS ({rejected})", *([f"accepted AS ({accepted})"] if older else []), f"standing AS ({standing})"]
    return list(engine.run(f"WITH {', '.join(ctes)}\n{statement}", inputs).to_pylist())


def _engine(project: Project) -> Kernel:
    kernel = project.settings.kernel
    return project.lake.kernel(kernel.memory, kernel.threads)


def _tables(project: Project, contract: str | None) -> list[_Table]:
    """The raw tables of every stream, or of one contract. Raises CONTRACT_UNKNOWN."""
    found = []
    for stream in project.streams:
        tables = ArchiveHistory(project.lake.archive_log(stream)).tables
        found += [_table(project, path, version) for path, version in sorted(tables.items()) if _is_now(project, path)]
    if contract is None or any(one.contract == contract for one in found):
        return [one for one in found if contract in (None, one.contract)]
    if contract in (*project.contracts, UNCLAIMED):
        return []
    names = sorted({*project.contracts, *(one.contract for one in found)})
    raise UserError(
        Condition.CONTRACT_UNKNOWN,
        f"contract {contract!r}",
        detail=", ".join(names) or "(none)",
        hint=f"{close(contract, names)}'seamline quarantine' lists what is rejected",
    )


def _is_now(project: Project, path: str) -> bool:
    """Whether a table is not of a contract that has another by now: that was filled from it, and says all it does."""
    contract = project.contracts.get(contract_of(path))
    return contract is None or Lake.raw_path(contract.name, contract.layout) == path


def _table(project: Project, path: str, version: int) -> _Table:
    files, contract = raw_files(project.lake, path, version), project.contracts.get(contract_of(path))
    every, rejecting = (file.path for file in files), (file.path for file in files if file.rejects)
    return _Table(contract_of(path), contract.decoding if contract else "", tuple(every), tuple(rejecting))


def contract_of(path: str) -> str:
    """Whose raw table it is: a contract's name, or `_unclaimed`."""
    name = path.removeprefix(RAW)
    return UNCLAIMED if name.startswith(f"{UNCLAIMED}-") else name.rpartition("-")[0]
