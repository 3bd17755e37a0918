"""The lake: where everything is stored, and the one place that names paths in it.

```
ledger/archive/<stream>/<n>.json   ledger/speed/<stream>/<n>.json
ledger/topics/<stream>/<n>.json    ledger/forget/<stream>/<n>.json
ledger/batch/<definition>/<n>.json ledger/views/<view>/<n>.json
ledger/backfills/<view>/<n>.json
hints/<kind of log>/<two digits>   which logs may have moved: advisory (hints.py)
raw/<contract>-<layout>/           a Delta table, partitioned by event date
speed/<stream>/<attempt>.pack      what an epoch holds, where its entry does not carry it
speed/<stream>/<definition>/<attempt>.parquet   speed/<stream>/ids/<attempt>.parquet
batch/<definition>/<unit>/<attempt>.parquet
runs/<run>/<unit>.json             the result of a unit that is done, so that nobody repeats it
forget/<stream>/<attempt>.parquet  positions of records that were forgotten, and hashes that tell their copies
inbox/<stream>/<hash>.json         what an import asks of the archive
leases/<log>.json                  who holds a log now: advisory, the claim entry decides
leases/<log>.next.json             who waits for a log and is next: advisory too
```
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import obstore
import pyarrow as pa
from filelock import FileLock
from obstore.store import LocalStore, from_url

from seamline import objects
from seamline.errors import Condition, UserError
from seamline.kernel import Given, Input, Kernel, Limits, Mixed, Rows, kernel
from seamline.ledger import LEDGER, Log
from seamline.packs import Packs, body_of, is_address
from seamline.private import made
from seamline.schemes import scheme
from seamline.stores import Bucket, Files, Folder

RAW, SPEED, BATCH, RUNS, INBOX, LEASES = "raw/", "speed/", "batch/", "runs/", "inbox/", "leases/"
RETRIES = "retries/"
"""What the paths of each kind of file begin with; those of entries are a log's own (ledger.py)."""

BACKFILLS = "backfills"
"""The kind of the views' backfill logs."""

FORGET = "forget/"
"""What the paths of the files begin with that say which records were forgotten."""

UNCLAIMED = "_unclaimed"
"""The raw table of records that no contract claims."""


@dataclass(frozen=True)
class Lake:
    """A lake. Data files lie in the folder itself, or in the object store: who calls need not know which."""

    uri: str
    """A local path, file://, s3://, gs://, abfss://."""

    store: Any = field(repr=False, compare=False)
    """Holds the ledger."""

    @classmethod
    def open(cls, uri: str) -> Lake:
        """Opens a lake; a local folder is made if it is missing, and is closed to others. Raises CONFIG_INVALID."""
        if scheme(uri) in ("", "file"):
            root = Path(urlparse(uri).path if scheme(uri) else uri).absolute()
            return cls(str(root), LocalStore(str(made(_usable(root)))))
        return cls(uri.rstrip("/"), from_url(uri))

    # logs

    def archive_log(self, stream: str) -> Log:
        """`claim`, `archived`, `maintained`."""
        return Log(self.store, f"archive/{stream}")

    def speed_log(self, stream: str) -> Log:
        """`claim`, `epoch`, `compacted`, `retired`."""
        return Log(self.store, f"speed/{stream}")

    def topics_log(self, stream: str) -> Log:
        """`topics`."""
        return Log(self.store, f"topics/{stream}")

    def forget_log(self, stream: str) -> Log:
        """`forget`, `cleared`, `forgotten`."""
        return Log(self.store, f"forget/{stream}")

    def batch_log(self, definition: str) -> Log:
        """`reserved`, `version`, `withdrawn`."""
        return Log(self.store, f"batch/{definition}")

    def view_log(self, view: str) -> Log:
        """`published`, `withdrawn`."""
        return Log(self.store, f"views/{view}")

    def backfill_log(self, view: str) -> Log:
        """`backfills`."""
        return Log(self.store, f"{BACKFILLS}/{view}")

    def verified_log(self, view: str) -> Log:
        """`comparison`."""
        return Log(self.store, f"verified/{view}")

    def views(self) -> list[str]:
        """Every view that was ever applied, by name."""
        return objects.folders(self.store, "ledger/views/")

    def batches(self) -> list[str]:
        """Every definition that has a batch log, by its hash."""
        return objects.folders(self.store, "ledger/batch/")

    # paths, relative to the lake

    @staticmethod
    def raw_path(contract: str, layout: str) -> str:
        """The raw Delta table of a contract; another layout (event time, id, discriminator) is another table."""
        return f"{RAW}{contract}-{layout}"

    @staticmethod
    def contract_of(table: str) -> str:
        """The contract whose raw table it is, or UNCLAIMED."""
        name = table.removeprefix(RAW)
        return UNCLAIMED if name.startswith(f"{UNCLAIMED}-") else name.rpartition("-")[0]

    @staticmethod
    def unclaimed_path(stream: str) -> str:
        """The raw Delta table of a stream's records that no contract claims."""
        return f"{RAW}{UNCLAIMED}-{stream}"

    @staticmethod
    def forget_path(stream: str, attempt: str) -> str:
        """Which records a request has found."""
        return f"{FORGET}{stream}/{attempt}.parquet"

    @staticmethod
    def speed_path(stream: str, definition: str, attempt: str) -> str:
        """One segment's file. `definition` may be `ids` for the ids an epoch counted."""
        return f"{Lake.speed_prefix(stream)}{definition}/{attempt}.parquet"

    @staticmethod
    def pack_path(stream: str, attempt: str) -> str:
        """One epoch's partials of all definitions, and its ids."""
        return f"{Lake.speed_prefix(stream)}{attempt}.pack"

    @staticmethod
    def speed_prefix(stream: str) -> str:
        """What the paths of all speed files of a stream begin with."""
        return f"{SPEED}{stream}/"

    @staticmethod
    def batch_path(definition: str, unit: str, attempt: str) -> str:
        """One unit's file of one attempt."""
        return f"{Lake.batch_prefix(definition)}{unit}/{attempt}.parquet"

    @staticmethod
    def batch_prefix(definition: str) -> str:
        """What the paths of all batch files of a definition begin with."""
        return f"{BATCH}{definition}/"

    @staticmethod
    def marker_path(run: str, unit: str) -> str:
        """Where a unit's result stands once it is done, so that a run that is started again does not repeat it."""
        return f"{Lake.marker_prefix(run)}{unit}.json"

    @staticmethod
    def marker_prefix(run: str) -> str:
        """What the paths of all markers of a run begin with."""
        return f"{RUNS}{run}/"

    @staticmethod
    def inbox_prefix(stream: str) -> str:
        """What the paths of all that is asked of a stream's archive begin with."""
        return f"{INBOX}{stream}/"

    @staticmethod
    def retries_prefix(stream: str) -> str:
        """What the paths of contracts begin with that a stream's archive is asked to file by."""
        return f"{RETRIES}{stream}/"

    @staticmethod
    def lease_path(log: str) -> str:
        """Who holds a log, or for `<log>.next`, who waits for it."""
        return f"{LEASES}{log}.json"

    @staticmethod
    def lock_path(log: str) -> str:
        """What the processes of one machine lock while they hold a log."""
        return f"{LEASES}{log}.lock"

    def absolute(self, path: str) -> str:
        """A path in the lake as a full path or URI."""
        return f"{self.uri}/{path}"

    # objects

    def listed(self, prefix: str) -> Iterator[Mapping[str, Any]]:
        """What stands under a prefix: `path`, `size`, `last_modified`."""
        for batch in obstore.list(self.store, prefix=prefix):
            yield from batch

    def areas(self) -> dict[str, tuple[int, int]]:
        """Objects and bytes by what they are for: the first folder of their paths. A request for each 1,000 objects."""
        found: dict[str, tuple[int, int]] = {}
        for item in self.listed(""):
            area = str(item["path"]).partition("/")[0]
            objects_, bytes_ = found.get(area, (0, 0))
            found[area] = objects_ + 1, bytes_ + int(item["size"])
        return found

    def delete(self, paths: Iterable[str]) -> None:
        """Deletes what stands at some paths, all at once; one that is gone already is well. Raises TransientError
        STORE_UNAVAILABLE."""
        objects.delete(self.store, list(paths))

    # data files: what is another in a folder and in an object store is in stores.py

    @cached_property
    def _files(self) -> Files:
        return Bucket(self.uri, self.store) if scheme(self.uri) else Folder(Path(self.uri))

    def kernel(self, memory: str = "1GB", threads: int = 2) -> Kernel:
        """This process's kernel, allowed to read and write this lake's folder."""
        return kernel(Limits(self._files.allowed, memory, threads))

    def write(self, engine: Kernel, statement: str, inputs: Mapping[str, Given], path: str) -> int:
        """Runs a statement into one new Parquet file at `path`; returns its rows. Invisible until an entry lists it."""
        return self._files.write(engine, statement, inputs, path)

    def sync(self, paths: Iterable[str]) -> None:
        """Makes files that an entry will name outlast a power loss, all at once. An object store's do already, and
        there `paths` is not even asked for."""
        self._files.sync(paths)

    def read(self, paths: Iterable[str], columns: Sequence[str] | None = None) -> Input:
        """Parquet files of the lake, and tables of packs by their addresses, as one kernel input.

        Files are their paths where local, else Arrow through pyarrow. Raises TransientError STORE_UNAVAILABLE, and
        TerminalError LEDGER_FORMAT where a pack is damaged.
        """
        paths = list(paths)
        files = [path for path in paths if not is_address(path)]
        if len(files) == len(paths):
            return self.read_files(files, columns)
        tables = self.packs.tables(path for path in paths if is_address(path))
        if columns is not None:
            tables = [table.select(columns) for table in tables]
        read = self.read_files(files, columns) if files else None
        if isinstance(read, pa.Table):
            tables.append(read)
        table = pa.concat_tables(tables, promote_options="permissive")
        return table if read is None or isinstance(read, pa.Table) else Mixed(tuple(read), table)

    def read_files(self, paths: Iterable[str], columns: Sequence[str] | None = None) -> Rows:
        """Parquet files alone: where local, to be read in place."""
        return self._files.read(list(paths), columns)

    def read_parted(self, parts: Mapping[int, Sequence[str]]) -> Given:
        """Parquet files as one table, with the number of its part in each row's `_unit`. Raises like `read`."""
        return self._files.read_parted(parts)

    def join(self, paths: Sequence[str], into: str) -> None:
        """Puts the rows of Parquet files into one new file, invisible until an entry names it; memory holds a few row
        groups of them. Raises TransientError STORE_UNAVAILABLE."""
        self._files.join(paths, into)

    @cached_property
    def packs(self) -> Packs:
        """The packs that epochs name."""
        return Packs(self._packed, side_by_side=bool(scheme(self.uri)))

    def _packed(self, path: str) -> bytes:
        """The bytes of a pack: of the object, or of the entry that carries it."""
        if not path.startswith(LEDGER):
            return self._files.get(path)
        entry = objects.get(self.store, path)
        if entry is None:
            raise objects.unavailable(FileNotFoundError("no such entry"), path)
        return body_of(entry, path)

    def put(self, path: str, body: bytes) -> None:
        """Writes one new data file, invisible until an entry names it. Raises TransientError STORE_UNAVAILABLE."""
        self._files.put(path, body)

    def footer(self, path: str) -> Any:
        """What a Parquet file says of itself: pyarrow's FileMetaData."""
        return self._files.footer(path)

    def size(self, path: str) -> int:
        """Bytes of a data file."""
        return self._files.size(path)

    def stamp(self, path: str) -> str:
        """Says when and how a data file was last written: another one, where it was put in place again."""
        return self._files.stamp(path)

    def exists(self, path: str) -> bool:
        """Whether a data file stands."""
        return self._files.exists(path)

    def is_same(self, one: str, other: str) -> bool:
        """Whether two data files are seen to hold the same bytes. Never in an object store: it is not worth a look."""
        return self._files.same(one, other)

    def lock(self, log: str) -> FileLock | None:
        """What one process of a machine holds with a log, and its death frees; None in an object store."""
        return self._files.lock(self.lock_path(log))


UNUSABLE = re.compile(r"[*?\[\]^|\\\x00-\x1f]")
"""Characters of a folder's path that the engine (patterns) or the readers of Delta tables take for something else."""


def _usable(root: Path) -> Path:
    """The folder, if everything that reads a lake can be told of it. Raises CONFIG_INVALID."""
    found = sorted(set(UNUSABLE.findall(str(root))))
    if found:
        raise UserError(
            Condition.CONFIG_INVALID,
            f"the lake's path has {' '.join(map(repr, found))} in it",
            detail="a path without * ? [ ] ^ | \\ and control characters",
            hint="move the project, or name another folder as lake.uri",
            where=str(root),
        )
    return root
