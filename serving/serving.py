"""The merged answer as a library: follows the ledger, and hands out immutable snapshots of every view.

The order of reading makes a snapshot consistent: views first, then batch versions, then epochs, so that whatever a view
names was put before it was read.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping

import pyarrow as pa

from seamline.claims import Lease, read_lease
from seamline.clock import Clock, system_clock
from seamline.config import Settings
from seamline.entries.topics import Gone
from seamline.entries.views import Published
from seamline.errors import Condition, SeamlineError, TransientError
from seamline.frontier import Frontier
from seamline.hints import Hints, Moved
from seamline.history.archive import ArchiveHistory
from seamline.history.base import grown, read_on
from seamline.history.batch import BatchHistory
from seamline.history.forget import ForgetHistory, Forgetting
from seamline.history.speed import SpeedHistory
from seamline.history.topics import TopicsHistory
from seamline.kernel import Limits, parquet
from seamline.lake import BACKFILLS, Lake
from seamline.observe.timed import step, timed
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.views.definition import Definition
from seamline.segment import check_seam
from seamline.serving.bounds import BatchFiles, time_keys
from seamline.serving.breaker import StoreBreaker
from seamline.serving.callers import LOCAL, Caller
from seamline.serving.chains import (
    ChainBase,
    answered_without,
    chain_from,
    epoch_links,
    is_seam,
    past_chain,
    served_base,
    served_definition,
)
from seamline.serving.cursor import stored
from seamline.serving.going_back import GoingBack
from seamline.serving.held import held
from seamline.serving.parameters import Parameters
from seamline.serving.pauses import Pauses
from seamline.serving.pool import Pool
from seamline.serving.provenance import Answer
from seamline.serving.query import Described, Query, described
from seamline.serving.snapshot import ServedView, Snapshot
from seamline.serving.status import Status, ViewStatus, status_of, view_status
from seamline.serving.tail import FANOUT, Partials, Runs, extend

FOLLOWS = ("views", "batch", "speed", "forget", BACKFILLS)
"""Kinds of log whose hints are followed; what a stream's topics say is read with its epochs."""


class Serving:
    """Follows a lake. One thread calls `catch_up`; any thread may take snapshots and query them meanwhile.

    What changes, by `catch_up` alone: the histories as followed, the newest snapshot that was made of them, and
    whether there is something to make up for.
    """

    def __init__(self, lake: Lake, settings: Settings, clock: Clock = system_clock) -> None:
        self.lake = lake
        self.settings = settings
        self.clock = clock
        kernel = settings.kernel
        self.pool = Pool(Limits(memory=kernel.memory, threads=kernel.threads), settings.serving.query_seconds)
        self.engine = lake.kernel(kernel.memory, kernel.threads)
        self._lock = threading.RLock()
        self._breaker = StoreBreaker()
        self.catalogue = Catalogue(lake)
        self._speed: dict[str, SpeedHistory] = {}
        self._archive: dict[str, ArchiveHistory] = {}
        self._topics: dict[str, TopicsHistory] = {}
        self._forgets: dict[str, ForgetHistory] = {}
        self._batch: dict[str, BatchHistory] = {}
        self._partials: dict[str, Partials] = {}
        self._pauses = Pauses(lake)
        self._going_back = GoingBack()
        self._hints = Hints(lake.store, FOLLOWS, settings.serving.pace(lake.uri).sweep, clock)
        self._current = Snapshot({})
        self._behind = True
        self.catch_up()

    def catch_up(self) -> bool:
        """Reads on in the ledger and makes a new snapshot of what it says; True where there was something new.

        Raises TransientError where the lake is out of reach, TerminalError LEDGER_FORMAT for an entry it cannot read;
        the snapshot before stays. Whatever a look leaves undone because the store failed it (entries that were read and
        not shown, a view whose files could not be) is done by the next one, whether or not there is a new entry.

        Where nothing moved it is one request, whatever the number of views. A log that moved is a few more; every so
        often all are looked at: a request for each view and stream, and for each 1,000 entries of batch logs.
        """
        with self._lock:
            return self._breaker.call(self._look)

    def _look(self) -> bool:
        was_behind, self._behind = self._behind, True  # until this look has come to its end
        moved = self._hints.look()
        changed = self._read(moved, was_behind)
        self._pauses.catch_up(moved, self.catalogue.states)
        self._hints.done(moved)
        if not changed and not was_behind:
            self._behind = False
            return False
        views = self._assemble()
        apart = [view for view, v in views.items() if isinstance(v, SeamlineError) and is_seam(v)]
        if apart and self._read(self._logs_of(apart), again=True):
            views = self._assemble()  # what was missing may have been put, or retired, while this was read
        self._current, self._behind = Snapshot(views), any(map(_may_pass, views.values()))
        return True

    def snapshot(self, as_of_epoch: int | None = None, views: Iterable[str] | None = None) -> Snapshot:
        """The newest snapshot; or one as of a past epoch (of each view's own stream), for all or some `views`.

        A view that has no chain to that epoch any more raises OUT_OF_RETENTION when it is asked.
        """
        if as_of_epoch is None:
            return self._current
        with self._lock:
            states = self.catalogue.states
            wanted = states if views is None else {v: states[v] for v in views if v in states}
            past = {v: self._guarded(state, as_of_epoch) for v, state in wanted.items()}
        others = {v: s for v, s in self._current.views.items() if v not in past} if views is None else {}
        return Snapshot({**others, **past}, as_of_epoch)

    def query(
        self,
        sql: str,
        parameters: Parameters = (),
        *,
        as_of: int | None = None,
        caller: Caller = LOCAL,
        seconds: float | None = None,
    ) -> Answer:
        """Answers one SELECT from the newest snapshot, or as of a past epoch: as much of it as the caller may see, and
        within `seconds`, where these are fewer than serving.query_seconds."""
        with timed("query", kind="newest" if as_of is None else "as_of"):
            with step("query", "parse"):
                query = Query(sql, self.pool, parameters, seconds)
            snapshot = self._current.seen_by(caller)
            if as_of is not None:
                snapshot = self.snapshot(as_of, query.views(snapshot)).seen_by(caller)
            return query.run(snapshot, self.clock)

    def describe(self, sql: str, caller: Caller = LOCAL) -> Described:
        """What the answer of one SELECT will be like, and which types its parameters have. Nothing is run."""
        return described(sql, self.pool, self._current.seen_by(caller))

    def prepare(self) -> None:
        """Makes ready for queries over the newest snapshot, so that they need not wait for what can be done before: 20
        ms, and what `hold` takes."""
        self.hold()
        self.pool.prepare(self._current.files)

    def hold(self) -> None:
        """Reads what queries over the newest snapshot would have to read otherwise: for each batch file that is new 0.2
        ms, or as long as it takes to read where its rows are held."""
        with self._lock:
            self._current = held(self._current, self.settings.serving.held_mb << 20, self._rows)
        for view in self._current.views.values():
            if isinstance(view, ServedView) and isinstance(view.batch, BatchFiles):
                view.batch.prepare()

    def read_since(self, view: str, frontier: Frontier) -> pa.Table | None:
        """`rows_since` of the newest snapshot. Raises like `Snapshot.view`."""
        return self.rows_since(self._current.view(view), frontier)

    def rows_since(self, served: ServedView, frontier: Frontier) -> pa.Table | None:
        """The partial rows of what a served view has read from a frontier on, merged; None where no epochs lead on from
        there any more. Reads what these epochs hold."""
        with self._lock:
            definition, history = served.definition, self._speed[served.stream]
            if frontier == served.chain.reached:
                return self._of(definition).merge([])
            try:
                base = ChainBase(None, frontier)
                chain = chain_from(definition.view, definition.hash, base, history, served.chain.reached)
            except SeamlineError as error:
                if not is_seam(error):
                    raise
                return None
            return self._of(definition).load(chain.segments).table

    def reached_at(self, stream: str, epoch: int) -> Frontier | None:
        """Where an epoch of a stream ended; None where it is not known any more."""
        with self._lock:
            history = self._speed.get(stream)
            found = history.epochs.get(epoch) if history else None
            return found.end if found else None

    def served(self) -> dict[str, tuple[ViewStatus, BatchHistory | None]]:
        """How each view is and its definition's versions, as of the last look: nothing is read, and no look waits."""
        views, found = self._current.views, {}
        for name, state in sorted(self.catalogue.states.items()):
            batch = self._batch.get(str(state.served))
            found[name] = view_status(state, batch, views.get(name)), batch
        return found

    def is_paused(self, view: str) -> bool:
        """Whether an operator has paused a backfill of a view, as of the last look."""
        return view in self._pauses

    def status(self, ends: Mapping[str, Frontier] | None = None) -> Status:
        """How far every stream and view is. `ends`: by stream, where Kafka's logs end now, if the caller asked it."""
        with self._lock:
            self._breaker.call(self._read_besides)
            return status_of(
                self._speed, self._archive, self._topics, self._batch, self.catalogue.states, self._current.views,
                ends or {},
                {stream: self._writers(stream) for stream in self._speed}, self.clock(),
            )  # fmt: skip

    def _read_besides(self) -> None:
        """Reads on in the logs that no answer depends on."""
        for stream in self._speed:
            if stream in self._archive:
                read_on([self._archive[stream]], beyond=True)
            else:
                self._archive[stream] = ArchiveHistory(self.lake.archive_log(stream))
        for topics in self._topics.values():
            topics.catch_up()

    def _writers(self, stream: str) -> dict[str, Lease]:
        """Who seems to hold the logs of a stream now."""
        logs = {"speed": self.lake.speed_log(stream), "archive": self.lake.archive_log(stream)}
        leases = {name: read_lease(self.lake, log) for name, log in logs.items()}
        return {name: lease for name, lease in leases.items() if lease is not None and not lease.is_over(self.clock())}

    def close(self) -> None:
        """Ends its connections; no query may run any more."""
        self.pool.close()

    # reading the ledger: views, then batch versions, then epochs

    def _read(self, moved: Moved, again: bool) -> bool:
        """Asks the logs that moved, and of each view that did, its batch and speed logs too: what it names was put
        before it was read, whether or not a hint of that came. `again`: a look before this one did not come to its end.
        """
        changed, sweep = self.catalogue.catch_up(moved), moved.places is None
        states = list(self.catalogue.states.values())
        known = self._batches(states, moved)
        for state in states:
            if state.served is not None and state.served not in self._batch:
                self._batch[state.served] = BatchHistory(self.lake.batch_log(state.served))
                changed = True
        changed |= read_on(known, beyond=sweep)
        changed |= self._open_streams(states)
        for stream, history in self._speed.items():
            asked = history.log.name in moved or moved.any_of("views", "batch")
            news = asked and read_on([history], beyond=sweep)
            if news or again:
                news |= self._topics[stream].catch_up()  # what is accepted as gone is passed over by an epoch
            changed |= news
            if again or self._forgets[stream].log.name in moved:
                changed |= self._forgets[stream].catch_up()
        return changed

    def _batches(self, states: Iterable[Published], moved: Moved) -> list[BatchHistory]:
        """The batch logs to ask, of those that are followed. Where all are looked at, one listing says which moved."""
        if moved.places is None:
            return grown(self.lake.store, "batch", self._batch.values())
        named = {state.served for state in states if self.lake.view_log(state.view).name in moved}
        return [one for hash_, one in self._batch.items() if hash_ in named or one.log.name in moved]

    def _open_streams(self, states: Iterable[Published]) -> bool:
        """Begins to follow the streams of what is served; True where one is new."""
        new = False
        for state in states:
            try:
                stream = self.catalogue.stream(str(state.served))
            except SeamlineError:
                continue  # told by the view itself
            if stream not in self._speed:
                speed = SpeedHistory(self.lake.speed_log(stream), self.lake.packs.keep)
                self._speed[stream], self._topics[stream] = speed, TopicsHistory(self.lake.topics_log(stream))
                self._forgets[stream] = ForgetHistory(self.lake.forget_log(stream))
                new = True
        return new

    def _logs_of(self, views: Iterable[str]) -> Moved:
        """Every log that these views are answered from."""
        logs = set[str]()
        for view in views:
            served = str(self.catalogue.states[view].served)
            speed = self.lake.speed_log(self.catalogue.stream(served))
            logs |= {log.name for log in (self.lake.view_log(view), self.lake.batch_log(served), speed)}
        return Moved.of(logs)

    def _assemble(self) -> dict[str, ServedView | SeamlineError]:
        return {view: self._guarded(state) for view, state in sorted(self.catalogue.states.items())}

    def _guarded(self, state: Published, as_of: int | None = None) -> ServedView | SeamlineError:
        """One view, or why it cannot answer: one broken view does not stop the others."""
        try:
            if as_of is None:
                return self._view(state)
            self._breaker.check()
            return self._past(state, as_of)
        except SeamlineError as error:
            return error

    # one view

    def _view(self, state: Published) -> ServedView:
        definition, stream = served_definition(self.catalogue, state)
        erased = self._erased(definition, stream)
        history, batch = self._speed[stream], self._batch[definition.hash]
        base = served_base(state, definition, batch, history)
        before = self._current.views.get(state.view)
        if not isinstance(before, ServedView) or before.definition.hash != definition.hash:
            before = None
        runs = self._runs(state.view, definition, base, history, before.runs if before else ())
        files = before.batch if before else None
        if before is None or before.base != base:
            files = self._files(definition, batch, base, files)
        last = history.epochs.get(history.last_epoch)
        gone = self._gone(definition, stream, history.frontier)
        committed, back_to = last.at if last else None, self._back_to(state, definition, batch, history)
        return ServedView(
            definition, stream, base, files, runs, history.newest, committed, gone, erased, back_to, history.last_epoch
        )

    def _erased(self, definition: Definition, stream: str) -> Forgetting | None:
        """What was asked to be forgotten of its records. Raises ERASURE_PENDING where it is not answered until then."""
        names = {contract.name for contract in self.catalogue.contracts(definition.hash)}
        return answered_without(self._forgets[stream], definition.view, names)

    def _gone(self, definition: Definition, stream: str, reached: Frontier) -> tuple[Gone, ...]:
        names = (contract.name for contract in self.catalogue.contracts(definition.hash))
        return self._topics[stream].gone_of(names, reached)

    def _past(self, state: Published, epoch: int) -> ServedView:
        definition, stream = served_definition(self.catalogue, state)
        history, batch = self._speed[stream], self._batch[definition.hash]
        stood = self.catalogue.history(state.view).stood(definition.hash)
        chain = past_chain(definition, stood, batch, history, epoch)
        partials = self._of(definition)
        runs = (partials.load(chain.segments),) if chain.segments else ()
        version = batch.versions[chain.version] if chain.version is not None else None
        told = (version.audit.verified, tuple(version.skipped), version.begins) if version else (None, (), {})
        base = ChainBase(chain.version, chain.cut, *told)
        at = history.epochs.get(epoch)
        now = self._current.views.get(state.view)
        files = self._files(definition, batch, base, now.batch if isinstance(now, ServedView) else None)
        return ServedView(
            definition, stream, base, files, runs, at.newest if at else None, at.at if at else None,
            self._gone(definition, stream, chain.reached), self._erased(definition, stream),
            self._back_to(state, definition, batch, history), epoch,
        )  # fmt: skip

    def _back_to(
        self, state: Published, definition: Definition, batch: BatchHistory, history: SpeedHistory
    ) -> int | None:
        return self._going_back.of(definition, self.catalogue.history(state.view), batch, history)

    def _runs(self, view: str, definition: Definition, base: ChainBase, history: SpeedHistory, kept: Runs) -> Runs:
        """The runs from the base's cut to the history's frontier; those `kept` from before that still fit are used."""
        partials = self._of(definition)
        kept = tuple(run for run in kept if base.cut <= run.segment.start)
        runs = self._joined(view, definition, base, history, kept) if kept else None
        if runs is None:
            chain = chain_from(view, definition.hash, base, history, history.frontier)
            return (partials.load(chain.segments),) if chain.segments else ()
        return runs

    def _joined(
        self, view: str, definition: Definition, base: ChainBase, history: SpeedHistory, kept: Runs
    ) -> Runs | None:
        """What lies before the kept runs is read from segments, and the epochs after them are added, one by one.

        None where they do not meet: then the whole chain is looked at, which finds the reason.
        """
        partials = self._of(definition)
        first, last = kept[0].segment, kept[-1].segment
        try:
            runs = kept
            if first.start != base.cut:
                missing = chain_from(view, definition.hash, base, history, first.start).segments
                runs = (partials.load(missing), *kept)
            links = list(epoch_links(definition.hash, history, range(last.last + 1, history.last_epoch + 1)))
            check_seam(last.end, links)
            many = len(links) > FANOUT
            for group in [links] if many else [[link] for link in links]:
                runs = extend(base.cut, runs, partials.load(group), partials.merge)
        except SeamlineError as error:
            if not is_seam(error):
                raise
            return None
        return runs if runs[-1].segment.end == history.frontier else None

    def _files(
        self, definition: Definition, batch: BatchHistory, base: ChainBase, before: pa.Table | BatchFiles | None = None
    ) -> pa.Table | BatchFiles | None:
        """The files of a base, to be read in place where they are local; None where it has none. `before`: of another
        base, of whose files something may be known."""
        if base.version is None:
            return None
        rows = {file.path: file.rows for files in batch.files(base.version).values() for file in files if file.rows}
        if not rows:
            return None
        read = self.lake.read_files(rows)
        if isinstance(read, pa.Table):
            return read
        names = dict(zip(read, rows, strict=True))
        known, earlier = before.kept if isinstance(before, BatchFiles) else ({}, {})
        return BatchFiles(
            tuple(read), tuple(rows.values()), time_keys(definition), lambda path: self.lake.footer(names[path]),
            known, earlier=earlier,
        )  # fmt: skip

    def _rows(self, definition: Definition, path: str) -> pa.Table:
        return self.engine.run(f"SELECT {stored(definition)} FROM {parquet([path])}")

    def _of(self, definition: Definition) -> Partials:
        if definition.hash not in self._partials:
            self._partials[definition.hash] = Partials(self.lake, self.engine, definition)
        return self._partials[definition.hash]


def _may_pass(view: ServedView | SeamlineError) -> bool:
    """Whether a view's error may be gone at the next look without a new entry: the store failed, not the chain."""
    pending = isinstance(view, TransientError) and view.condition is Condition.ERASURE_PENDING
    return isinstance(view, TransientError) and not pending and not is_seam(view)
