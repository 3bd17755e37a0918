"""Several segments put together into one: their rows merged by definition, and, of epochs, the epochs themselves.

Small tables go into one pack with those of the epochs; a definition of many rows has a Parquet file of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import pyarrow as pa

from seamline.attempts import new_attempt
from seamline.commitpoint import reach
from seamline.entries.base import Counts, DataFile
from seamline.entries.speed import IDS, Compacted, Epoch, told, within
from seamline.kernel import KERNEL_VERSION
from seamline.packs import ENTRY
from seamline.schemas.algebra import LAYOUT
from seamline.slices import UNMERGED, Merging
from seamline.streaming.speed.compact import LEVELS, Link
from seamline.streaming.speed.epoch import Speed, write_pack
from seamline.streaming.speed.recall import READ_IDS

PACKED_ROWS = 1 << 18
"""Rows that go into a pack, before they are merged. What is more is written to files, by slices if need be."""


def compact_run(speed: Speed, run: Sequence[Link], merges: Mapping[str, Merging]) -> Compacted:
    """Objects first, then the entry that says which epochs they stand for, and holds these where `run` is of epochs."""
    attempt, tables, room = new_attempt(), dict[str, pa.Table](), PACKED_ROWS
    files = dict[str, DataFile | None]()
    for name in (*run[0].definitions, IDS):  # in the order of their packs, which are unpacked once so
        parts = _parts(speed, run, name)
        room -= sum(part.rows for part in parts)
        merging = _ids_since(speed.remembered.since) if name == IDS else merges.get(name, UNMERGED)
        files[name] = _merged(
            speed, name, [part.path for part in parts], merging, tables if room >= 0 else None, attempt
        )
    ids = files.pop(IDS)
    epochs = _held(speed, run, tables)
    path, carried = write_pack(speed, tables, attempt)
    entry = Compacted(
        attempt=attempt,
        at=speed.clock(),
        claim=speed.writer.claim,
        first=run[0].first,
        last=run[-1].last,
        level=1 + max(link.level for link in run),
        start=run[0].start,
        end=run[-1].end,
        files=files,
        ids=ids,
        pack=path,
        data=carried,
        epochs=told(epochs) if epochs else "",
        entries=speed.history.entries_of(epoch.number for epoch in epochs),
        held=tuple(path for epoch in epochs for path in epoch.paths),
        counts=_counts(run),
        newest=_newest(run),
        kernel=KERNEL_VERSION,
        layout=LAYOUT,
    )
    return _put(speed, entry, "compact.after-files", "compact.after-entry")


def keep_ids(speed: Speed, run: Sequence[Link]) -> Compacted:
    """Puts the segment that keeps the ids of a run, and drops all else of it."""
    attempt, paths = new_attempt(), [part.path for part in _parts(speed, run, IDS)]
    ids = _merged(speed, IDS, paths, _ids_since(speed.remembered.since), None, attempt)
    entry = Compacted(
        attempt=attempt,
        at=speed.clock(),
        claim=speed.writer.claim,
        first=run[0].first,
        last=run[-1].last,
        level=LEVELS,
        start=run[0].start,
        end=run[-1].end,
        files={},
        ids=ids,
        ids_alone=True,
        counts=_counts(run),
        newest=_newest(run),
        kernel=KERNEL_VERSION,
        layout=LAYOUT,
    )
    return _put(speed, entry, "forget.after-ids", "forget.after-epochs")


def _put(speed: Speed, entry: Compacted, after_files: str, after_entry: str) -> Compacted:
    """Puts a segment whose files are written; the names of its commit points."""
    speed.lake.sync(entry.paths)
    reach(after_files)
    speed.writer.put(entry)
    reach(after_entry)
    speed.history.catch_up()
    return entry


def _parts(speed: Speed, run: Sequence[Link], name: str) -> list[DataFile]:
    """Where a run's rows of a definition stand; of the ids, those that any decoding remembers."""
    since = speed.remembered.since
    if name == IDS:
        links = [link for link in run if since is not None and link.last >= since]
        return [file for link in links if (file := link.entry.id_file) is not None]
    return [file for link in run if (file := link.entry.file(name)) is not None]


def _ids_since(since: int | None) -> Merging:
    """The ids with the epochs they were read in."""
    return Merging(READ_IDS.format(since=since), ())


def _merged(
    speed: Speed, name: str, paths: list[str], merging: Merging, tables: dict[str, pa.Table] | None, attempt: str
) -> DataFile | None:
    """A run's merged rows: among `tables`, or in a file where there are none to be put among."""
    if not paths:
        return None
    if tables is None:
        path = speed.lake.speed_path(speed.stream, name, attempt)
        rows = merging.write(speed.lake, speed.engine, paths, path)
        return DataFile(path=path, rows=rows) if rows else None
    table = merging.table(speed.lake, speed.engine, paths)
    if not table.num_rows:
        return None
    tables[name] = table
    return DataFile(path="", rows=table.num_rows)


def _held(speed: Speed, run: Sequence[Link], tables: dict[str, pa.Table]) -> list[Epoch]:
    """The epochs of a run of nothing else, as they stand in its entry; what their own entries carried goes to `tables`.

    An epoch that has an object of its own keeps it.
    """
    epochs = [link.entry for link in run if isinstance(link.entry, Epoch)]
    if len(epochs) < len(run):
        return []
    return [_moved(speed, one, tables) if one.pack.endswith(ENTRY) else one for one in epochs]


def _moved(speed: Speed, epoch: Epoch, tables: dict[str, pa.Table]) -> Epoch:
    named = {name: epoch.file(name) for name in epoch.files} | {IDS: epoch.id_file}
    own = {name: file.path for name, file in named.items() if file is not None}
    read = speed.lake.packs.tables(own.values())
    tables.update({within(epoch.number, name): table for name, table in zip(own, read, strict=True)})
    return epoch.model_copy(update={"pack": "", "within": True})


def _counts(run: Sequence[Link]) -> dict[str, Counts]:
    """Of all together; nothing where one of them was written before, and does not say it."""
    found = dict[str, Counts]()
    for link in run:
        if isinstance(link.entry, Compacted) and not link.entry.level:
            return {}
        for contract, counts in link.entry.counts.items():
            found[contract] = found.get(contract, Counts()) + counts
    return found


def _newest(run: Sequence[Link]) -> datetime | None:
    return max((link.entry.newest for link in run if link.entry.newest is not None), default=None)
