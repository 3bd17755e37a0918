"""Whether records that were forgotten stand in the lake any more: from a listing of the store, not from what the ledger
says was removed. Where none does, that is put into the forget log."""

from __future__ import annotations

from collections.abc import Iterator

from seamline.clock import system_clock
from seamline.entries.forget import Cleared, Forget, Forgotten
from seamline.entries.speed import Compacted, SegmentEntry
from seamline.errors import ConflictError
from seamline.history.archive import ArchiveHistory
from seamline.history.forget import ForgetHistory
from seamline.jobs.clearing import GRACE, left_in_batch
from seamline.kernel import Kernel
from seamline.lake import RAW, Lake
from seamline.schemas.project import Project
from seamline.streaming.archive.erasing import POSITION
from seamline.streaming.archive.expiring import files_of_gone
from seamline.streaming.archive.vacuum import log_before


def prove(project: Project, stream: str) -> dict[int, list[str]]:
    """Looks for the records of each request whose removal is due: by request what still stands, nothing where it is
    done. It reads the positions of every raw file, every batch log, and the speed log."""
    lake, kernel = project.lake, project.settings.kernel
    forgets = ForgetHistory(lake.forget_log(stream))
    now, engine, found = system_clock(), lake.kernel(kernel.memory, kernel.threads), dict[int, list[str]]()
    for number, cleared in forgets.cleared.items():
        if number not in forgets.forgotten and now - cleared.at > GRACE:
            found[number] = left(lake, engine, stream, number, forgets.requests[number], cleared)
    done = tuple(number for number, standing in found.items() if not standing)
    if done:
        _put(forgets, Forgotten(at=now, requests=done))
    return found


def left(lake: Lake, engine: Kernel, stream: str, number: int, request: Forget, cleared: Cleared) -> list[str]:
    """The objects that hold records of a request, or that may, in each layer."""
    return [
        *_in_raw(lake, engine, stream, number, request),
        *left_in_batch(lake, stream, request.contract, [request.file]),
        *_in_speed(lake, stream, cleared),
    ]


def _in_raw(lake: Lake, engine: Kernel, stream: str, number: int, request: Forget) -> Iterator[str]:
    """Raw files with a record that was found, whichever version names them, or of dates that are gone, where nobody has
    looked; and what the tables' logs say of before."""
    archive = ArchiveHistory(lake.archive_log(stream))
    erased, first = archive.erased.get(number), archive.first_date(request.contract)
    if first is not None:
        yield from files_of_gone(lake, request.contract, archive.tables, first)
    tables = erased.after if erased is not None else {}
    for item in lake.listed(RAW):
        path = item["path"]
        if path.endswith(".parquet") and "/_delta_log/" not in path and any(path.startswith(f"{t}/") for t in tables):
            inputs = {"raw": lake.read([path]), "found": lake.read([request.file])}
            held = f"SELECT count(*) AS n FROM raw SEMI JOIN found USING ({POSITION})"
            if engine.run(held, inputs)["n"][0].as_py():
                yield path
    for table, version in tables.items():
        if erased is not None and erased.before.get(table, version) != version:
            yield from log_before(lake, table, version)


def _in_speed(lake: Lake, stream: str, cleared: Cleared) -> Iterator[str]:
    """Entries of epochs up to the cut, and of segments of them, but for those that keep ids alone."""
    log = lake.speed_log(stream)
    for number, entry in log.entries():
        below = isinstance(entry, SegmentEntry) and entry.start != entry.end and entry.end <= cleared.cut
        if below and not (isinstance(entry, Compacted) and entry.ids_alone):
            yield log.path(number)


def _put(forgets: ForgetHistory, entry: Forgotten) -> None:
    while True:
        try:
            forgets.log.put_last(forgets.number + 1, entry)
        except ConflictError:
            forgets.load()
            continue
        return
