"""One batch run: five steps, each from one frozen value to the next.

What is decided is in the value that a step returns, what is committed is in the ledger. So one may stop after any step
and go on from its value later, or from the ledger alone, by running again from the start: that finds the reservation,
the units that are done, or the version that only waits to be published.
"""

from __future__ import annotations

from seamline.jobs.audit import audit
from seamline.jobs.compute import compute
from seamline.jobs.decide import LedgerAsRead, decide
from seamline.jobs.plan import Nothing
from seamline.jobs.publish import publish
from seamline.jobs.reserve import reserve
from seamline.jobs.resources import Resources
from seamline.jobs.stages import Begun, Decided, Outcome, Unpublished
from seamline.observe.timed import saying, step

ATTEMPTS = 8
"""How often a run decides again after another writer was first."""

__all__ = ["ATTEMPTS", "Outcome", "begin", "finish", "run"]


def run(resources: Resources, view: str, *, rebuild: bool) -> Outcome:
    """One decision from the newest ledger, carried through. Raises LEDGER_CONFLICT where another writer was first:
    decide again."""
    return finish(resources, view, begin(resources, view, rebuild=rebuild))


def begin(resources: Resources, view: str, *, rebuild: bool, ledger: LedgerAsRead | None = None) -> Begun:
    """A run's steps before it computes. Raises like `run`."""
    with step("run", "decide"):
        decided = decide(resources, view, rebuild=rebuild, ledger=ledger)
    if not isinstance(decided, Decided):
        return decided
    with step("run", "reserve"):
        return reserve(resources, decided)


def finish(resources: Resources, view: str, begun: Begun) -> Outcome:
    """Its other steps, as far as there is anything to do. Raises like `run`."""
    if isinstance(begun, Nothing):
        return Outcome(view, reason=begun.reason)
    if isinstance(begun, Unpublished):
        return publish(resources, begun)
    with saying(run=begun.entry.run, definition=begun.target.definition.hash):
        with step("run", "compute"):
            computed = compute(resources, begun)
        with step("run", "audit"):
            audited = audit(resources, computed)
        with step("run", "publish"):
            return publish(resources, audited)
