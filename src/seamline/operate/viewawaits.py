"""When a definition that was applied is served, and what it waits for until then: what a refresh would decide now."""

from __future__ import annotations

from dataclasses import dataclass

from seamline.clock import Clock, system_clock
from seamline.entries.views import Published
from seamline.jobs.decide import LedgerAsRead, plan_of, read_targets
from seamline.jobs.plan import Nothing
from seamline.jobs.stages import Target
from seamline.schemas.project import Project
from seamline.wording import duration


@dataclass(frozen=True)
class Awaited:
    """A definition of a view that gets epochs and is not served yet."""

    view: str
    definition: str

    waits: str
    """What keeps its first version from being built now; '' where nothing does."""

    when: str
    """In a line."""


def awaited(project: Project, *, clock: Clock = system_clock) -> list[Awaited]:
    """What the next refreshes switch to, or would once what they wait for is there. Takes time by the ledger's logs; no
    data is read."""
    ledger = LedgerAsRead.of(project.lake, clock())
    found = []
    for view, state in sorted(ledger.catalogue.states.items()):
        for target in read_targets(ledger, ledger.catalogue.history(view)):
            if target.definition.hash != state.served:
                found.append(_awaited(project, state, target))
    return found


def _awaited(project: Project, state: Published, target: Target) -> Awaited:
    if state.pinned:
        waits = f"{state.view} is pinned ('seamline views unpin {state.view}')"
    else:
        plan = plan_of(state, target, rebuild=False)
        waits = plan.reason if isinstance(plan, Nothing) else ""
    minutes = duration(project.settings.batch.refresh_minutes * 60)
    refresh = f"'seamline batch refresh', or within {minutes} where 'seamline up' runs"
    when = f"and waits: {waits}; then {refresh}" if waits else f"with its first batch version: {refresh}"
    return Awaited(state.view, target.definition.hash, waits, when)
