"""What of a raw table nobody reads any more: data files, and what Delta's log says of older versions.

A table is read at the version that the ledger's newest entry names, or at one that a reservation or a batch version
says it read: a *pin*. Needed are all that were the newest within `retention`, and the pins. Each commit says which
version the ledger named before it, so Delta's log alone tells what had been named when retention began.

What stands then follows retention and the pins, not the table's age: files of the versions needed and those younger
than one and a half retentions (no version may name them yet); of the log, everything since retention began, and for
each older pin the checkpoint before it and the commits from there: at most delta.checkpointInterval of them.

A look takes a listing of the table's folder, opens a version for each pin, and reads one commit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from seamline import objects
from seamline.entries.batch import Reserved, Version
from seamline.history.batch import BatchHistory
from seamline.lake import Lake
from seamline.sides.raw import files_of, opened

NAMED = "seamline.named"
"""In a commit's own words: the version that the ledger named before it."""

SLACK = timedelta(hours=1)
"""By how much the clocks of machines may differ."""

LOG = "_delta_log"
_LOGGED = re.compile(r"(\d{20})\.(json|checkpoint\.parquet)")


@dataclass(frozen=True)
class Standing:
    """The objects of a table's folder, as they were listed."""

    table: str
    """Its path in the lake."""

    files: Mapping[str, datetime]
    """Data files, by their paths in the lake, and when each was written."""

    commits: Mapping[int, datetime]
    """Versions whose commits stand, and when each was written."""

    checkpoints: frozenset[int]
    """Versions that a checkpoint stands for."""

    @classmethod
    def of(cls, lake: Lake, table: str) -> Standing:
        """Those of a table. Other objects than Delta's and the archive's are passed over."""
        files, commits, checkpoints = dict[str, datetime](), dict[int, datetime](), set[int]()
        for item in lake.listed(f"{table}/"):
            name = item["path"].removeprefix(f"{table}/")
            if logged := _LOGGED.fullmatch(name.removeprefix(f"{LOG}/")):
                version = int(logged[1])
                if logged[2] == "json":
                    commits[version] = item["last_modified"]
                else:
                    checkpoints.add(version)
            elif name.endswith(".parquet"):
                files[item["path"]] = item["last_modified"]
        return cls(table, files, commits, frozenset(checkpoints))

    def newest_before(self, when: datetime) -> int | None:
        """The newest version that was committed before."""
        return max((version for version, at in self.commits.items() if at < when), default=None)

    def base(self, version: int) -> int:
        """The checkpoint that a version is read from; -1: from the first commit on."""
        return max((one for one in self.checkpoints if one <= version), default=-1)

    def can_be_read(self, version: int) -> bool:
        """Whether the log says all of a version."""
        base = self.base(version)
        return (base >= 0 or version >= 0) and all(one in self.commits for one in range(base + 1, version + 1))

    def log_unneeded(self, oldest: int, pins: Collection[int]) -> list[str]:
        """What the log can do without: to read `oldest` and all that came after it, and the pins. In order."""
        base = self.base(oldest)
        islands = {pin: self.base(pin) for pin in pins}
        commits = {one for pin, of in islands.items() for one in range(of + 1, pin + 1)}
        gone = [commit(self.table, n) for n in sorted(self.commits) if n <= base and n not in commits]
        bases = {base, *islands.values()}
        going = sorted(n for n in self.checkpoints if n < base and n not in bases)
        return gone + [f"{self.table}/{LOG}/{n:020}.checkpoint.parquet" for n in going]


def commit(table: str, version: int) -> str:
    """The path of a version's commit."""
    return f"{table}/{LOG}/{version:020}.json"


def log_before(lake: Lake, table: str, version: int) -> list[str]:
    """What a table's log says of what stood before a version that a checkpoint stands for, in order. Nothing where that
    checkpoint is gone: a later one is there, and the vacuum goes by it."""
    stands = Standing.of(lake, table)
    if version not in stands.checkpoints:
        return []
    commits = [commit(table, n) for n in sorted(stands.commits) if n < version]  # writers ask for its own
    return commits + [f"{table}/{LOG}/{n:020}.checkpoint.parquet" for n in sorted(stands.checkpoints) if n < version]


def unneeded(lake: Lake, table: str, pins: Collection[int], now: datetime, retention: timedelta) -> list[str]:
    """What of a table can go: data files, then what its log says of older versions. Nothing, where it is younger than
    the retention. Deletes nothing."""
    stands = Standing.of(lake, table)
    newest = stands.newest_before(now - retention)
    oldest = None if newest is None else _named(lake, table, newest)
    if newest is None or oldest is None:
        return []
    older = {pin for pin in pins if pin < oldest and stands.can_be_read(pin)}
    since = [one for one in (*range(oldest, newest + 1), max(stands.commits)) if stands.can_be_read(one)]
    needed = set(_files(lake, table, [*older, *since]))
    old = [path for path, at in sorted(stands.files.items()) if now - at > retention * 1.5]
    return [path for path in old if path not in needed] + stands.log_unneeded(oldest, older)


def pinned(lake: Lake, now: datetime) -> dict[str, set[int]]:
    """By raw table, the versions that batch versions which are not withdrawn read, and runs that hold a reservation.

    It takes what reading every batch log takes.
    """
    found: dict[str, set[int]] = {}
    for definition in lake.batches():
        history = BatchHistory(lake.batch_log(definition))
        readers: list[Version | Reserved] = [*history.versions.values(), *history.held(now - SLACK)]
        for one in readers:
            for table, version in (one.tables or {}).items():
                found.setdefault(table, set()).add(version)
    return found


def _named(lake: Lake, table: str, version: int) -> int | None:
    """Which version the ledger had named before one was committed; None where its commit does not say."""
    body = objects.get(lake.store, commit(table, version)) or b""
    said = (json.loads(line).get("commitInfo", {}).get(NAMED) for line in body.splitlines())
    return next((min(int(one), version) for one in said if one is not None), None)


def _files(lake: Lake, table: str, versions: Iterable[int]) -> Iterator[str]:
    """Of some versions, by their paths in the lake."""
    for version in versions:
        yield from (file.path for file in files_of(opened(lake, table, version), table))
