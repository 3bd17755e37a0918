"""A view for readers outside: its versions as a Delta table, its changes as a topic of upserts, so that both, put
together by their marks, are what Seamline answers.

The table is written first, then the transaction that goes on from it: whatever a marker names, stands. What is between
two markers is known from the ledger alone: groups that the epochs between them touched, where these lead from one to
the other; else all groups are compared with what is published.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, replace

import pyarrow as pa
from deltalake.exceptions import DeltaError

from seamline.advance import Advance, Say, Show, unsaid, unseen, unshown
from seamline.errors import Condition, TransientError, UserError
from seamline.operate.outside.delta_table import ROWS, HeldVersion, ViewTable, behind
from seamline.operate.outside.marks import Mark, Marker
from seamline.operate.outside.records import (
    Keyed,
    Record,
    Upsert,
    differing,
    digest,
    key_columns,
    pieces,
    published,
)
from seamline.operate.outside.upsert_topic import KafkaUpserts, UpsertTopic
from seamline.schemas.project import Project
from seamline.schemas.views.properties import PUBLISH_TABLE, PUBLISH_TOPIC, is_topic
from seamline.schemes import scheme
from seamline.serving.groups import FinishedRows
from seamline.serving.serving import Serving
from seamline.serving.snapshot import ServedView

PIECE = 50_000
"""Rows that are compared at a time."""

PUBLISHED = "published"
"""The folder of tables that have no other place: beside the lake, of which nothing outlives what is forgotten."""

RETRY = 5.0
"""Seconds after which what was away is tried again, at least."""


@dataclass(frozen=True)
class Outlets:
    """Where a view is published."""

    table: str
    """A full path or URI."""

    topic: str | None
    """None: the table alone."""


@dataclass(frozen=True)
class Purged:
    """What was taken away of before."""

    rows_before: tuple[int, ...] | None
    """By partition, the offset before which the topic holds nothing any more; None: there was nothing, or no topic."""

    files: int
    """Of the table's former versions."""


@dataclass(frozen=True)
class Publication:
    """What readers outside have after one look at the ledger."""

    mark: Mark

    table: HeldVersion | None
    """None: the view has no batch version yet."""

    marker: Marker | None
    """None: the table alone."""

    sent: bool
    """Whether the marker is of a transaction that this look sent."""

    compared: bool
    """Whether all groups were compared for it."""

    purged: Purged | None = None


def outlets(project: Project, view: str, table: str | None, topic: str | None, *, delta_only: bool) -> Outlets:
    """Where a view is published: as told, else as its properties say, else beside seamline.toml, and under the names of
    the project's folder and the view. Raises INPUT_INVALID or CONFIG_INVALID for a place or name that cannot be."""
    said = project.views[view].properties if view in project.views else {}
    place = table or said.get(PUBLISH_TABLE, "").strip() or f"{PUBLISHED}/{view}"
    place = place if scheme(place) else str((project.folder / place).absolute())
    name = topic or said.get(PUBLISH_TOPIC, "").strip() or f"{project.folder.name}.{view}"
    if not delta_only and not is_topic(name):
        raise UserError(
            Condition.INPUT_INVALID,
            f"{name!r} is no name of a topic",
            detail="letters, digits, '.', '_' and '-', at most 249",
            hint="name one with --topic, or in the view's property publish.topic",
        )
    return Outlets(place, None if delta_only else name)


class Publisher:
    """Publishes one view, look by look. What it has published last is all that it keeps."""

    def __init__(
        self, serving: Serving, view: str, table: ViewTable, topic: UpsertTopic | None, advance: Advance = unseen
    ) -> None:
        kernel = serving.settings.kernel
        self._serving, self._view = serving, view
        self._engine = serving.lake.kernel(kernel.memory, kernel.threads)
        self._table, self._topic = table, topic
        self._advance = advance
        self._last = topic.last() if topic else None

    def step(self, *, compare: bool = False) -> Publication:
        """Publishes what the ledger says now; `compare`: all groups are compared, whatever the marks say.

        Raises as `Snapshot.view`, `FinishedRows`, `ViewTable.hold` and `KafkaUpserts` do; LEDGER_CONFLICT where more is
        published than this ledger says.
        """
        self._serving.catch_up()
        served = self._serving.snapshot().view(self._view)
        mark = self._mark(served)
        rows = FinishedRows(self._serving.pool, self._engine, served)
        written = None if mark.version is None else self._table.hold(mark, lambda: _of_version(rows, self._advance))
        if self._topic is None:
            return Publication(mark, written, None, sent=False, compared=False)
        last, following = self._last, self._following(served, mark, written)
        before = last if last is not None and not compare and last.goes_on(mark, following.base) else None
        if before is not None and before.reached == following.reached:
            return Publication(mark, written, before, sent=False, compared=False)
        touched = self._serving.read_since(self._view, before.reached) if before is not None else None
        keyed = Keyed(mark.keys)
        upserts = _compared(rows, self._topic, last, keyed) if touched is None else _touched(rows, touched, keyed)
        self._last = self._topic.send(self._counted(upserts), following)
        return Publication(mark, written, self._last, sent=True, compared=touched is None)

    def purge(self) -> Publication:
        """Publishes once more so that nothing of before is needed, and takes that away: all that the topic held, keys
        of groups that are no more among it, and the files of the table's former versions.

        All groups are compared, so the transaction has every group that differs from the newest table: who begins
        there needs nothing before it. A follower that had not read so far begins anew. Raises as `step` does, and
        INPUT_INVALID where the topic lets nobody delete from it.
        """
        if self._topic is not None:
            self._topic.check_drops()
        before, found = self._last, self.step(compare=True)
        if self._topic is not None and before is not None:
            self._topic.drop(before)
        return replace(found, purged=Purged(before.ends if before else None, self._table.clear()))

    def _counted(self, upserts: Iterable[Upsert]) -> Iterator[Upsert]:
        for one in upserts:
            self._advance(1, "groups")
            yield one

    def _mark(self, served: ServedView) -> Mark:
        state, base = max(self._serving.catalogue.history(self._view).states), served.base
        keys = key_columns(served.definition)
        return Mark(self._view, served.stream, served.definition.hash, base.version, state, base.cut, keys)

    def _following(self, served: ServedView, mark: Mark, written: HeldVersion | None) -> Marker:
        """The marker after the last one. Raises LEDGER_CONFLICT where that says more than this ledger."""
        reached, last = served.chain.reached, self._last
        if last is not None:
            backwards = last.mark.stream == mark.stream and not last.reached <= reached
            if last.mark.state > mark.state or backwards:
                raise behind("the topic", last.mark, mark)
        epochs = served.chain.epochs
        return Marker(
            mark, reached, epochs[1] if epochs else None, last.sequence + 1 if last else 1,
            written.base if written else None, last.ends if last else (),
        )  # fmt: skip


def publish_view(
    project: Project, view: str, to: Outlets, *, compare: bool = False, purge: bool = False, show: Show = unshown
) -> Publication:
    """Publishes what the ledger says of a view now; `purge`: and takes away what that overwrote. Raises as
    `Publisher.step` and `Publisher.purge` do."""
    with _publisher(project, view, to, show) as publisher:
        return publisher.purge() if purge else publisher.step(compare=compare)


def follow_view(
    project: Project,
    view: str,
    to: Outlets,
    every: float,
    stop: threading.Event,
    tell: Callable[[Publication], None],
    say: Say = unsaid,
) -> None:
    """Publishes every so many seconds what has moved, and tells it, until `stop` is set. What is away for a while is
    tried again; raises what cannot pass, as `Publisher.step` does."""
    while not stop.is_set():
        try:
            with _publisher(project, view, to, unshown) as publisher:
                while not stop.is_set():
                    found = publisher.step()
                    if found.sent or (found.table is not None and found.table.rows is not None):
                        tell(found)
                    stop.wait(every)
        except TransientError as error:
            say(f"{error.message}: tried again")
            stop.wait(max(every, RETRY))


@contextmanager
def _publisher(project: Project, view: str, to: Outlets, show: Show) -> Iterator[Publisher]:
    with closing(Serving(project.lake, project.settings)) as serving, ExitStack() as stack:
        serving.snapshot().view(view)  # before a topic is made for it
        topic = None
        if to.topic is not None:
            kafka = project.settings.kafka
            topic = KafkaUpserts(project.bootstrap, kafka.options, to.topic, kafka.partitions)
            stack.enter_context(closing(topic))
        advance = stack.enter_context(show(f"publish {view}"))
        yield Publisher(serving, view, ViewTable(to.table), topic, advance)


def _of_version(rows: FinishedRows, advance: Advance) -> Iterator[pa.Table]:
    with rows.of_version() as reader:
        for table in pieces(reader, ROWS):
            advance(table.num_rows, "rows of the version")
            yield table


def _touched(rows: FinishedRows, partials: pa.Table, keyed: Keyed) -> Iterator[Upsert]:
    """Of every group that some partial rows hold, what it is now."""
    groups = rows.keys(partials)
    with rows.of_groups(groups) as reader:
        yield from differing(_records(reader, keyed), {}, set(keyed.key_records(groups)))


def _compared(rows: FinishedRows, topic: UpsertTopic, last: Marker | None, keyed: Keyed) -> Iterator[Upsert]:
    """What makes what is published the view: every group that epochs have touched since the cut, as a later version may
    be cut between them, and whatever else differs. Without a marker the table says the rest."""
    groups = rows.since_cut()
    always = set(keyed.key_records(groups))
    if last is None:
        with rows.of_groups(groups) as reader:
            yield from differing(_records(reader, keyed), {}, always)
    else:
        known = _known(topic, last)
        with rows.all() as reader:
            yield from differing(_records(reader, keyed), known, always)


def _known(topic: UpsertTopic, last: Marker) -> dict[bytes, bytes | None]:
    """What readers outside have as of a marker, whether they began from its table or have followed the topic."""
    known: dict[bytes, bytes | None] = {}
    if last.base is not None:
        keyed = Keyed(last.mark.keys)
        with suppress(DeltaError, OSError):  # a table that is gone tells nobody anything: then all rows are sent
            for table in ViewTable(last.base.table).read(last.base.version):
                known.update((key, digest(value)) for key, value in keyed.records(published(table)))
    for one in topic.read(last):
        known[one.key] = None if one.value is None else digest(one.value)
    return known


def _records(reader: pa.RecordBatchReader, keyed: Keyed) -> Iterator[Record]:
    for table in pieces(reader, PIECE):
        yield from keyed.records(table)
