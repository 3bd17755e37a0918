"""What of a speed log is compacted, retired and swept. Every decision is a pure function over frozen values.

- Compaction puts adjacent segments together, never across a cut that a served, restorable or reserved version has.
- Retirement drops epochs that a compacted segment stands for, and epochs beyond retention, once every such cut has
passed them.
- A sweep deletes files that no standing entry lists, a day after they were written; entries go oldest first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, KeysView, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce

from seamline.attempts import may_be_swept
from seamline.entries.base import Claim, EntryBase
from seamline.entries.speed import Compacted, Epoch, Retired
from seamline.entries.views import Published
from seamline.errors import TerminalError
from seamline.frontier import START, Frontier
from seamline.history.batch import BatchHistory
from seamline.history.speed import SpeedHistory
from seamline.schemas.views.properties import Keep
from seamline.segment import build_chain

GRACE = timedelta(hours=1)
"""What was retired stays readable for this long: longer than the longest query."""

TIERS = 3
"""How often segments may be compacted again: with 64 to one, 262,144 epochs become one segment."""


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
    def epochs(self) -> int:
        """How many epochs it stands for."""
        return self.last - self.first + 1


def cover(history: SpeedHistory) -> list[Link]:
    """The fewest segments that cover what stands, oldest first: compacted ones where there are any, else epochs."""
    links: list[Link] = []
    for span, entry in sorted(history.compacted.items(), key=lambda item: (item[0][0], -item[0][1])):
        if not links or span[0] > links[-1].last:
            links.append(Link(*span, entry))
    covered = {number for link in links for number in range(link.first, link.last + 1)}
    links += [Link(number, number, epoch) for number, epoch in history.epochs.items() if number not in covered]
    return sorted(links, key=lambda link: link.first)


def any_link(_: Link) -> bool:
    """Where every segment can be read."""
    return True


def plan_compaction(
    links: Sequence[Link], cuts: Iterable[Frontier], size: int, reads: Callable[[Link], bool] = any_link
) -> tuple[Link, ...]:
    """The first run of `size` adjacent segments of like width that may become one; empty where there is none.

    They meet end to end, list the same definitions, and hold none of `cuts` inside; each is one that today's statements
    read (`reads`), since what is made of them says that today's stored it.
    """
    if size < 2:
        return ()
    cuts = list(cuts)
    run: list[Link] = []
    for link in links:
        if run and not _joins(run, link, cuts, size):
            run = []
        if _tier(link, size) < TIERS and reads(link):
            run.append(link)
        if len(run) == size:
            return tuple(run)
    return ()


def _joins(run: list[Link], link: Link, cuts: list[Frontier], size: int) -> bool:
    before = run[-1]
    meets = before.last + 1 == link.first and before.end == link.start
    alike = before.definitions == link.definitions and _tier(before, size) == _tier(link, size)
    return meets and alike and not any(_inside(cut, run[0].start, link.end) for cut in cuts)


def _inside(cut: Frontier, start: Frontier, end: Frontier) -> bool:
    return not cut <= start and not end <= cut


def _tier(link: Link, size: int) -> int:
    tier, width = 0, size
    while link.epochs >= width:
        tier, width = tier + 1, width * size
    return tier


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
        build_chain(definition, None, history.beginning, history.segments(definition), history.frontier)
    except TerminalError:
        return False
    return True


def first_cut(definition: str, history: SpeedHistory, archived: Frontier) -> Frontier:
    """The newest cut that a first version could have now. One that comes later has it, or a newer one: the archive and
    the epochs that list the definition only grow."""
    listed = history.trailing(lambda epoch: definition in epoch.files)
    if not listed:
        return history.frontier
    passed = [epoch.end for epoch in listed if epoch.end <= archived]
    return passed[-1] if passed else listed[0].start


def plan_retirement(
    history: SpeedHistory, cuts: Iterable[Frontier], now: datetime, retention: timedelta, since: int | None
) -> tuple[int, tuple[tuple[int, int], ...]] | None:
    """(last epoch beyond retention, spans whose epochs a compacted segment stands for); None where nothing can go.

    `since`: the first epoch whose ids are remembered, if any are: it stays, unless they were compacted too. The newest
    epoch always stays.
    """
    bound = reduce(Frontier.meet, cuts, history.frontier)
    last = 0
    for number in sorted(history.epochs):
        epoch = history.epochs[number]
        old = now - epoch.at > retention and (since is None or number < since)
        if number >= history.last_epoch or not (old and epoch.end <= bound):
            break
        last = number
    spans = tuple(
        span
        for span, entry in sorted(history.compacted.items())
        if last < span[1] < history.last_epoch
        and entry.end <= bound
        and any(number in history.epochs for number in range(span[0], span[1] + 1))
    )
    return (last, spans) if last or spans else None


def standing(entries: Iterable[tuple[int, EntryBase]], now: datetime) -> dict[int, Epoch | Compacted]:
    """Entries by number that a reader may still use: what was retired counts until GRACE is over."""
    kept: dict[int, Epoch | Compacted] = {}
    for number, entry in entries:
        if isinstance(entry, Epoch | Compacted):
            kept[number] = entry
        elif isinstance(entry, Retired) and now - entry.at > GRACE:
            kept = {n: e for n, e in kept.items() if not _dropped(e, entry)}
    return kept


def _dropped(entry: Epoch | Compacted, retired: Retired) -> bool:
    if isinstance(entry, Compacted):
        return entry.last <= retired.last
    replaced = any(first <= entry.number <= last for first, last in retired.replaced)
    return entry.number <= retired.last or replaced


def files_of(entries: Iterable[Epoch | Compacted]) -> set[str]:
    """The paths that entries list."""
    return {path for entry in entries for path in entry.paths}


def plan_sweep(
    entries: Sequence[tuple[int, EntryBase]], files: Iterable[tuple[str, datetime]], now: datetime
) -> tuple[list[str], list[int]]:
    """(files to delete, entries to remove, oldest first) of one speed log; `files` are (path, when written).

    Entries go from the oldest up to the first that stands; the newest epoch stays, and every claim: it fences the
    writer before it, which may wake at any time.
    """
    kept = standing(entries, now)
    used = files_of(kept.values())
    swept = [path for path, written in files if path not in used and may_be_swept(written, now)]
    newest = max((n for n, e in entries if isinstance(e, Epoch)), default=0)
    first = min([*kept, newest])
    return swept, [number for number, entry in entries if number < first and not isinstance(entry, Claim)]
