"""Batch partials held in memory, of views whose rows stand in many files: a question that needs all of them opens none.

To open a file takes 0.1 to 0.2 ms, which is most of what a key costs that every date has. Rows are held by file: those
of the next version that are the same are not read again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial

import pyarrow as pa

from seamline.errors import SeamlineError
from seamline.schemas.views.definition import Definition
from seamline.serving.bounds import BatchFiles
from seamline.serving.snapshot import ServedView, Snapshot

FEWEST = 8
"""A version of fewer files is read in place: what their row groups say of themselves spares more than opening costs."""

Read = Callable[[Definition, str], pa.Table]
"""The partial rows of the file at a path."""


def held(snapshot: Snapshot, room: int, read: Read) -> Snapshot:
    """The snapshot with the batch partials of as many views in memory as `room` bytes take, those of fewest rows first.

    It is decided once for a set of versions. Then each file is read that was not held before, of a view that does not
    fit one or two.
    """
    many = [
        (sum(one.batch.rows), view, one, one.batch)
        for view, one in snapshot.views.items()
        if isinstance(one, ServedView) and isinstance(one.batch, BatchFiles) and len(one.batch.paths) >= FEWEST
    ]
    if all(files.held is not None for *_, files in many):
        return snapshot
    views = dict(snapshot.views)
    for _, view, served, files in sorted(many, key=lambda one: one[:2]):
        rows = _rows(files, room, partial(read, served.definition))
        room -= sum(table.nbytes for table in rows.values())
        views[view] = replace(served, batch=replace(files, held=rows, earlier={}, known=files.found))
    return Snapshot(views, snapshot.as_of)


def _rows(files: BatchFiles, room: int, read: Callable[[str], pa.Table]) -> Mapping[str, pa.Table]:
    """The rows by file; none where they do not fit, or cannot be read: a query will tell. The smallest file shows how
    many bytes a row has, so that no large one is read in vain."""
    known = files.held or files.earlier
    found: dict[str, pa.Table] = {}
    size, rows, total = 0, 0, sum(files.rows)
    with suppress(SeamlineError):
        for number, path in sorted(zip(files.rows, files.paths, strict=True)):
            found[path] = known[path] if path in known else read(path)
            size, rows = size + found[path].nbytes, rows + number
            if size * total > room * rows:
                return {}
        return found
    return {}
