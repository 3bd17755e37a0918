"""One batch run: five steps, each from one frozen value to the next.

What is decided is in the value that a step returns, what is committed is in the ledger. So one may stop after any step
and go on from its value later, or from the ledger alone, by running again from the start: that finds the reservation,
the units that are done, or the version that only waits to be published.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from seamline.jobs.audit import audit
from seamline.jobs.compute import compute
from seamline.jobs.decide import LedgerAsRead, decide
from seamline.jobs.plan import Nothing
from seamline.jobs.publish import publish
from seamline.jobs.reserve import reserve
from seamline.jobs.resources import Resources
from seamline.jobs.run_events import told_as_run
from seamline.jobs.stages import Audited, Begun, Decided, Outcome, Reservation, Unpublished
from seamline.observe.timed import saying, step

ATTEMPTS = 8
"""How often a run decides again after another writer was first."""

__all__ = ["ATTEMPTS", "Outcome", "audited", "begin", "finish", "going_on", "published", "reserved", "run"]


def run(resources: Resources, view: str, *, rebuild: bool) -> Outcome:
    """One decision from the newest ledger, carried through. Raises LEDGER_CONFLICT where another writer was first:
    decide again."""
    return finish(resources, view, begin(resources, view, rebuild=rebuild))


def begin(resources: Resources, view: str, *, rebuild: bool, ledger: LedgerAsRead | None = None) -> Begun:
    """A run's steps before it computes. Raises like `run`."""
    with step("run", "decide"):
        decided = decide(resources, view, rebuild=rebuild, ledger=ledger)
    return reserved(resources, decided) if isinstance(decided, Decided) else decided


def reserved(resources: Resources, decided: Decided) -> Reservation:
    """What was decided, held."""
    with step("run", "reserve"):
        return reserve(resources, decided)


def finish(resources: Resources, view: str, begun: Begun) -> Outcome:
    """Its other steps, as far as there is anything to do. Raises like `run`."""
    if isinstance(begun, Nothing):
        return Outcome(view, reason=begun.reason)
    with going_on(resources, begun):
        return published(resources, begun if isinstance(begun, Unpublished) else audited(resources, begun))


@contextmanager
def going_on(resources: Resources, begun: Reservation | Unpublished) -> Iterator[None]:
    """Around a run's steps after its reservation: what is logged of them, and told as lineage, names it."""
    reserved = begun.entry if isinstance(begun, Reservation) else begun.reserved
    with saying(run=reserved.run, definition=begun.target.definition.hash), told_as_run(resources.lake, begun):
        yield


def audited(resources: Resources, reservation: Reservation) -> Audited:
    """Its units computed, and audited."""
    with step("run", "compute"):
        computed = compute(resources, reservation)
    with step("run", "audit"):
        return audit(resources, computed)


def published(resources: Resources, made: Audited | Unpublished) -> Outcome:
    """Its version put, unless it is, and served."""
    with step("run", "publish"):
        return publish(resources, made)
