"""What an answer says of itself: enough for a client to check its chain without trusting this process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Self

import pyarrow as pa

from seamline.entries.batch import Verified
from seamline.entries.topics import Gone
from seamline.frontier import Frontier
from seamline.history.forget import Forgetting
from seamline.schemas.views.definition import Definition, Output
from seamline.segment import Chain, Segment, check_seam

_TOLD = {"groups", "checked", "unchecked", "wrong"}
"""What an answer says of what was verified."""


@dataclass(frozen=True)
class Provenance:
    """One view's part in an answer. Its lags are seconds between the times below."""

    view: str
    definition: str
    stream: str

    version: int | None
    """None: from the origin."""

    cut: Frontier
    reached: Frontier

    links: tuple[Segment, ...]
    """Meet end to end from `cut` to `reached`."""

    columns: tuple[Output, ...]

    newest: datetime | None
    """The latest Kafka timestamp that is covered."""

    committed: datetime | None
    """When the last epoch was."""

    asked: datetime
    """When the answer was made."""

    bases: tuple[tuple[str, str], ...] = ()
    """View and definition it is derived from, nearest first."""

    gone: tuple[Gone, ...] = ()
    """What of its topics an operator accepted as gone, so that it may be in neither layer."""

    erased: Forgetting | None = None
    """Which of its records were forgotten, or still are to be."""

    verified: Verified | None = None
    """What of the batch version was computed another way, and which columns were not; None without one."""

    back_to: int | None = None
    """The first epoch from which on each can be asked for (`as_of`); None where no past one can."""

    skipped: tuple[str, ...] = ()
    """Dates of the batch version that an operator wanted recomputed and then left as they were."""

    begins: Mapping[str, date] = field(default_factory=dict)
    """By contract, the event date before which the batch version holds nothing, since raw held nothing any more."""

    @classmethod
    def of(
        cls,
        definition: Definition,
        stream: str,
        chain: Chain,
        asked: datetime,
        *,
        newest: datetime | None,
        committed: datetime | None,
        gone: tuple[Gone, ...],
        erased: Forgetting | None,
        verified: Verified | None,
        back_to: int | None,
        skipped: tuple[str, ...],
        begins: Mapping[str, date],
    ) -> Self:
        """A view's, as the definition and its chain say it."""
        return cls(
            view=definition.view, definition=definition.hash, stream=stream, version=chain.version, cut=chain.cut,
            reached=chain.reached, links=chain.segments, columns=definition.columns, newest=newest,
            committed=committed, asked=asked, bases=tuple((base.view, base.hash) for base in definition.bases),
            gone=gone, erased=erased, verified=verified, back_to=back_to, skipped=skipped, begins=begins,
        )  # fmt: skip

    @property
    def epochs(self) -> tuple[int, int] | None:
        """First and last epoch after the cut, or None."""
        return (self.links[0].first, self.links[-1].last) if self.links else None

    @property
    def epoch_count(self) -> int:
        """How many epochs the links stand for."""
        return sum(link.last - link.first + 1 for link in self.links)

    @property
    def lag_seconds(self) -> float | None:
        """From the newest record covered until now: how old the answer is while records keep coming."""
        return _seconds(self.newest, self.asked)

    @property
    def epoch_seconds(self) -> float | None:
        """Since the last epoch was committed."""
        return _seconds(self.committed, self.asked)

    def check(self) -> None:
        """Raises SEAM_HOLE or SEAM_OVERLAP where the links do not lead from the cut to `reached`."""
        check_chain(self.definition, self.cut, self.reached, self.links)

    def to_json(self, links: bool = True) -> dict[str, Any]:
        """As JSON values; without `links` where there is little room, as in an HTTP header."""
        said: dict[str, Any] = {
            "definition": self.definition,
            "stream": self.stream,
            "version": self.version,
            "cut": self.cut.to_json(),
            "reached": self.reached.to_json(),
            "epochs": {"first": self.epochs[0], "last": self.epochs[1], "count": self.epoch_count}
            if self.epochs
            else None,
            "back_to": self.back_to,
            "lag": {
                "newest": _iso(self.newest),
                "seconds": self.lag_seconds,
                "committed": _iso(self.committed),
                "epoch_seconds": self.epoch_seconds,
            },
            "columns": {c.name: {"exactness": c.exactness, "bound": c.bound} for c in self.columns},
        }
        if self.gone:
            said["gone"] = [one.said() for one in self.gone]
        if self.skipped:
            said["skipped"] = list(self.skipped)
        if self.begins:
            said["begins"] = {name: day.isoformat() for name, day in sorted(self.begins.items())}
        if self.erased is not None:
            said["erased"] = self.erased.said()
        said["verified"] = None if self.verified is None else self.verified.model_dump(include=_TOLD, mode="json")
        if self.bases:
            said["derived_from"] = [{"view": view, "definition": hash_} for view, hash_ in self.bases]
        if links:
            said["links"] = [
                {"epochs": [s.first, s.last], "start": s.start.to_json(), "end": s.end.to_json(), "rows": s.rows}
                for s in self.links
            ]
        return said


class Provenances(dict[str, Provenance]):
    """Provenance by view."""

    def to_json(self, links: bool = True) -> dict[str, Any]:
        """As JSON values, by view."""
        return {view: one.to_json(links) for view, one in self.items()}


@dataclass(frozen=True)
class Answer:
    """Rows, what each view in them rests on, and what to beware of in them."""

    table: pa.Table
    provenance: Provenances
    warnings: tuple[str, ...] = ()


def check_json(said: Mapping[str, Any]) -> None:
    """Checks one view's provenance as it came over the wire. Raises SEAM_HOLE or SEAM_OVERLAP."""
    definition = str(said["definition"])
    links = [
        Segment(
            definition,
            Frontier.from_json(k["start"]),
            Frontier.from_json(k["end"]),
            int(k["epochs"][0]),
            int(k["epochs"][1]),
        )
        for k in said["links"]
    ]
    check_chain(definition, Frontier.from_json(said["cut"]), Frontier.from_json(said["reached"]), links)


def check_chain(definition: str, cut: Frontier, reached: Frontier, links: tuple[Segment, ...] | list[Segment]) -> None:
    """Law 2 for an answer: links end to end from `cut`, up to `reached`. Raises SEAM_HOLE or SEAM_OVERLAP."""
    check_seam(cut, links)
    end = links[-1].end if links else cut
    if end < reached:
        check_seam(end, [Segment(definition, reached, reached.join(_beyond(reached)), 1, 1)])
    elif end != reached:
        check_seam(end, [Segment(definition, reached, reached.join(end), 1, 1)])


def _beyond(frontier: Frontier) -> Frontier:
    return Frontier({p: o + 1 for p, o in frontier.items()})


def _seconds(since: datetime | None, now: datetime) -> float | None:
    return None if since is None else (now - since).total_seconds()


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
