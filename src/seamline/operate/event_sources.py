"""What holds events and can be read twice: files, members of zip files, and standard input, kept in a file."""

from __future__ import annotations

import shutil
import stat
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from io import BufferedIOBase
from pathlib import Path
from typing import BinaryIO, cast

from seamline.advance import Say, unsaid
from seamline.errors import Condition, UserError
from seamline.operate.packing import FREE, MAGIC, PACKED, SWELLING

LINES = (".jsonl", ".ndjson", ".json")
CSV, PARQUET, ZIP = ".csv", ".parquet", ".zip"
FORMATS = (*LINES, CSV, PARQUET)

STDIN = Path("-")
_WHERE = "standard input"
_PARQUET, _ZIP = b"PAR1", b"PK\x03\x04"
_KNOWN = f"names ending in {', '.join((*LINES, CSV))}, then perhaps {', '.join(PACKED)}; or in {PARQUET} or {ZIP}"


@dataclass(frozen=True)
class EventSource:
    """One file of events, wherever it lies."""

    name: str
    """As messages call it."""

    kind: str
    """How its name says its format: `.csv`."""

    packed: str
    """How it is packed: `.gz`, or ''."""

    size: int
    """Bytes, as they are opened."""

    open: Callable[[], BufferedIOBase]

    def __str__(self) -> str:
        return self.name


def source_of(path: Path) -> EventSource:
    """A file. Raises UserError INPUT_INVALID where the name says no known format, or there is no such file."""
    kind, packed = _format(path.name, str(path))
    _check_file(path)
    return EventSource(str(path), kind, packed, path.stat().st_size, partial(_opened, path))


@contextmanager
def sources(
    files: Sequence[Path], kind: str = "", stdin: BinaryIO | None = None, say: Say = unsaid
) -> Iterator[list[EventSource]]:
    """What these files hold until the block ends: a zip file its members, `-` what standard input gives.

    `kind`: what `-` is, such as `csv.gz`; '' where its first bytes tell how it is packed, and it holds JSON lines or is
    Parquet. Takes as much disk as standard input has bytes. Raises UserError INPUT_INVALID.
    """
    if files.count(STDIN) > 1:
        raise UserError(Condition.INPUT_INVALID, "'-' stands twice", detail="standard input once", hint="leave one out")
    if kind and STDIN not in files:
        message, detail = f"--format {kind} without '-'", "a format for standard input; files' names say theirs"
        raise UserError(Condition.INPUT_INVALID, message, detail=detail, hint="leave it out")
    with ExitStack() as opened:
        found: list[EventSource] = []
        for path in files:
            if path == STDIN:
                found += opened.enter_context(_standard_input(kind, stdin or sys.stdin.buffer, say))
            elif path.suffix == ZIP:
                _check_file(path)
                found += opened.enter_context(_members(path, str(path), say))
            else:
                found.append(source_of(path))
        yield found


@contextmanager
def _standard_input(kind: str, stdin: BinaryIO, say: Say) -> Iterator[list[EventSource]]:
    with tempfile.TemporaryDirectory(prefix="seamline-stdin-") as folder, ExitStack() as opened:
        path = Path(folder) / "stdin"
        with path.open("wb") as file:
            shutil.copyfileobj(stdin, file, 1 << 20)
        with path.open("rb") as file:
            name = f"stdin.{kind.lstrip('.')}" if kind else f"stdin{_told(file.read(4))}"
        if name.endswith(ZIP):
            yield opened.enter_context(_members(path, _WHERE, say))
        else:
            yield [EventSource(_WHERE, *_format(name, _WHERE), path.stat().st_size, partial(_opened, path))]


def _told(first: bytes) -> str:
    """The suffixes that a file's first bytes tell."""
    if first == _PARQUET:
        return PARQUET
    if first == _ZIP:
        return ZIP
    return LINES[0] + next((packed for packed, magic in MAGIC.items() if first.startswith(magic)), "")


def _format(name: str, where: str) -> tuple[str, str]:
    """The format and the packing that a name says."""
    suffixes = Path(name).suffixes[-2:]
    packed = suffixes[-1] if suffixes and suffixes[-1] in PACKED else ""
    kind = ([suffix for suffix in suffixes if suffix not in PACKED] or [""])[-1]
    if name.endswith(ZIP):
        message, hint = "is a zip file", "unpack it first"
        raise UserError(Condition.INPUT_INVALID, message, detail="files of events", hint=hint, where=where)
    if kind not in FORMATS:
        message = f"{name!r} says no format" if where == _WHERE else f"file {Path(name).name!r} says no format"
        raise UserError(Condition.INPUT_INVALID, message, detail=_KNOWN, hint="rename the file", where=where)
    if kind == PARQUET and packed:
        message, hint = "a Parquet file that is packed", "unpack it: Parquet is read from its end"
        raise UserError(Condition.INPUT_INVALID, message, detail=_KNOWN, hint=hint, where=where)
    return kind, packed


def _check_file(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UserError(Condition.INPUT_INVALID, f"cannot be read: {error.strerror}", where=str(path)) from error
    if stat.S_ISDIR(mode):
        message, hint = "is a folder", "name the files inside"
        raise UserError(Condition.INPUT_INVALID, message, detail="files", hint=hint, where=str(path))
    if not stat.S_ISREG(mode):
        message, hint = "is no file that can be read twice", "give it as standard input: '-'"
        raise UserError(Condition.INPUT_INVALID, message, detail="files", hint=hint, where=str(path))


@contextmanager
def _members(path: Path, where: str, say: Say) -> Iterator[list[EventSource]]:
    """A zip file's files, in its order. Raises UserError INPUT_INVALID where one could not be read to its end."""
    try:
        file = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        message, hint = f"the file is damaged: {error}", "fetch the file again"
        raise UserError(Condition.INPUT_INVALID, message, detail="a whole zip file", hint=hint, where=where) from error
    with file:
        infos = [info for info in file.infolist() if not info.is_dir()]
        foreign = [info for info in infos if info.filename.startswith("__MACOSX/")]
        if foreign:
            say(f"{where}: passed over what macOS adds: {len(foreign)} members below __MACOSX")
        infos = [info for info in infos if info not in foreign]
        _check_members(infos, path.stat().st_size, where)
        yield [_member(file, info, f"{where}/{info.filename}") for info in infos]


def _member(file: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> EventSource:
    kind, packed = _format(info.filename, name)
    return EventSource(name, kind, packed, info.file_size, partial(_open_member, file, info))


def _opened(path: Path) -> BufferedIOBase:
    return path.open("rb")


def _open_member(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> BufferedIOBase:
    return cast(zipfile.ZipExtFile, file.open(info))


def _check_members(infos: Sequence[zipfile.ZipInfo], size: int, where: str) -> None:
    """Sizes are those that the file's list says: a member that holds more is damaged, and is read no further."""
    whole = sum(info.file_size for info in infos)
    locked = next((info.filename for info in infos if info.flag_bits & 1), None)
    parquet = next((info.filename for info in infos if info.filename.endswith(PARQUET)), None)
    unpack = "unpack it first"
    faults = (
        (not infos, "the zip file holds no file", "a zip file of files of events", "look at how it was made"),
        (locked is not None, f"member {locked!r} is locked by a password", "members that anybody can read", unpack),
        (parquet is not None, f"member {parquet!r} is Parquet, which is read from its end", _KNOWN, unpack),
        (
            whole > max(FREE, size * SWELLING),
            f"its members unpack to {whole} bytes, over {SWELLING} times the file's",
            f"{FREE >> 20} MB, or {SWELLING} times the file's bytes",
            f"look at what it holds, and {unpack}",
        ),
    )
    for holds, message, detail, hint in faults:
        if holds:
            raise UserError(Condition.INPUT_INVALID, message, detail=detail, hint=hint, where=where)
