"""What stands rejected in the raw tables as the ledger names them, for statements over it.

What a mended contract accepts is filed under its date by the archive, and stands rejected no more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from seamline.errors import Condition, UserError
from seamline.history.archive import ArchiveHistory
from seamline.kernel import Given, Kernel, literal
from seamline.lake import RAW, UNCLAIMED, Lake
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.project import Project
from seamline.schemas.views.language import close
from seamline.sides.raw import raw_files

ROWS, BYTES = 10_000, 8 << 20
"""Records, and bytes of their values where there are several, that are held at once."""

POSITION = "_source, _partition, _offset"


@dataclass(frozen=True)
class RejectingTable:
    """A raw table, and what is rejected in it."""

    contract: str
    now: Contract | None
    """As it is now; None where it is none, or in the project no more."""

    every: tuple[str, ...]
    """Its files."""

    rejecting: tuple[str, ...]
    """Those that may hold rejected records."""

    masks: bool
    """Whether nothing of its records may be shown, since no contract says what of it is secret."""

    @property
    def decoding(self) -> str:
        return self.now.decoding if self.now else ""


def portions_of(project: Project, table: RejectingTable, statement: str) -> Iterator[dict[str, Any]]:
    """The rows of a statement over `standing`: sorted where the kernel can spill, and fetched as many as BYTES hold."""
    if not table.rejecting:
        return
    engine = _engine(project)
    standing, inputs = _standing(project, table, engine)
    numbered = f"{standing}\nSELECT *, row_number() OVER () AS _n FROM (\n{statement}\n)"
    with engine.scratch(numbered, inputs) as rows:
        first = 1
        while True:
            some = f"FROM rows WHERE _n >= {first} AND _n < {first + ROWS} ORDER BY _n"
            sizes = engine.run(f"SELECT coalesce(octet_length(_value), 0) AS n {some}", {"rows": rows})["n"].to_pylist()
            fitting = max(1, sum(1 for size in accumulate(sizes) if size <= BYTES))
            if not sizes:
                return
            yield from engine.run(f"SELECT * EXCLUDE (_n) {some} LIMIT {fitting}", {"rows": rows}).to_pylist()
            first += min(fitting, len(sizes))


def rows_of(project: Project, table: RejectingTable, statement: str) -> list[dict[str, Any]]:
    """A statement over `standing`: the table's rejected records, each once, that it has not accepted since."""
    if not table.rejecting:
        return []
    engine = _engine(project)
    standing, inputs = _standing(project, table, engine)
    return list(engine.run(f"{standing}\n{statement}", inputs).to_pylist())


def _standing(project: Project, table: RejectingTable, engine: Kernel) -> tuple[str, dict[str, Given]]:
    lake = project.lake
    inputs: dict[str, Given] = {"rejecting": lake.read(list(table.rejecting)), "every": lake.read(list(table.every))}
    own = f"_contract_version = {literal(table.decoding)}"
    one = f"QUALIFY row_number() OVER (PARTITION BY {POSITION} ORDER BY {own} DESC) = 1"
    accepted = f"SELECT {POSITION} FROM every WHERE _reject IS NULL"
    rejected = f"SELECT * FROM rejecting WHERE _reject IS NOT NULL {one}"
    older = engine.run(f"SELECT count(*) AS n FROM ({rejected}) WHERE NOT ({own})", inputs)["n"][0].as_py()
    standing = f"SELECT * FROM rejected ANTI JOIN accepted USING ({POSITION})" if older else "FROM rejected"
    ctes = [f"rejected AS ({rejected})", *([f"accepted AS ({accepted})"] if older else []), f"standing AS ({standing})"]
    return f"WITH {', '.join(ctes)}", inputs


def _engine(project: Project) -> Kernel:
    kernel = project.settings.kernel
    return project.lake.kernel(kernel.memory, kernel.threads)


def rejecting_tables(project: Project, contract: str | None) -> list[RejectingTable]:
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


def _table(project: Project, path: str, version: int) -> RejectingTable:
    files, name = raw_files(project.lake, path, version), contract_of(path)
    every, rejecting = (file.path for file in files), (file.path for file in files if file.rejects)
    now = project.contracts.get(name)
    hides = any(one.hidden for one in project.contracts.values())
    masks = now is None and (hides or name != UNCLAIMED)
    return RejectingTable(name, now, tuple(every), tuple(rejecting), masks)


def contract_of(path: str) -> str:
    """Whose raw table it is: a contract's name, or `_unclaimed`."""
    name = path.removeprefix(RAW)
    return UNCLAIMED if name.startswith(f"{UNCLAIMED}-") else name.rpartition("-")[0]
