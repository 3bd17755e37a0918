"""What is served is computed again without records that are forgotten, and what held them is withdrawn, then removed.

Safe to repeat, and beside runs, rollbacks and retention: a run that began before raw was without them is void, from an
entry in its definition's log on; what is withdrawn is settled in the view's log, between two of its states, as
retention does. So whatever is served from the last entry on, or can be gone back to, has read raw after that.

It works on every batch log of the lake whose definition reads the contract, or is live in its stream: those share the
epochs that go.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from functools import reduce

from seamline.commitpoint import reach
from seamline.entries.base import DataFile
from seamline.entries.batch import Withdrawn
from seamline.entries.forget import Cleared
from seamline.errors import Condition, ConflictError
from seamline.frontier import Frontier, joined
from seamline.history.archive import ArchiveHistory
from seamline.history.batch import BatchHistory
from seamline.history.forget import ForgetHistory
from seamline.jobs.batch import Batch
from seamline.jobs.compute import MENDED
from seamline.jobs.retention import files_of, remove_below
from seamline.jobs.unit import UnitResult
from seamline.lake import Lake
from seamline.objects import get
from seamline.schemas.catalogue import Catalogue
from seamline.units import Unit

GRACE = timedelta(hours=1)
"""What is withdrawn can be read for so long: longer than the longest query."""

ATTEMPTS = 8
"""How often it is decided again, or refreshed again, where others put meanwhile."""


def clear(batch: Batch, stream: str) -> str:
    """Goes on with what the requests of a stream ask of its batch versions, up to the entry that says they serve none
    of the records. Returns why it cannot yet; '' where nothing is left to do. Raises what a refresh does."""
    lake = batch.lake
    forgets = ForgetHistory(lake.forget_log(stream))
    pending = forgets.pending
    if not pending:
        return ""
    archive = ArchiveHistory(lake.archive_log(stream))
    late = [number for number in pending if number not in archive.erased]
    if late:
        return f"the archive of stream {stream} has not taken the records of request {late[0]} out of raw yet"
    catalogue, newest = Catalogue(lake), max(pending)
    definitions = concerned(lake, catalogue, stream, {one.contract for one in pending.values()})
    for definition in definitions:
        _void(batch, definition, newest)
    reach("forget.after-void")
    until = joined(one.until for one in pending.values())
    for view in catalogue.in_order():
        if _is_live(catalogue, str(catalogue.states[view].served), stream):
            why = _serve(batch, view, max(archive.erased[number].entry for number in pending), until)
            if why:
                return f"{view}: {why}"
    catalogue.catch_up()
    lowest = {definition: _withdraw(batch, catalogue, definition, newest) for definition in definitions}
    reach("forget.after-withdrawn")
    cuts = [cut for definition in definitions if (cut := _served_cut(lake, catalogue, definition)) is not None]
    cut = reduce(Frontier.meet, cuts) if cuts else until
    if not until <= cut:
        return "a view was rolled back meanwhile"
    entry = Cleared(at=batch.clock(), requests=tuple(pending), cut=cut, versions=lowest)
    _put(forgets, entry)
    reach("forget.after-cleared")
    return ""


def concerned(lake: Lake, catalogue: Catalogue, stream: str, contracts: set[str]) -> list[str]:
    """The definitions with a batch log, or live in the stream, whose versions may hold the records: of those that are
    not live all that read one of the contracts, and all of which nobody knows what they read."""
    read = {
        record.definition: record.contracts.keys()
        for state in catalogue.states.values()
        for record in state.definitions
    }
    live = {one.hash for one in catalogue.live(stream)}
    elsewhere = {definition for state in catalogue.states.values() for definition in state.live} - live
    held = {one for one in lake.batches() if one not in elsewhere and (one not in read or contracts & read[one])}
    return sorted(live | held)


def remove(lake: Lake, stream: str, now: datetime) -> int:
    """Removes withdrawn versions that went with a request, an hour after: files, then entries, oldest first; and what
    runs that are void had made. Returns how many files. Takes time by the batch logs, where there is such a request."""
    forgets, removed = ForgetHistory(lake.forget_log(stream)), 0
    due = [n for n, one in forgets.cleared.items() if n not in forgets.forgotten and now - one.at > GRACE]
    found = [forgets.requests[number].file for number in due]
    erased = ArchiveHistory(lake.archive_log(stream)).erased if due else {}
    days = {day for number in due for of in erased[number].dates.values() for day in of}
    gone_of = _gone(lake, stream, {forgets.requests[number].contract for number in due})
    for definition in lake.batches() if due else ():
        first = gone_of(definition)
        history = BatchHistory(lake.batch_log(definition))
        if history.forgets[0] and history.withdrawn_at is not None and now - history.withdrawn_at > GRACE:
            gone = {path for one in history.gone.values() for path in _on(days, first, one.units)}
            gone |= set(_set_aside(lake, definition, found))
            made = [_made(lake, item["path"]) for run in history.void for item in lake.listed(lake.marker_prefix(run))]
            gone |= {path for units in made for path in _on(days, first, units)}
            lake.delete(sorted(gone - files_of(history.versions.values())))
            reach("forget.after-removed")
            remove_below(history.log, history.withdrawn)
            removed += len(gone)
    return removed


def left_in_batch(lake: Lake, stream: str, contract: str, found: Sequence[str]) -> Iterator[str]:
    """What batch logs still have of versions that went with a request for a contract, and files that hold records which
    it has found, or may. Takes time by the batch logs and what runs have set aside."""
    gone_of = _gone(lake, stream, {contract})
    for definition in lake.batches():
        history = BatchHistory(lake.batch_log(definition))
        yield from _left_of_gone(lake, history, definition, gone_of(definition))
        if history.forgets[0]:
            yield from (history.log.path(number) for number in sorted(history.gone))
        yield from _set_aside(lake, definition, found)


def _made(lake: Lake, marker: str) -> Mapping[str, Sequence[DataFile]]:
    """The unit that a run has done, and its file."""
    body = get(lake.store, marker)
    result = UnitResult.model_validate_json(body) if body is not None else None
    return {result.unit: (result.file,)} if result is not None and result.file is not None else {}


def _on(days: Collection[date], first: date, units: Mapping[str, Sequence[DataFile]]) -> set[str]:
    """The files of units of some event dates, and of those before `first`. What stands of others may be taken over by
    later runs."""
    on = {unit for unit in units if (day := Unit.parse(unit).day) in days or day < first}
    return {file.path for unit, files in units.items() if unit in on for file in files}


def _gone(lake: Lake, stream: str, contracts: set[str]) -> Callable[[str], date]:
    """Of a definition, the event date before which raw of contracts that it reads is gone."""
    begins = ArchiveHistory(lake.archive_log(stream)).begins
    first = max((one.date for name, one in begins.items() if name in contracts), default=date.min)
    states = Catalogue(lake).states.values()
    read = {record.definition: record.contracts.keys() for state in states for record in state.definitions}
    return lambda definition: first if contracts & read.get(definition, contracts) else date.min


def _left_of_gone(lake: Lake, history: BatchHistory, definition: str, first: date) -> Iterator[str]:
    """Files of a definition of dates whose raw is gone, which no version lists any more."""
    prefix, listed = lake.batch_prefix(definition), files_of(history.versions.values())
    for item in lake.listed(prefix) if first > date.min else ():
        unit = item["path"].removeprefix(prefix).rpartition("/")[0]
        if item["path"] not in listed and unit != MENDED and Unit.parse(unit).day < first:
            yield item["path"]


def _set_aside(lake: Lake, definition: str, found: Sequence[str]) -> Iterator[str]:
    """Files of raw rows that a run of a definition wrote for itself, and that hold records which some requests have
    found: the run is void, or dead."""
    prefix, engine = lake.batch_prefix(definition), lake.kernel()
    for item in lake.listed(prefix):
        path = item["path"]
        if path.startswith(f"{prefix}{MENDED}/") or path.endswith(".decoded.parquet"):
            inputs = {"rows": lake.read([path]), "found": lake.read(found)}
            held = "SELECT count(*) AS n FROM rows SEMI JOIN found USING (_source, _partition, _offset)"
            if engine.run(held, inputs)["n"][0].as_py():
                yield path


def _is_live(catalogue: Catalogue, definition: str, stream: str) -> bool:
    return any(one.hash == definition for one in catalogue.live(stream))


def _void(batch: Batch, definition: str, request: int) -> None:
    """Ends every run of a definition that was reserved before the records went from raw."""
    history = BatchHistory(batch.lake.batch_log(definition))
    while history.forgets[0] < request:
        entry = Withdrawn(at=batch.clock(), definition=definition, below=history.withdrawn, forgets=request)
        _put(history, entry)


def _serve(batch: Batch, view: str, entry: int, until: Frontier) -> str:
    """Refreshes a view until what it serves has read that entry of the archive and reaches far enough; why it does not,
    or ''."""
    for _ in range(ATTEMPTS):
        state = Catalogue(batch.lake).states[view]
        history = BatchHistory(batch.lake.batch_log(str(state.served)))
        version = history.versions.get(state.version or 0)
        stale = any(one.archive_entry < entry for n, one in history.versions.items() if n > (state.version or 0))
        if (
            version is not None
            and version.archive_entry >= entry
            and until <= version.cut
            and not (stale or version.skipped)
        ):
            return ""
        if version is not None and version.skipped and version.archive_entry >= entry:
            return f"its units {', '.join(sorted(version.skipped))} are skipped on an operator's word"
        outcome = batch.rebuild(view) if stale else batch.refresh(view)  # over one that was held, and never served
        if outcome.version is None:
            return outcome.reason
    return "it was refreshed and something else was served at once, again and again"


def _withdraw(batch: Batch, catalogue: Catalogue, definition: str, request: int) -> int:
    """Withdraws what a definition had before the version that it serves, or all; returns the lowest that is left."""
    history, view = BatchHistory(batch.lake.batch_log(definition)), catalogue.history_of(definition)
    for _ in range(ATTEMPTS):
        below = history.forgets[1]
        if view is not None:
            view.catch_up()
            history.catch_up()
            state = view.state
            if state is not None and state.served == definition and state.version is not None:
                below = history.lowest(state.version)
            if below > view.withdrawn.get(definition, 1):
                try:
                    view.log.put_last(view.number + 1, Withdrawn(at=batch.clock(), definition=definition, below=below))
                except ConflictError:
                    view.load()
                    continue
        if below > history.withdrawn:
            entry = Withdrawn(at=batch.clock(), definition=definition, below=below, forgets=request)
            _put(history, entry)
        return below
    raise _busy(definition)


def _served_cut(lake: Lake, catalogue: Catalogue, definition: str) -> Frontier | None:
    """Where what is served of a definition ends; None where it is not."""
    view = catalogue.history_of(definition)
    state = view.state if view is not None else None
    if state is None or state.served != definition or state.version is None:
        return None
    version = BatchHistory(lake.batch_log(definition)).versions.get(state.version)
    return version.cut if version is not None else Frontier()


def _put(history: BatchHistory | ForgetHistory, entry: Withdrawn | Cleared) -> None:
    """Puts an entry that is right whatever others put before it."""
    for _ in range(ATTEMPTS):
        try:
            history.log.put_last(history.number + 1, entry)
        except ConflictError:
            history.load()
            continue
        history.catch_up()
        return
    raise _busy(history.log.name)


def _busy(what: str) -> ConflictError:
    return ConflictError(
        Condition.LEDGER_CONFLICT, f"{what} is worked on by others, again and again", hint="the next pass goes on"
    )
