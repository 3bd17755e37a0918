"""Segments, chains, and the seam check (law 2): an answer comes from one chain without hole or overlap.

Everything here is a pure function over frozen values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from seamline.entries.base import BEFORE, Stored
from seamline.errors import Condition, TerminalError
from seamline.frontier import Frontier


@dataclass(frozen=True)
class Segment:
    """The partials of one definition over the range (start, end]. One without rows has no files; it still covers its
    range."""

    definition: str
    start: Frontier
    end: Frontier

    first: int
    """The number of the first epoch that it stands for."""

    last: int
    """Of the last; the same for an epoch as it was committed."""

    files: tuple[str, ...] = ()
    """Relative to the lake."""

    rows: int = 0

    stored: Stored = BEFORE
    """What wrote the files."""

    def __post_init__(self) -> None:
        if not self.start < self.end:
            raise ValueError(f"a segment goes forward; got ({self.start}] to ({self.end}]")
        if self.first > self.last:
            raise ValueError(f"epochs {self.first} to {self.last} are in the wrong order")


@dataclass(frozen=True)
class Chain:
    """A batch version's cut and the segments after it, end to end: the proof that goes with an answer."""

    definition: str

    version: int | None
    """None where the view has no batch version yet and the chain begins at the stream's origin."""

    cut: Frontier
    segments: tuple[Segment, ...]

    @property
    def reached(self) -> Frontier:
        """The frontier up to which every record is in the answer."""
        return self.segments[-1].end if self.segments else self.cut

    @property
    def epochs(self) -> tuple[int, int] | None:
        """First and last epoch after the cut, or None."""
        return (self.segments[0].first, self.segments[-1].last) if self.segments else None


def build_chain(
    definition: str,
    version: int | None,
    cut: Frontier,
    segments: Iterable[Segment],
    until: Frontier,
) -> Chain:
    """The chain from `cut` to `until`. `segments` may hold epochs and compacted segments, in any order.

    A compacted segment is used only where it lies wholly after the cut, and where it leads on; of several ways the
    one with the longest links is taken. A cut of before the stream's first epoch (a version of imports alone) leads on
    from there: what lies below is no part of the stream. Raises SEAM_HOLE or SEAM_OVERLAP with the range.
    """
    segments = list(segments)
    cut = _within(cut, segments)
    after = [s for s in segments if not s.end <= cut]
    check_linear(after)
    onward: dict[Frontier, Segment] = {}
    leads_on = {until}
    for segment in sorted(after, key=lambda s: (s.first, -s.last), reverse=True):
        if segment.end in leads_on:
            leads_on.add(segment.start)
            onward[segment.start] = segment  # the longest comes last
    links: list[Segment] = []
    at = cut
    while at != until:
        if at not in onward:
            raise _broken(definition, *_stuck(cut, until, after))
        links.append(onward[at])
        at = links[-1].end
    return Chain(definition, version, cut, tuple(links))


def _within(cut: Frontier, segments: Iterable[Segment]) -> Frontier:
    """A cut, or where the stream begins if that lies after it."""
    return next((segment.start for segment in segments if segment.first == 1 and cut <= segment.start), cut)


def _stuck(cut: Frontier, until: Frontier, after: Sequence[Segment]) -> tuple[Frontier, Frontier, list[Segment]]:
    """How far segments lead from the cut, where they were to lead, and the segments that lie beyond."""
    at = cut
    for segment in sorted(after, key=lambda s: (s.first, s.last)):
        if segment.start == at and segment.end <= until:
            at = segment.end
    return at, until, [s for s in after if not s.end <= at]


def check_linear(segments: Iterable[Segment]) -> None:
    """Epochs that follow each other by number must meet exactly, whichever a chain uses. Raises like `build_chain`."""
    epochs = sorted((s for s in segments if s.first == s.last), key=lambda s: s.first)
    for before, after in pairwise(epochs):
        if before.first == after.first:
            raise _overlap(before.definition, before.start, before.end, [before, after])
        if after.first == before.last + 1 and before.end != after.start:
            if before.end <= after.start:
                raise _hole(before.definition, before.end, after.start)
            raise _overlap(before.definition, after.start, before.end, [before, after])


def check_seam(cut: Frontier, links: Sequence[Segment]) -> None:
    """Checks a chain that came from elsewhere (an answer's provenance): each link starts where the last ended.

    Raises SEAM_OVERLAP or SEAM_HOLE.
    """
    at = cut
    for link in links:
        if link.start != at:
            if at <= link.start:
                raise _hole(link.definition, at, link.start)
            raise _overlap(link.definition, link.start, at, [link])
        at = link.end


def _broken(definition: str, at: Frontier, until: Frontier, rest: Sequence[Segment]) -> TerminalError:
    """Why no segment goes on from `at`: an epoch lies astride it (overlap), or what follows starts later (hole).

    A compacted segment astride `at` is no overlap: its epochs were there to be used instead, and are gone.
    """
    astride = [s for s in rest if s.first == s.last and not at <= s.start]
    if astride:
        return _overlap(definition, astride[0].start, at, astride[:1])
    following = [s for s in rest if at <= s.start]
    return _hole(definition, at, min(following, key=lambda s: s.first).start if following else until)


def _hole(definition: str, start: Frontier, end: Frontier) -> TerminalError:
    return TerminalError(
        Condition.SEAM_HOLE,
        f"definition {definition} has no segment for the range ({start}] to ({end}]",
        detail="a batch version and epochs that meet end to end",
        hint="run 'seamline batch rebuild' for this view: its next version covers the range from the archive",
        where=f"({start}] to ({end}]",
    )


def _overlap(definition: str, start: Frontier, end: Frontier, who: Sequence[Segment]) -> TerminalError:
    names = " and ".join(f"epochs {s.first} to {s.last}" for s in who)
    return TerminalError(
        Condition.SEAM_OVERLAP,
        f"definition {definition} has the range ({start}] to ({end}] more than once ({names})",
        detail="a batch version and epochs that meet end to end",
        hint="run 'seamline batch rebuild' for this view: its next version replaces the range from the archive",
        where=f"({start}] to ({end}]",
    )
