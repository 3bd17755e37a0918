"""What of a speed log is compacted, retired and swept. Every decision is a pure function over frozen values.

- Compaction puts adjacent segments together, level by level, never across a cut that a served, restorable or reserved
version has. The first level holds its epochs, so that their entries may go, and each of their ends stands on.
- Retirement drops what a compacted segment stands for, and epochs beyond retention, once each such cut has passed them.
- A sweep removes entries that were superseded, with their files, and files that no entry lists, a day after they were
written.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, KeysView, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce

from seamline.attempts import may_be_swept
from seamline.entries.speed import Compacted, Epoch
from seamline.entries.views import Published
from seamline.errors import TerminalError
from seamline.frontier import START, Frontier
from seamline.history.batch import BatchHistory
from seamline.history.epochs import span_within
from seamline.history.speed import SpeedHistory, Superseded
from seamline.ledger import HELD_GRACE
from seamline.schemas.views.properties import Keep
from seamline.segment import build_chain

GRACE = timedelta(hours=1)
"""What was retired stays readable for this long: longer than the longest query."""

SETTLED = timedelta(minutes=10)
"""A cut that has stood for so long is one of a version: that of a run, or of a first version to come, moves on."""

LEVELS = 3
"""How often rows may be put together: with 64 to one, 262,144 epochs become one segment."""


@dataclass(frozen=True)
class Link:
    """One segment of a stream's whole range, as an epoch or a compacted entry committed it."""

    first: int
    last: int
    entry: Epoch | Compacted

    @property
    def start(self) -> Frontier:
        """Where it begins."""
        return self.entry.start

    @property
    def end(self) -> Frontier:
        """Where it ends."""
        return self.entry.end

    @property
    def definitions(self) -> KeysView[str]:
        """Those that it lists, in its own order."""
        return self.entry.files.keys()

    @property
    def level(self) -> int:
        """How often its rows were put together. Written before, it follows from the width, 64 to one."""
        if isinstance(self.entry, Epoch) or self.entry.level:
            return 0 if isinstance(self.entry, Epoch) else self.entry.level
        return max(1, (self.last - self.first + 1).bit_length() // 6)


def cover(history: SpeedHistory) -> list[Link]:
    """The fewest segments that cover what stands, oldest first: compacted ones where there are any, else epochs."""
    links: list[Link] = []
    for span, entry in sorted(history.compacted.items(), key=lambda item: (item[0][0], -item[0][1])):
        if not links or span[0] > links[-1].last:
            links.append(Link(*span, entry))
    firsts = [link.first for link in links]
    for number, epoch in history.epochs.alone.items():
        before = bisect_right(firsts, number) - 1
        if before < 0 or links[before].last < number:
            links.append(Link(number, number, epoch))
    return sorted(links, key=lambda link: link.first)


def plan_ids_alone(history: SpeedHistory, cut: Frontier) -> tuple[Link, ...]:
    """The segments that end at or before a cut, of which the ids alone shall stay, up to the last that holds anything
    else; empty where it is so. Pure."""
    below = [link for link in cover(history) if link.end <= cut]
    while below and _holds_ids_alone(below[-1]):
        below.pop()
    return tuple(below)


def _holds_ids_alone(link: Link) -> bool:
    """Whether no partial row stands in it: it has no records either, or was put together so."""
    return link.start == link.end or (isinstance(link.entry, Compacted) and link.entry.ids_alone)


def any_link(_: Link) -> bool:
    """Where every segment can be read."""
    return True


def plan_compaction(
    links: Sequence[Link], cuts: Iterable[Frontier], size: int, now: datetime, reads: Callable[[Link], bool] = any_link
) -> tuple[Link, ...]:
    """The first run of segments that may become one; empty where there is none.

    They meet end to end, list the same definitions, and hold none of `cuts` inside; each is one that today's statements
    read (`reads`), since what is made of them says that today's stored it. A run is `size` segments of a level, with
    those of lower ones between them; or all there are where no more can come, as a cut of a while ago, or what was put
    together before, lies after them. So what stands follows from the cuts and the volume.
    """
    divided = divisions(links, cuts)
    for level in range(LEVELS if size > 1 else 0):
        readable = {link.first for link in links if link.level <= level and reads(link)}
        for stretch, closed in _stretches(links, divided, readable):
            own = [number for number, link in enumerate(stretch) if link.level == level]
            if len(own) >= size:
                return tuple(stretch[: own[size - 1] + 1])
            if closed and own and len(stretch) > 1 and now - stretch[-1].entry.at > SETTLED:
                return tuple(stretch)
    return ()


def divisions(links: Sequence[Link], cuts: Iterable[Frontier]) -> set[int]:
    """Before which segments no run may go on, as a cut lies there or inside. Takes cuts × log(segments)."""
    found = set[int]()
    for cut in set(cuts):
        passed = bisect_left(links, True, key=lambda link: not link.end <= cut)
        after = bisect_left(links, True, key=lambda link: cut <= link.start)
        found.update(range(passed, max(passed, after) + 1))
    return found


def _stretches(links: Sequence[Link], divided: set[int], fitting: set[int]) -> Iterator[tuple[list[Link], bool]]:
    """The longest runs of segments that may be put together, of those whose first epochs are `fitting`; and whether
    none can come after them."""
    stretch: list[Link] = []
    for number, link in enumerate(links):
        if stretch and (number in divided or not _joins(stretch[-1], link) or link.first not in fitting):
            yield stretch, True
            stretch = []
        if link.first in fitting:
            stretch.append(link)
    if stretch:
        yield stretch, False


def _joins(before: Link, link: Link) -> bool:
    return before.last + 1 == link.first and before.end == link.start and before.definitions == link.definitions


def needed_cuts(
    definitions: Iterable[str],
    states: Iterable[Published],
    batches: Mapping[str, BatchHistory],
    history: SpeedHistory,
    keeps: Mapping[str, Keep],
    archived: Frontier,
    now: datetime,
) -> list[Frontier]:
    """Every cut from which a chain may have to start: served, restorable, reserved, or of a first version to come.

    `definitions`: those of the stream that are live; `keeps`: which versions of each are restorable; `archived`: how
    far the archive is. A definition that is served from the origin keeps everything, while its chain from there stands.
    """
    states = list(states)
    cuts: list[Frontier] = []
    for definition in definitions:
        batch = batches[definition]
        served = [s.version for s in states if s.served == definition]
        if None in served and stands_from_the_beginning(definition, history):
            cuts.append(START)
        kept = {*keeps[definition].of(batch.versions, now), *served}
        cuts += [version.cut for number, version in batch.versions.items() if number in kept]
        cuts += [reserved.cut for reserved in batch.held(now)]
        if not batch.versions:
            cuts.append(first_cut(definition, history, archived))
    return cuts


def stands_from_the_beginning(definition: str, history: SpeedHistory) -> bool:
    """Whether a definition can be answered by epochs alone. One that was applied later, or dropped and applied again,
    has a hole before its first epoch: it waits for a version, and nothing of before is of use to it."""
    if history.beginning is None:
        return False
    try:
        ends = (history.beginning, history.frontier)
        build_chain(definition, None, ends[0], history.segments(definition, *ends), ends[1])
    except TerminalError:
        return False
    return True


def first_cut(definition: str, history: SpeedHistory, archived: Frontier) -> Frontier:
    """The newest cut that a first version could have now. One that comes later has it, or a newer one: the archive and
    the epochs that list the definition only grow. Takes time by the epochs that the archive has not passed."""
    number, cut = history.last_epoch, history.frontier
    while number in history.epochs and definition in (epoch := history.epochs[number]).files:
        if epoch.end <= archived:
            return epoch.end
        number, cut = number - 1, epoch.start
    return cut


def plan_retirement(
    history: SpeedHistory,
    cuts: Iterable[Frontier],
    now: datetime,
    retention: timedelta,
    as_of: timedelta,
    since: int | None,
) -> tuple[int, tuple[tuple[int, int], ...]] | None:
    """(last epoch beyond retention, spans of compacted segments of which what they stand for goes); None where nothing.

    `as_of`: for how long each epoch's end stands on. `since`: the first epoch whose ids are remembered, if any are: it
    stays, unless they were compacted too. The newest epoch always stays.
    """
    bound = reduce(Frontier.meet, cuts, history.frontier)
    last = _beyond(history, bound, now - retention, since)
    spans = tuple(
        span
        for span, entry in sorted(history.compacted.items())
        if last < span[1] < history.last_epoch
        and entry.end <= bound
        and now - entry.at > as_of
        and _stands_for_more(history, span)
    )
    return (last, spans) if last or spans else None


def _beyond(history: SpeedHistory, bound: Frontier, old: datetime, since: int | None) -> int:
    """The last of the epochs that are older than retention, and below every cut. What was put together is as old as the
    entry that says so."""
    found = 0
    for link in cover(history):
        forgotten = since is None or link.last < since
        if not (link.entry.at < old and forgotten and link.last < history.last_epoch and link.end <= bound):
            break
        found = link.last
    return found


def _stands_for_more(history: SpeedHistory, span: tuple[int, int]) -> bool:
    """Whether epochs that stand alone, or narrower segments, stand beside a segment for the same range."""
    narrower = span_within(span, narrower=True)
    alone = any(span[0] <= number <= span[1] for number in history.epochs.alone)
    return alone or any(map(narrower, history.compacted))


def due(superseded: Iterable[Superseded], below: int, now: datetime) -> list[Superseded]:
    """Entries that may be removed, in order: nobody reads them, or may still be about to. `below`: the newest of the
    log stays, so that numbers are never used again."""
    grace = {True: HELD_GRACE, False: GRACE}
    return sorted(
        (one for one in superseded if one.number < below and now - one.at > grace[one.held]),
        key=lambda one: one.number,
    )


def removed_below(snapshots: Mapping[int, datetime], newest: int, now: datetime) -> int:
    """Below which entry of a log others may be removed: who begins at a snapshot reads all that came after it, so
    the newest snapshot that everybody finds by now. Where there never was one, the newest entry."""
    found = (number for number, put in snapshots.items() if now - put > HELD_GRACE)
    return max(found, default=0) if snapshots else newest


def plan_sweep(history: SpeedHistory, files: Iterable[tuple[str, datetime]], now: datetime) -> list[str]:
    """Files to delete that no entry lists, and nobody is about to; `files` are (path, when written)."""
    alone = (path for epoch in history.epochs.alone.values() for path in epoch.paths)
    compacted = (path for entry in history.compacted.values() for path in entry.paths)
    waiting = (path for one in history.superseded.values() for path in one.paths)
    used = {*alone, *compacted, *waiting}
    return [path for path, written in files if path not in used and may_be_swept(written, now)]
