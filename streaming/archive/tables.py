"""Writing raw tables: the kernel writes their Parquet files in place. The Delta rim.

Files first, invisible; a Delta commit makes them part of a table's newest version; only the ledger's entry, which names
that version, makes them part of the archive. A table that is ahead of the ledger is restored.

A writer knows no version but those it made itself, after the one that it restored: each of its commits must come right
after the last, and carries its claim, which a commit under an older claim then conflicts with.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction

from seamline.attempts import new_attempt
from seamline.errors import Condition, ConflictError, TransientError
from seamline.kernel import Kernel
from seamline.lake import Lake
from seamline.ledger import Writer
from seamline.objects import unavailable
from seamline.sides.raw import DATE, REJECT, RawFile, exists, files_of, opened
from seamline.streaming.archive.vacuum import NAMED

UNMAPPED = "delta.columnMapping.mode"

CONFIGURATION = {
    "delta.checkpointInterval": "100",
    "delta.enableExpiredLogCleanup": "false",
    "delta.deletedFileRetentionDuration": "interval 0 seconds",
    "delta.enableDeletionVectors": "false",
    UNMAPPED: "none",
    "delta.dataSkippingStatsColumns": REJECT,
}
"""Plain Parquet files with their own column names: the kernel reads them without Delta. Delta's log, which outlasts the
files, says how many rows of each were rejected, and no value of any other column.

A checkpoint holds the files that stand and nothing of those that went, so it does not grow with commits. What goes, of
files and of the log, the archive alone decides (vacuum.py): Delta knows nothing of who reads an older version."""


KEEPING_LOG = PostCommitHookProperties(cleanup_expired_logs=False)
"""A commit that no entry names yet must not drop what Delta's log says of the version that one does name."""


@dataclass(frozen=True)
class Fence:
    """What a writer's commits to raw tables carry."""

    log: str
    """Its log's name."""

    claim: int
    """The number of its claim there."""

    check: Callable[[], None] = field(repr=False)
    """Raises WRITER_CONFLICT where the claim is lost."""

    named: Callable[[str], int] = field(repr=False)
    """The version of a table that the ledger names, as far as the writer knows."""

    @classmethod
    def of(cls, writer: Writer, named: Callable[[str], int] = lambda _: 0) -> Fence:
        """Of a log's one writer."""
        return cls(writer.log.name, writer.claim, writer.check, named)

    @property
    def app(self) -> str:
        """The id of Delta's application transaction."""
        return f"seamline/{self.log}"

    def properties(self, table: str) -> CommitProperties:
        """For a commit. Delta lets no two commits of one application stand that did not know of each other."""
        said = {NAMED: str(self.named(table))}
        return CommitProperties(custom_metadata=said, app_transactions=[Transaction(self.app, self.claim)])


def write_raw(engine: Kernel, lake: Lake, table: str, rows: pa.Table) -> list[RawFile]:
    """Decoded rows (with `_event_date`) as one Parquet file for each event date."""
    files: list[RawFile] = []
    for day in pc.unique(rows[DATE]).to_pylist():
        path = f"{table}/{DATE}={day.isoformat()}/{new_attempt()}.parquet"
        statement = f"SELECT * EXCLUDE ({DATE}) FROM rows WHERE {DATE} = DATE '{day.isoformat()}'"
        written = lake.write(engine, statement, {"rows": rows}, path)
        here = rows.filter(pc.equal(rows[DATE], day)) if files or written < rows.num_rows else rows
        files.append(RawFile(table, path, day.isoformat(), lake.size(path), written, here[REJECT].null_count))
    return files


@dataclass(frozen=True)
class Rewritten:
    """What stands in a file's place."""

    former: RawFile

    file: RawFile | None
    """None: nothing is left of it."""

    gone: pa.Table
    """The positions that it held of records that are forgotten, and whether they were accepted."""


Joined: TypeAlias = tuple[Sequence[RawFile], RawFile]
"""Files, and the one that holds their rows."""


class RawTable:
    """One raw table: at a version, to be read; or at the newest that its writer, who has a `fence`, made of it."""

    def __init__(
        self,
        lake: Lake,
        path: str,
        schema: pa.Schema | None = None,
        version: int | None = None,
        fence: Fence | None = None,
    ) -> None:
        """Opens the table (to read it, at `version`); makes it, empty, as version 0, where `schema` is given.

        Raises WRITER_CONFLICT where another process makes it at the same time.
        """
        self.lake = lake
        self.path = path
        self.fence = fence
        uri = lake.absolute(path)
        if schema is None or exists(lake, path):
            self._delta = opened(lake, path, version)
            return
        try:
            self._delta = DeltaTable.create(
                uri, schema, partition_by=[DATE], configuration=CONFIGURATION, commit_properties=self._carried
            )
        except DeltaError as error:
            if not exists(lake, path):
                raise
            raise self._conflict("is made already") from error
        except OSError as error:
            raise _no_room(error, path) from error

    @property
    def version(self) -> int:
        """The newest version that this writer made or restored, or the one that is read."""
        return int(self._delta.version())

    @property
    def _carried(self) -> CommitProperties | None:
        return self.fence.properties(self.path) if self.fence else None

    def restore(self, version: int) -> bool:
        """Makes the rows what they were at `version`, as a version of its own; False where they are.

        Afterwards no commit under an older claim comes to stand. Raises WRITER_CONFLICT where the claim is lost, or
        another process writes meanwhile. Dying here is harmless: the ledger goes on naming `version`, and the next
        start does this again.
        """
        self._delta.update_incremental()
        if self.fence:
            self.fence.check()  # so what was just seen is of no later claim, and what one does now is a conflict
        if self.version != version:
            with self._commit():
                self._delta.restore(version, commit_properties=self._carried, post_commithook_properties=KEEPING_LOG)
            return True
        if self.fence and self._delta.transaction_version(self.fence.app) != self.fence.claim:
            with self._commit():
                self._write([])
        return False

    def fit(self, schema: pa.Schema) -> tuple[str, ...]:
        """Adds columns and properties that the table lacks; returns columns that it has with another type.

        Raises WRITER_CONFLICT where another process wrote meanwhile, as all that writes does.
        """
        stands = {UNMAPPED: "none", **self._delta.metadata().configuration}  # so it is where nothing is said
        lacking = {name: value for name, value in CONFIGURATION.items() if stands.get(name) != value}
        if lacking:
            with self._commit():
                self._delta.alter.set_table_properties(
                    lacking, commit_properties=self._carried, post_commithook_properties=KEEPING_LOG
                )
        mine = {field.name.lower() for field in self._delta.schema().fields}
        missing = [field for field in Schema.from_arrow(schema).fields if field.name.lower() not in mine]
        if missing:
            with self._commit():
                self._delta.alter.add_columns(
                    missing, commit_properties=self._carried, post_commithook_properties=KEEPING_LOG
                )
        return clashing(self._delta, schema)

    def add(self, files: Sequence[RawFile]) -> int:
        """Commits files in one version and returns it."""
        with self._commit():
            self._write([self._added(file, changes=True) for file in files])
        return self.version

    def _added(self, file: RawFile, *, changes: bool) -> AddAction:
        name, now = file.path.removeprefix(f"{self.path}/"), int(time.time() * 1000)
        return AddAction(name, file.size, {DATE: file.day}, now, changes, _stats(file))

    def _removed(self, file: RawFile, *, changes: bool = False) -> RemoveAction:
        name, now = file.path.removeprefix(f"{self.path}/"), int(time.time() * 1000)
        return RemoveAction(name, changes, now, file.size, {DATE: file.day})

    def _write(self, actions: list[AddAction | RemoveAction]) -> None:
        self._delta.create_write_transaction(
            actions,
            "append",
            self._delta.schema(),
            [DATE],
            commit_properties=self._carried,
            post_commithook_properties=KEEPING_LOG,
        )

    @contextmanager
    def _commit(self) -> Iterator[None]:
        """One commit, made in the block. Raises WRITER_CONFLICT where it is not the very next version."""
        expected = self.version + 1
        with self._conflicts():
            yield
        self._follow(expected)

    @contextmanager
    def _conflicts(self) -> Iterator[None]:
        try:
            yield
        except CommitFailedError as error:
            raise self._conflict(f"has versions after {self.version} that this process did not make") from error
        except OSError as error:
            raise _no_room(error, self.path) from error

    def _follow(self, expected: int) -> None:
        self._delta.update_incremental()
        if self.version != expected:
            raise self._conflict(f"came to version {self.version}, not {expected}")

    def _conflict(self, what: str) -> ConflictError:
        return ConflictError(
            Condition.WRITER_CONFLICT,
            f"raw table {self.path} {what}: another process wrote it",
            detail="one archive process a stream",
            hint="stop the other one; on the next start the table is restored to what the ledger names",
            where=self.path,
        )

    def log_files(self, since: int) -> Iterator[str]:
        """What Delta's log holds of the versions after `since`, relative to the lake: commits, checkpoints."""
        log, numbers = f"{self.path}/_delta_log", range(since + 1, self.version + 1)
        checkpoints = [f"{log}/{n:020}.checkpoint.parquet" for n in numbers]
        made = [path for path in checkpoints if self.lake.exists(path)]
        yield from [*(f"{log}/{n:020}.json" for n in numbers), *made, *([f"{log}/_last_checkpoint"] if made else [])]

    def files(self, day: str | None = None) -> list[str]:
        """Paths of its files relative to the lake, of one event date or of all."""
        return [one.path for one in self.listed if day is None or one.day == day]

    def days(self) -> list[str]:
        """Its event dates."""
        return sorted({one.day for one in self.listed})

    def of_days(self, days: Iterable[str]) -> dict[str, list[RawFile]]:
        """The files of some event dates, by date."""
        found: dict[str, list[RawFile]] = {day: [] for day in days}
        for one in files_of(self._delta, self.path, found):
            found[one.day].append(one)
        return found

    def join(self, files: Sequence[RawFile]) -> RawFile:
        """Writes the rows of some files of one date into one that no version names yet. Raises TransientError
        STORE_UNAVAILABLE."""
        day = files[0].day
        path = f"{self.path}/{DATE}={day}/{new_attempt()}.parquet"
        self.lake.join([file.path for file in files], path)
        counted = [file.accepted for file in files if file.accepted is not None]
        accepted = sum(counted) if len(counted) == len(files) else None
        return RawFile(self.path, path, day, self.lake.size(path), sum(file.rows for file in files), accepted)

    def swap(self, joined: Iterable[Joined]) -> int:
        """Commits files in the place of those whose rows they hold, in one version, which is returned."""
        actions: list[AddAction | RemoveAction] = []
        for former, file in joined:
            actions += [self._removed(one) for one in former]
            actions.append(self._added(file, changes=False))
        with self._commit():
            self._write(actions)
        return self.version

    def exchange(self, rewritten: Iterable[Rewritten]) -> int:
        """Commits files in the place of others that hold more rows, in one version, which is returned, and which a
        checkpoint stands for: so nothing older is needed to read it."""
        actions: list[AddAction | RemoveAction] = []
        for one in rewritten:
            actions.append(self._removed(one.former, changes=True))
            actions += [self._added(one.file, changes=True)] if one.file else []
        with self._commit():
            self._write(actions)
        self._delta.create_checkpoint()
        return self.version

    def remove(self, files: Sequence[RawFile]) -> int:
        """Commits that files are no part of the table any more, in one version, which is returned. They stay where they
        are for who reads older versions."""
        with self._commit():
            self._write([self._removed(file, changes=True) for file in files])
        return self.version

    @property
    def listed(self) -> tuple[RawFile, ...]:
        """All its files."""
        return files_of(self._delta, self.path)


_DRAWN = re.compile(r"\x1b\[\d*m|↳")
"""What Delta puts between the lines of an error."""


def _no_room(error: OSError, path: str) -> TransientError:
    """The store failed Delta's commit, as a full disk does: nothing stands, or the next start restores the table."""
    lines = [line.strip() for line in _DRAWN.sub("", str(error)).splitlines()]
    return unavailable(OSError(": ".join(filter(None, lines))), path)


def clashing_columns(lake: Lake, path: str, schema: pa.Schema) -> tuple[str, ...]:
    """Columns of `schema` that a table, where there is one, has with another type."""
    return clashing(opened(lake, path), schema) if exists(lake, path) else ()


def clashing(table: DeltaTable, schema: pa.Schema) -> tuple[str, ...]:
    """Columns that a table has with another type than `schema`."""
    mine = {field.name.lower(): field.type for field in table.schema().fields}
    wanted = Schema.from_arrow(schema).fields
    return tuple(f.name for f in wanted if f.name.lower() in mine and mine[f.name.lower()] != f.type)


def files_table(files: Sequence[RawFile]) -> pa.Table:
    """Files as Arrow, to travel from a task to the driver."""
    return pa.Table.from_pylist([asdict(file) for file in files])


def _stats(file: RawFile) -> str:
    """What readers may skip a file by: its rows, and how many were not rejected, where that is known."""
    counted = {} if file.accepted is None else {"nullCount": {REJECT: file.accepted}}
    return json.dumps({"numRecords": file.rows, **counted})
