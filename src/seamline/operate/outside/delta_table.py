"""One Delta table that holds a view's batch version, each the overwrite of the one before, in one commit.

What is published is read back from Delta's own log: a commit carries its mark. So a publisher that was killed goes on
from there, and of two at once one commits, and the other sees that it has.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema, TableFeatures
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, create_table_with_add_actions
from pyarrow import parquet

from seamline.attempts import new_attempt
from seamline.commitpoint import reach
from seamline.errors import Condition, ConflictError, UserError
from seamline.objects import unavailable
from seamline.operate.outside.marks import DeltaBase, Mark
from seamline.schemes import filesystem, scheme

ROWS = 1_000_000
"""Of one file at most, about."""

ATTEMPTS = 8
"""How often a commit is decided again, where others were first."""

KEPT_HOURS = 168
"""How long what was overwritten can be read, by its number."""

CLEARED_EVERY = 20
"""Commits after which files go that are older."""

HARMLESS = frozenset(["VACUUM START", "VACUUM END", "OPTIMIZE", "ADD FEATURE", "SET TBLPROPERTIES", "FSCK"])
"""What others may commit: it changes no row."""

NTZ = pa.timestamp("us")
"""A time without a zone: Delta wants a feature for it."""

LOOKED_AT = 8
"""Commits among which the newest mark mostly is."""


@dataclass(frozen=True)
class HeldVersion:
    """A version that the table holds."""

    base: DeltaBase
    mark: Mark

    rows: int | None
    """That this run has written; None: it stood already."""


@dataclass(frozen=True)
class ViewTable:
    """The table at a path or URI."""

    uri: str

    def newest(self) -> HeldVersion | None:
        """What it holds; None where it was never made. Raises INPUT_INVALID where it is another's."""
        return self._marked(self._opened())

    def hold(self, mark: Mark, rows: Callable[[], Iterable[pa.Table]]) -> HeldVersion:
        """Makes the table hold these rows (all of one schema, one table at least), where it does not.

        Raises INPUT_INVALID where it is another's, LEDGER_CONFLICT where it holds a later state of the view,
        STORE_UNAVAILABLE.
        """
        files: list[AddAction] = []
        schema: pa.Schema | None = None
        for _ in range(ATTEMPTS):
            table = self._opened()
            stands = self._marked(table)
            if stands is not None and stands.mark.view != mark.view:
                raise self._of_another(f"view {stands.mark.view}")
            if stands is not None and stands.mark.is_same(mark) and stands.mark.cut == mark.cut:
                return stands
            if stands is not None and stands.mark.state > mark.state:
                raise behind(f"table {self.uri}", stands.mark, mark)
            if schema is None:
                files, schema = self._write(rows())
            reach("publish.before-delta")
            if self._commit(table, mark, files, schema):
                reach("publish.after-delta")
                return self._done(mark, sum(json.loads(file.stats)["numRecords"] for file in files))
        raise ConflictError(
            Condition.WRITER_CONFLICT,
            f"table {self.uri} was written by others {ATTEMPTS} times meanwhile",
            detail="one publisher of a table",
            hint="stop the others",
            where=self.uri,
        )

    def read(self, version: int) -> Iterator[pa.Table]:
        """The rows as of a commit. Raises DeltaError or OSError where they are gone."""
        files, root = _place(self.uri)
        for uri in DeltaTable(self.uri, version=version).file_uris():
            inner = f"{root}/{uri.rpartition('/')[2]}"
            with parquet.ParquetFile(inner, filesystem=files) as file:
                for batch in file.iter_batches():
                    yield pa.Table.from_batches([batch])

    def clear(self) -> int:
        """Removes the files of all versions but the newest, which nobody can read by their numbers any more; how
        many. What another publisher has written and not committed stays."""
        table = self._opened()
        if table is None:
            return 0
        with self._reached():
            return len(table.vacuum(0, dry_run=False, enforce_retention_duration=False))

    def _opened(self) -> DeltaTable | None:
        with self._reached():
            return DeltaTable(self.uri) if DeltaTable.is_deltatable(self.uri) else None

    def _marked(self, table: DeltaTable | None) -> HeldVersion | None:
        if table is None:
            return None
        for commit in _history(table):
            with suppress(KeyError, ValueError, TypeError):
                mark = Mark.from_json(json.loads(commit["userMetadata"]))
                return HeldVersion(DeltaBase(self.uri, int(commit["version"])), mark, None)
            if commit.get("operation") not in HARMLESS:
                raise self._of_another(f"commit {commit['version']}, {commit.get('operation')}")
        raise self._of_another("no mark in its log")

    def _of_another(self, what: str) -> UserError:
        return UserError(
            Condition.INPUT_INVALID,
            f"the Delta table at {self.uri} holds something else: {what}",
            detail="a table that nothing but this view's publishing writes, or none",
            hint="name another place with --table",
            where=self.uri,
        )

    def _write(self, tables: Iterable[pa.Table]) -> tuple[list[AddAction], pa.Schema]:
        """Files that no commit names yet."""
        files, root = _place(self.uri)
        found: list[AddAction] = []
        with self._reached():
            if files is None:
                os.makedirs(root, exist_ok=True)
            for table in tables:
                schema = table.schema
                if table.num_rows or not found:
                    name = f"{new_attempt()}.parquet"
                    parquet.write_table(table, f"{root}/{name}", filesystem=files, compression="zstd")
                    size = _size(files, f"{root}/{name}")
                    stats = json.dumps({"numRecords": table.num_rows})
                    found.append(AddAction(name, size, {}, int(time.time() * 1000), True, stats))
        return found, schema

    def _commit(self, table: DeltaTable | None, mark: Mark, files: list[AddAction], schema: pa.Schema) -> bool:
        """One commit on what was just read; False where another was first."""
        said = CommitProperties(custom_metadata={"userMetadata": json.dumps(mark.to_json())}, max_commit_retries=0)
        delta = Schema.from_arrow(schema)
        try:
            if table is None:
                create_table_with_add_actions(
                    self.uri, delta, files, mode="error", description=f"Batch versions of view {mark.view}",
                    commit_properties=said,
                )  # fmt: skip
                return True
            if _has_plain_times(schema) and "timestampNtz" not in (table.protocol().writer_features or []):
                table.alter.add_feature(TableFeatures.TimestampWithoutTimezone, True)
            table.create_write_transaction([*files], "overwrite", delta, commit_properties=said)
        except CommitFailedError:
            return False
        except DeltaError:
            if table is None and DeltaTable.is_deltatable(self.uri):
                return False
            raise
        except OSError as error:
            raise unavailable(error, self.uri) from error
        return True

    def _done(self, mark: Mark, rows: int) -> HeldVersion:
        """What was committed, as it stands in the log: others may have committed after it."""
        table = DeltaTable(self.uri)
        mine = json.dumps(mark.to_json())
        version = next(int(one["version"]) for one in _history(table) if one.get("userMetadata") == mine)
        if version % CLEARED_EVERY == CLEARED_EVERY - 1:
            table.vacuum(KEPT_HOURS, dry_run=False, full=True)
        return HeldVersion(DeltaBase(self.uri, version), mark, rows)

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unavailable(error, self.uri) from error


def behind(what: str, stands: Mark, mark: Mark) -> ConflictError:
    """LEDGER_CONFLICT: somebody has published what this ledger does not say yet, or what another one said."""
    return ConflictError(
        Condition.LEDGER_CONFLICT,
        f"{what} holds view {stands.view} as of state {stands.state} of its log, and this lake is at {mark.state}",
        detail="a publisher that has read at least as much of the ledger as the one before it",
        hint="run it again; where the lake is another than it was, publish to another table and topic",
    )


def _history(table: DeltaTable) -> Iterator[dict[str, Any]]:
    """Its commits, the newest first."""
    newest = table.history(LOOKED_AT)
    yield from newest
    if len(newest) == LOOKED_AT:
        yield from table.history()[LOOKED_AT:]


def _has_plain_times(schema: pa.Schema) -> bool:
    return any(str(NTZ) in str(one) for one in schema.types)


def _place(uri: str) -> tuple[Any, str]:
    """For pyarrow; no file system: this machine's."""
    return filesystem(uri) if scheme(uri) else (None, uri)


def _size(files: Any, path: str) -> int:
    return os.path.getsize(path) if files is None else int(files.get_file_info(path).size)
