"""What a view has served, as its log says it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from seamline.entries.batch import Version
from seamline.operate.views import batch_of, said_of
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.project import Project


@dataclass(frozen=True)
class PastState:
    """One state of a view."""

    at: datetime

    reason: str
    """Why it came to be: the run, or the operator's word."""

    by: str
    """Who put it, as their machine knows them; '' where an older release did."""

    served: str | None
    """The definition; None: it was dropped."""

    version: int | None
    """None: from the stream's first record on, by epochs alone."""

    counted: int | None
    """Events that the version holds; None: there is none, or it is gone."""

    audit: str
    """equal, drift, wrong, nothing to compare; '' where the version is gone."""

    asked: str
    """The event dates that an operator wanted recomputed, or ''."""

    begins: str
    """By contract, the event date before which the version holds nothing, since raw did not when it was first built."""


def past_states(project: Project, name: str, most: int) -> list[PastState]:
    """What a view has served, the newest first. Its newest state holds 256 of those before it. Raises VIEW_UNKNOWN."""
    states = list(Catalogue(project.lake).history(name).states.values())[::-1][:most]
    kept = {of: batch_of(project, of).versions for of in {state.served for state in states} if of is not None}
    found = []
    for state in states:
        of = kept.get(state.served or "", {})
        version: Version | None = of.get(state.version) if state.version is not None else None
        found.append(
            PastState(
                at=state.at.replace(microsecond=0), reason=state.reason, by=state.by, served=state.served,
                version=state.version,
                counted=version.counts.counted if version else None, audit=said_of(version.audit) if version else "",
                asked=version.asked if version else "", begins=_begins(version) if version else "",
            )
        )  # fmt: skip
    return found


def _begins(version: Version) -> str:
    return ", ".join(f"{name} {day}" for name, day in sorted(version.begins.items()))
