"""Whether two contracts judge every archived record alike: the bytes are looked at, each record once.

Takes time with the records in the archive: those that the older contract has filed are decoded once, by the newer one.
"""

from __future__ import annotations

from dataclasses import dataclass

from seamline.history.archive import ArchiveHistory
from seamline.jobs.conditions import own, records
from seamline.jobs.plan import table_of
from seamline.jobs.repack import repacked
from seamline.kernel import Kernel, literal
from seamline.lake import Lake
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.decode import DATE_GONE, decode_statement
from seamline.schemas.contracts.judged import judged_statement
from seamline.sides.raw import raw_files


@dataclass(frozen=True)
class JudgedOtherwise:
    """A record that two contracts judge otherwise."""

    source: str
    partition: int
    offset: int

    was: str
    """Why the older one rejects it, or ''."""

    now: str
    """Why the newer one does, or ''."""

    @property
    def words(self) -> str:
        """In a line."""
        verdict = f"rejected ({self.now})" if self.now else f"accepted, which was rejected ({self.was})"
        return f"{self.source}/{self.partition}:{self.offset} would be {verdict}"


NOT_ITS = "not an event of it any more"


@dataclass(frozen=True)
class VerdictChanged:
    """Archived records that another contract would judge otherwise, alike."""

    was: str
    """Why they are rejected, or ''."""

    now: str
    """Why they would be, or ''; NOT_ITS where they would be another contract's, or nobody's."""

    records: int

    first: str
    """The position of the first of them."""


def judged_otherwise(lake: Lake, engine: Kernel, was: Contract, now: Contract) -> JudgedOtherwise | None:
    """The first archived record that is; None where there is none. Both file in the same raw table."""
    table = table_of(now)
    version = ArchiveHistory(lake.archive_log(now.stream)).tables.get(table)
    statement, folder = compared(was, now), lake.batch_path("judged", now.name, "").rpartition("/")[0]
    for file in raw_files(lake, table, version):
        inputs = {"raw": lake.read([file.path])}
        found = repacked(lake, engine, inputs, lambda given: engine.run(statement, given), folder).to_pylist()
        if found:
            return JudgedOtherwise(*found[0].values())
    return None


def verdicts_changed(lake: Lake, engine: Kernel, was: Contract, now: Contract) -> tuple[VerdictChanged, ...]:
    """How many archived records of a contract another one would judge otherwise, by both reasons, the most first. Each
    record once, wherever it stands. Takes time as `judged_otherwise` does where that finds nothing."""
    table = table_of(was)
    version = ArchiveHistory(lake.archive_log(was.stream)).tables.get(table)
    folder = lake.batch_path("judged", now.name, "").rpartition("/")[0]
    files = raw_files(lake, table, version)
    accepting = [file.path for file in files if file.accepted != 0]
    statement, found = _counted(was, now), dict[tuple[str, str], tuple[int, tuple[str, int, int]]]()
    for file in files:
        inputs = {"raw": lake.read([file.path]), "accepting": lake.read(accepting or [file.path])}
        for row in repacked(lake, engine, inputs, lambda given: engine.run(statement, given), folder).to_pylist():
            key, place = (row["was"], row["now"]), (row["source"], row["number"], row["first"])
            records, first = found.get(key, (0, place))
            found[key] = records + row["n"], min(first, place)
    changed = [
        VerdictChanged(old, new, records, f"{source}/{number}:{offset}")
        for (old, new), (records, (source, number, offset)) in found.items()
    ]
    return tuple(sorted(changed, key=lambda one: (-one.records, one.was, one.now)))


def _counted(was: Contract, now: Contract) -> str:
    """The SELECT over `raw`, a file, and `accepting`, the table: what an older decoding rejected and a newer one has
    accepted since stands twice, and counts where it is accepted."""
    place = "_source, _partition, _offset"
    again = f"SELECT {place} FROM raw WHERE _reject IS NOT NULL AND ({own(was)}) IS NOT TRUE"
    twice = f"SELECT {place} FROM accepting SEMI JOIN again USING ({place}) WHERE _reject IS NULL"
    first = f"arg_min(({place}), ({place}))"
    return (
        f"{_verdicts(was, decode_statement(now))},\nagain AS ({again}),\ntwice AS ({twice}),\n"
        f"compared AS (SELECT {place}, coalesce(older._reject, '') AS was,\n"
        f"  CASE WHEN newer._source IS NULL THEN {literal(NOT_ITS)} ELSE coalesce(newer._reject, '') END AS now\n"
        f"  FROM (FROM older ANTI JOIN twice USING ({place})) AS older LEFT JOIN newer USING ({place})\n"
        f"  WHERE {_judged('older')})\n"
        "SELECT was, now, count(*) AS n, first[1] AS source, first[2] AS number, first[3] AS first FROM (\n"
        f"  SELECT *, {first} OVER (PARTITION BY was, now) AS first FROM compared WHERE (was = '') <> (now = ''))\n"
        "GROUP BY ALL ORDER BY ALL"
    )


def compared(was: Contract, now: Contract) -> str:
    """The SELECT over `raw` that gives a record that both judge otherwise, or no row."""
    place = "_source, _partition, _offset"
    return (
        f"{_verdicts(was, decode_statement(now))}\n"
        f"SELECT {place}, coalesce(older._reject, '') AS was, coalesce(newer._reject, '') AS now\n"
        f"FROM older JOIN newer USING ({place})\n"
        f"WHERE (older._reject IS NULL) <> (newer._reject IS NULL) AND {_judged('older')} LIMIT 1"
    )


def _judged(rows: str) -> str:
    """The condition that a contract has judged a record: what came for a date that was gone, the archive has."""
    return f"{rows}._reject IS DISTINCT FROM {literal(DATE_GONE)}"


def _verdicts(was: Contract, newer: str) -> str:
    """CTEs over `raw`: what the older one says of each record, `older`, and the newer one, `newer`."""
    mine = own(was)
    place = "_source, _partition, _offset"
    return (
        f"WITH {records('raw', 'true')},\n"
        f"newer AS (SELECT {place}, _reject FROM (\n{newer}\n)),\n"
        f"older AS (\n  SELECT {place}, _reject FROM raw WHERE {mine}\n  UNION ALL\n"
        f"  SELECT {place}, _reject FROM (\n  WITH {records('raw', f'({mine}) IS NOT TRUE')}\n"
        f"  SELECT * FROM (\n{judged_statement(was)}\n)\n)\n)"
    )
