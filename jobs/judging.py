"""Whether two contracts judge every archived record alike: the bytes are looked at, each record once.

Takes time with the records in the archive: those that the older contract has filed are decoded once, by the newer one.
"""

from __future__ import annotations

from dataclasses import dataclass

from seamline.history.archive import ArchiveHistory
from seamline.jobs.conditions import own, records
from seamline.jobs.plan import table_of
from seamline.jobs.repack import repacked
from seamline.kernel import Kernel
from seamline.lake import Lake
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.decode import decode_statement
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


def compared(was: Contract, now: Contract) -> str:
    """The SELECT over `raw` that gives a record that both judge otherwise, or no row."""
    mine = own(was)
    place = "_source, _partition, _offset"
    return (
        f"WITH {records('raw', 'true')},\n"
        f"newer AS (SELECT {place}, _reject FROM (\n{decode_statement(now)}\n)),\n"
        f"older AS (\n  SELECT {place}, _reject FROM raw WHERE {mine}\n  UNION ALL\n"
        f"  SELECT {place}, _reject FROM (\n  WITH {records('raw', f'({mine}) IS NOT TRUE')}\n"
        f"  SELECT * FROM (\n{judged_statement(was)}\n)\n)\n)\n"
        f"SELECT {place}, coalesce(older._reject, '') AS was, coalesce(newer._reject, '') AS now\n"
        f"FROM older JOIN newer USING ({place})\n"
        "WHERE (older._reject IS NULL) <> (newer._reject IS NULL) LIMIT 1"
    )
