"""The lake: where everything is stored, and the one place that names paths in it.

```
ledger/archive/<stream>/<n>.json   ledger/speed/<stream>/<n>.json
ledger/topics/<stream>/<n>.json
ledger/batch/<definition>/<n>.json ledger/views/<view>/<n>.json
raw/<contract>-<layout>/           a Delta table, partitioned by event date
speed/<stream>/<definition>/<attempt>.parquet   speed/<stream>/ids/<attempt>.parquet
batch/<definition>/<unit>/<attempt>.parquet
leases/<log>.json                  who holds a log now: advisory, the claim entry decides
leases/<log>.next.json             who waits for a log and is next: advisory too
```
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import obstore
import pyarrow as pa
from obstore.exceptions import BaseError
from obstore.store import LocalStore, from_url

from seamline.disk import disk
from seamline.errors import Condition, UserError
from seamline.kernel import GROUP_BYTES, Input, Kernel, Limits, kernel
from seamline.ledger import Log, folders, unavailable
from seamline.portions import cut
from seamline.private import made

UNCLAIMED = "_unclaimed"
"""The raw table of records that no contract claims."""


@dataclass(frozen=True)
class Lake:
    """A lake by its URI (a local path, file://, s3://, gs://, abfss://). `store` holds the ledger.

    Data files are read and written by the kernel in place where the lake is a local folder, else through pyarrow.
    """

    uri: str
    store: Any = field(repr=False, compare=False)

    @classmethod
    def open(cls, uri: str) -> Lake:
        """Opens a lake; a local folder is made if it is missing, and is closed to others. Raises CONFIG_INVALID."""
        parsed = urlparse(uri)
        if parsed.scheme in ("", "file"):
            root = Path(parsed.path if parsed.scheme else uri).absolute()
            return cls(str(root), LocalStore(str(made(_usable(root)))))
        return cls(uri.rstrip("/"), from_url(uri))

    @property
    def local(self) -> Path | None:
        """The folder, where the lake is local."""
        return Path(self.uri) if "://" not in self.uri else None

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

    def batch_log(self, definition: str) -> Log:
        """`reserved`, `version`."""
        return Log(self.store, f"batch/{definition}")

    def view_log(self, view: str) -> Log:
        """`published`."""
        return Log(self.store, f"views/{view}")

    def views(self) -> list[str]:
        """Every view that was ever applied, by name."""
        return folders(self.store, "ledger/views/")

    # paths, relative to the lake

    @staticmethod
    def raw_path(contract: str, layout: str) -> str:
        """The raw Delta table of a contract; another layout (event time, id, discriminator) is another table."""
        return f"raw/{contract}-{layout}"

    @staticmethod
    def unclaimed_path(stream: str) -> str:
        """The raw Delta table of a stream's records that no contract claims."""
        return f"raw/{UNCLAIMED}-{stream}"

    @staticmethod
    def speed_path(stream: str, definition: str, attempt: str) -> str:
        """One segment's file. `definition` may be `ids` for the ids an epoch counted."""
        return f"speed/{stream}/{definition}/{attempt}.parquet"

    @staticmethod
    def batch_path(definition: str, unit: str, attempt: str) -> str:
        """One unit's file of one attempt."""
        return f"batch/{definition}/{unit}/{attempt}.parquet"

    def absolute(self, path: str) -> str:
        """A path in the lake as a full path or URI."""
        return f"{self.uri}/{path}"

    # data

    def kernel(self, memory: str = "1GB", threads: int = 2) -> Kernel:
        """This process's kernel, allowed to read and write this lake's folder."""
        folders = (str(self.local),) if self.local else ()
        return kernel(Limits(folders, memory, threads))

    def write(self, engine: Kernel, statement: str, inputs: dict[str, Input], path: str) -> int:
        """Runs a statement into one new Parquet file at `path`; returns its rows. Invisible until an entry lists it."""
        if self.local:
            Path(self.absolute(path)).parent.mkdir(parents=True, exist_ok=True)
            return engine.run(statement, inputs, into=self.absolute(path))
        from pyarrow import fs, parquet

        table = engine.run(statement, inputs)
        files, inner = fs.FileSystem.from_uri(self.absolute(path))
        with parquet.ParquetWriter(inner, table.schema, filesystem=files, compression="zstd") as writer:
            for group in cut(table, GROUP_BYTES):
                writer.write_table(group)
        return int(table.num_rows)

    def sync(self, paths: Iterable[str]) -> None:
        """Makes files that an entry will name outlast a power loss, all at once. An object store's do already."""
        if self.local:
            disk(self.local).sync(paths)

    def delete(self, paths: Iterable[str]) -> None:
        """Deletes data files; one that is gone already is well. Raises TransientError STORE_UNAVAILABLE."""
        if self.local:
            for path in paths:
                (self.local / path).unlink(missing_ok=True)
            return
        try:
            obstore.delete(self.store, list(paths))
        except BaseError as error:
            raise unavailable(error, self.uri) from error

    def read(self, paths: Iterable[str], columns: Sequence[str] | None = None) -> Input:
        """Parquet files of the lake as a kernel input: their paths where local, else Arrow through pyarrow.

        Raises TransientError STORE_UNAVAILABLE.
        """
        paths = list(paths)
        if self.local:
            return [self.absolute(path) for path in paths]
        from pyarrow import fs

        files, _ = fs.FileSystem.from_uri(self.uri)
        inner = [fs.FileSystem.from_uri(self.absolute(path))[1] for path in paths]
        try:
            return read_parquet(files, inner, columns)
        except OSError as error:
            raise unavailable(error, ", ".join(paths[:3])) from error

    def footer(self, path: str) -> Any:
        """What a Parquet file says of itself: pyarrow's FileMetaData."""
        from pyarrow import fs, parquet

        if self.local:
            return parquet.read_metadata(self.absolute(path))
        files, inner = fs.FileSystem.from_uri(self.absolute(path))
        return parquet.read_metadata(inner, filesystem=files)


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


FETCHED = 16
"""Files whose footers are read from a store at once."""


def read_parquet(files: Any, paths: Sequence[str], columns: Sequence[str] | None = None) -> pa.Table:
    """Parquet files of a pyarrow file system as one table, with the columns of every file: those that a file lacks are
    NULL there. Names of folders say nothing."""
    from pyarrow import dataset  # it imports pandas: a third of a second, for object stores only

    form = dataset.ParquetFileFormat()
    fragments = [form.make_fragment(path, files) for path in paths]
    with ThreadPoolExecutor(FETCHED) as pool:
        schemas = list(pool.map(lambda one: one.physical_schema, fragments))
    schema = pa.unify_schemas(schemas, promote_options="permissive")
    table = dataset.FileSystemDataset(fragments, schema, form, files).to_table(columns=columns)
    return pa.concat_tables(cut(table, GROUP_BYTES))  # the kernel reads no more than one piece at once
