"""Files of events straight into the archive: each is a source of its own, known by its content's hash.

The rows are written first; then the archive's one writer commits them, whoever that is: the running archive role,
which finds the request in its inbox, or this very process, where none runs.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pyarrow as pa

from seamline.attempts import check_age
from seamline.claims import claim
from seamline.clock import Clock, system_clock
from seamline.entries.archive import Imported
from seamline.entries.base import Counts
from seamline.errors import Condition, ConflictError, TransientError, UserError
from seamline.history.archive import ArchiveHistory
from seamline.portions import lists_of
from seamline.schemas.project import Project
from seamline.sides.raw import RawFile
from seamline.streaming.archive.archive import Archive
from seamline.streaming.archive.filing import Shelf, file_records, make_shelves
from seamline.streaming.archive.inbox import Inbox
from seamline.streaming.archive.role import IMPORTING
from seamline.streaming.archive.tables import clashing_columns
from seamline.streaming.following import Following
from seamline.streaming.gathered import gather
from seamline.streaming.tasks import RECORDS

CHUNK = 100_000
CHUNK_BYTES = 64 << 20
"""Rows, and bytes of records, that are held at once."""

WAIT_SECONDS = 120.0
LOOK_SECONDS = 0.2

Values = Callable[[], Iterable[bytes]]
"""Gives the bytes of each record, from the first on, every time it is called."""


@dataclass(frozen=True)
class Import:
    """What an import did."""

    source: str
    contract: str
    counts: Counts

    already: bool
    """The same content was imported for this contract before, and nothing was done."""

    rejected: Mapping[str, tuple[int, int]] = field(default_factory=dict, hash=False)
    """By reason, the most first: how many records, and the row number of the first."""


def import_events(
    project: Project,
    contract: str,
    values: Values,
    *,
    clock: Clock = system_clock,
    wait_seconds: float = WAIT_SECONDS,
) -> Import:
    """Archives one file's records. They are served from the next batch version on.

    Offsets are row numbers, and every row has the instant of the import as its timestamp, which is stored: what is
    valid depends on that, not on when it is looked at. Raises CONTRACT_UNKNOWN, and STORE_UNAVAILABLE where the
    running archive does not take it within `wait_seconds` (it still may), or where writing the files took so long that
    they may be swept before they are asked for; INPUT_INVALID where records change meanwhile.
    """
    stream = project.contract(contract).stream
    source = f"import:{content_hash(contract, values())}"
    history = ArchiveHistory(project.lake.archive_log(stream))
    if source in history.imports:
        return Import(source, contract, Counts(), already=True)
    following = Following(project, stream)
    shelves = make_shelves(following.contracts, following.lived_by, stream)
    digest = hashlib.sha256(contract.encode())
    began = clock()
    fitting = [replace(shelf, begins=history.first_date(shelf.contract)) for shelf in shelves]
    files, counts = _write(project, contract, fitting, source, _hashed(values(), digest), began)
    if source != f"import:{digest.hexdigest()}":
        raise UserError(
            Condition.INPUT_INVALID,
            "the records changed between two looks at them: nothing was archived",
            hint="run it again once nobody writes the file",
        )
    whole, rejected = sum(counts.values(), Counts()), _rejected(project, files)
    tables = [shelf.table for shelf in shelves if shelf.contract == contract]
    check_age(began, clock(), timedelta(hours=project.settings.archive.retention_hours) / 2)
    Inbox(project.lake, stream).put(Imported(source=source, contract=contract, rows=whole.read), files, counts, tables)
    _have_committed(project, stream, shelves, history, source, clock, wait_seconds)
    return Import(source, contract, whole, already=False, rejected=rejected)


def content_hash(contract: str, values: Iterable[bytes]) -> str:
    """Of the records and the contract they are for, however the file was packed."""
    digest = hashlib.sha256(contract.encode())
    for _ in _hashed(values, digest):
        pass
    return digest.hexdigest()


def _hashed(values: Iterable[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    """The same values; `digest` takes each."""
    for value in values:
        digest.update(len(value).to_bytes(8, "big") + value)
        yield value


def _write(
    project: Project, contract: str, shelves: Iterable[Shelf], source: str, values: Iterable[bytes], now: datetime
) -> tuple[list[RawFile], dict[str, Counts]]:
    kernel = project.settings.kernel
    engine = project.lake.kernel(kernel.memory, kernel.threads)
    topic = project.contract(contract).topic
    mine = [
        replace(shelf, left_out=clashing_columns(project.lake, shelf.table, shelf.schema(engine)))
        for shelf in shelves
        if shelf.contract == contract or (not shelf.contract and topic in shelf.topics)
    ]
    files: list[RawFile] = []
    counts: dict[str, Counts] = {}
    for records in _chunks(source, values, now):
        seen = gather(file_records(engine, project.lake, mine, records))
        files += [RawFile(**one) for one in seen.files]
        for label, more in seen.filed.items():
            counts[label] = counts.get(label, Counts()) + more
    return files, counts


def _rejected(project: Project, files: Iterable[RawFile]) -> dict[str, tuple[int, int]]:
    """Reads two columns of the files that hold rejected rows."""
    paths = [file.path for file in files if file.rejects]
    if not paths:
        return {}
    kernel, lake = project.settings.kernel, project.lake
    counted = "SELECT _reject, count(*) AS n, min(_offset) AS first FROM raw WHERE _reject IS NOT NULL GROUP BY 1"
    rows = lake.kernel(kernel.memory, kernel.threads).run(f"{counted} ORDER BY n DESC, 1", {"raw": lake.read(paths)})
    return {row["_reject"]: (row["n"], row["first"]) for row in rows.to_pylist()}


def _chunks(source: str, values: Iterable[bytes], now: datetime) -> Iterator[pa.Table]:
    first = 0
    for chunk in lists_of(values, CHUNK, CHUNK_BYTES):
        rows = len(chunk)
        columns = [
            pa.array([source] * rows, pa.string()),
            pa.array([0] * rows, pa.int32()),
            pa.array(range(first, first + rows), pa.int64()),
            pa.array([now] * rows, pa.timestamp("us", "UTC")),
            pa.nulls(rows, pa.binary()),
            pa.array(chunk, pa.binary()),
        ]
        yield pa.table(columns, schema=RECORDS)
        first += rows


def _have_committed(
    project: Project,
    stream: str,
    shelves: Iterable[Shelf],
    history: ArchiveHistory,
    source: str,
    clock: Clock,
    seconds: float,
) -> None:
    """Commits what is in the inbox as the log's writer, or waits until the one there is has."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with claim(project.lake, project.lake.archive_log(stream), IMPORTING, clock) as writer:
                archive = Archive(project.lake, stream, writer, tuple(shelves), clock=clock)
                archive.take_all(Inbox(project.lake, stream))
        except ConflictError:
            pass  # another process writes the log, and looks into its inbox
        history.catch_up()
        if source in history.imports:
            return
        if time.monotonic() > deadline:
            raise TransientError(
                Condition.STORE_UNAVAILABLE,
                f"the archive of stream {stream} has not taken {source} within {seconds:.0f} s",
                hint="see whether its archive role runs: it takes the request as soon as it does",
            )
        time.sleep(LOOK_SECONDS)
