"""A lake's data files, in a local folder or in an object store: the one place that knows the difference.

A folder's files are read and written by the kernel in place; an object store's go through pyarrow. `Lake` says what
each call promises.
"""

from __future__ import annotations

import filecmp
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import obstore
import pyarrow as pa
from filelock import FileLock
from obstore.exceptions import BaseError

from seamline import objects
from seamline.disk import disk
from seamline.kernel import GROUP_BYTES, Given, Kernel, Parted, Rows
from seamline.objects import unavailable
from seamline.portions import cut
from seamline.schemes import filesystem

GROUP_ROWS = 122_880
"""Rows of a row group at most, as the kernel writes them."""

FETCHED = 16
"""Files whose footers are read from a store at once."""


class Files(Protocol):
    """The data files of one lake, by their paths in it."""

    @property
    def allowed(self) -> tuple[str, ...]:
        """The folders that a kernel may read and write by itself."""

    def write(self, engine: Kernel, statement: str, inputs: Mapping[str, Given], path: str) -> int: ...

    def read(self, paths: Sequence[str], columns: Sequence[str] | None) -> Rows: ...

    def put(self, path: str, body: bytes) -> None: ...

    def get(self, path: str) -> bytes: ...

    def read_parted(self, parts: Mapping[int, Sequence[str]]) -> Given: ...

    def join(self, paths: Sequence[str], into: str) -> None: ...

    def sync(self, paths: Iterable[str]) -> None: ...

    def footer(self, path: str) -> Any: ...

    def size(self, path: str) -> int: ...

    def stamp(self, path: str) -> str: ...

    def exists(self, path: str) -> bool: ...

    def same(self, one: str, other: str) -> bool: ...

    def lock(self, path: str) -> FileLock | None: ...


@dataclass(frozen=True)
class Folder:
    """Files in a folder of this machine, or of a disk that several share."""

    root: Path

    @property
    def allowed(self) -> tuple[str, ...]:
        return (str(self.root),)

    def write(self, engine: Kernel, statement: str, inputs: Mapping[str, Given], path: str) -> int:
        file = self._made(path)
        return engine.run(statement, inputs, into=str(file))

    def read(self, paths: Sequence[str], columns: Sequence[str] | None) -> Rows:
        return [str(self.root / path) for path in paths]

    def read_parted(self, parts: Mapping[int, Sequence[str]]) -> Given:
        full = {number: tuple(str(self.root / path) for path in paths) for number, paths in parts.items()}
        return Parted(tuple(full.items()))

    def join(self, paths: Sequence[str], into: str) -> None:
        join_parquet(None, [str(self.root / path) for path in paths], str(self._made(into)))

    def put(self, path: str, body: bytes) -> None:
        try:
            self._made(path).write_bytes(body)
        except OSError as error:
            raise unavailable(error, path) from error

    def get(self, path: str) -> bytes:
        try:
            return (self.root / path).read_bytes()
        except OSError as error:
            raise unavailable(error, path) from error

    def sync(self, paths: Iterable[str]) -> None:
        disk(self.root).sync(paths)

    def footer(self, path: str) -> Any:
        from pyarrow import parquet

        return parquet.read_metadata(self.root / path)

    def size(self, path: str) -> int:
        return (self.root / path).stat().st_size

    def stamp(self, path: str) -> str:
        stood = (self.root / path).stat()
        return f"{stood.st_size} {stood.st_mtime_ns}"

    def exists(self, path: str) -> bool:
        return (self.root / path).exists()

    def same(self, one: str, other: str) -> bool:
        return filecmp.cmp(self.root / one, self.root / other, shallow=False)

    def lock(self, path: str) -> FileLock | None:
        return FileLock(str(self._made(path)), thread_local=False)

    def _made(self, path: str) -> Path:
        """A file's path, whose folder stands."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        return file


@dataclass(frozen=True)
class Bucket:
    """Files in an object store, by its URI and its client."""

    uri: str
    store: Any
    allowed: tuple[str, ...] = ()

    def write(self, engine: Kernel, statement: str, inputs: Mapping[str, Given], path: str) -> int:
        from pyarrow import parquet

        table = engine.run(statement, inputs)
        files, inner = self._found(path)
        with parquet.ParquetWriter(inner, table.schema, filesystem=files, compression="zstd") as writer:
            for group in cut(table, GROUP_BYTES):
                writer.write_table(group)
        return int(table.num_rows)

    def read(self, paths: Sequence[str], columns: Sequence[str] | None) -> Rows:
        files, _ = filesystem(self.uri)
        inner = [self._found(path)[1] for path in paths]
        try:
            return read_parquet(files, inner, columns)
        except OSError as error:
            raise unavailable(error, ", ".join(paths[:3])) from error

    def read_parted(self, parts: Mapping[int, Sequence[str]]) -> Given:
        tables = [
            table.append_column("_unit", pa.repeat(pa.scalar(number, pa.int32()), table.num_rows))
            for number, paths in parts.items()
            if isinstance(table := self.read(paths, None), pa.Table)
        ]
        return pa.concat_tables(tables, promote_options="permissive")

    def join(self, paths: Sequence[str], into: str) -> None:
        files, inner = self._found(into)
        join_parquet(files, [self._found(path)[1] for path in paths], inner)

    def put(self, path: str, body: bytes) -> None:
        try:
            obstore.put(self.store, path, body)
        except BaseError as error:
            raise unavailable(error, path) from error

    def get(self, path: str) -> bytes:
        body = objects.get(self.store, path)
        if body is None:
            raise unavailable(FileNotFoundError("no such object"), path)
        return body

    def sync(self, paths: Iterable[str]) -> None:
        """What an object store has taken is durable already."""

    def footer(self, path: str) -> Any:
        from pyarrow import parquet

        files, inner = self._found(path)
        return parquet.read_metadata(inner, filesystem=files)

    def size(self, path: str) -> int:
        files, inner = self._found(path)
        return int(files.get_file_info(inner).size)

    def stamp(self, path: str) -> str:
        head = obstore.head(self.store, path)
        return f"{head['size']} {head['e_tag']} {head['last_modified'].isoformat()}"

    def exists(self, path: str) -> bool:
        from pyarrow import fs

        files, inner = self._found(path)
        return bool(files.get_file_info(inner).type is not fs.FileType.NotFound)

    def same(self, one: str, other: str) -> bool:
        """Not looked at: reading both costs as much as comparing their rows."""
        return False

    def lock(self, path: str) -> FileLock | None:
        return None

    def _found(self, path: str) -> tuple[Any, str]:
        return filesystem(f"{self.uri}/{path}")


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


def join_parquet(files: Any, paths: Sequence[str], into: str) -> None:
    """The rows of Parquet files, in order, as one file with the columns of every file; memory holds a few row groups.

    `files`: a pyarrow file system; None: this machine's. Raises TransientError STORE_UNAVAILABLE.
    """
    from pyarrow import parquet

    try:
        sources = [parquet.ParquetFile(path, filesystem=files) for path in paths]
        schema = pa.unify_schemas([one.schema_arrow for one in sources], promote_options="permissive")
        with parquet.ParquetWriter(into, schema, filesystem=files, compression="zstd") as writer:
            for rows in _groups(sources, schema):
                for group in cut(rows, GROUP_BYTES):
                    writer.write_table(group)
    except (OSError, pa.ArrowException) as error:
        raise unavailable(error, into) from error


def _groups(sources: Iterable[Any], schema: pa.Schema) -> Iterator[pa.Table]:
    """Rows of opened Parquet files in tables that make a row group or more."""
    held = schema.empty_table()
    for source in sources:
        for batch in source.iter_batches(GROUP_ROWS // 4):
            held = pa.concat_tables([held, pa.Table.from_batches([batch])], promote_options="permissive")
            if held.num_rows >= GROUP_ROWS or held.nbytes >= GROUP_BYTES:
                yield held
                held = schema.empty_table()
    if held.num_rows:
        yield held
