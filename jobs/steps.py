"""One batch run: five steps, each from one frozen value to the next.

What is decided is in the value that a step returns, what is committed is in the ledger. So one may stop after any step
and go on from its value later, or from the ledger alone, by running again from the start: that finds the reservation,
the units that are done, or the version that only waits to be published.
"""

from __future__ import annotations

from seamline.jobs.audit import audit
from seamline.jobs.compute import compute
from seamline.jobs.decide import decide
from seamline.jobs.plan import Nothing
from seamline.jobs.publish import publish
from seamline.jobs.reserve import reserve
from seamline.jobs.resources import Resources
from seamline.jobs.stages import Outcome, Unpublished

__all__ = ["Outcome", "run"]


def run(resources: Resources, view: str, *, rebuild: bool) -> Outcome:
    """One decision from the newest ledger, carried through. Raises LEDGER_CONFLICT where another writer was first:
    decide again."""
    decided = decide(resources, view, rebuild=rebuild)
    if isinstance(decided, Nothing):
        return Outcome(view, reason=decided.reason)
    if isinstance(decided, Unpublished):
        return publish(resources, decided)
    reservation = reserve(resources, decided)
    computed = compute(resources, reservation)
    audited = audit(resources, computed)
    return publish(resources, audited)
