"""Runs of several views begun together, and what they read alike computed by reading it once.

Law: each view's run decides and reserves what it would by itself, and nothing is published here. Of its units some are
done, as after a run that died: the run is finished by computing those that are left. So whatever dies or fails here
costs time and nothing else, and a view that fails is met again, and told, by its own run.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from seamline.errors import SeamlineError
from seamline.jobs.bundle import bundles, is_shared
from seamline.jobs.compute import left_of
from seamline.jobs.decide import LedgerAsRead
from seamline.jobs.plan import targets
from seamline.jobs.resources import Resources
from seamline.jobs.stages import Begun, Reservation
from seamline.jobs.steps import begin
from seamline.jobs.unit import UnitTask

log = logging.getLogger(__name__)

TOGETHER = 16
"""Views whose runs are begun together: the first of them is published only when all are computed, and each holds its
reservation so long."""


def by_turns(views: Sequence[str]) -> Iterator[Sequence[str]]:
    """All views, as many at a time as are begun together, in their order. Pure."""
    return (views[at : at + TOGETHER] for at in range(0, len(views), TOGETHER))


def begin_together(resources: Resources, views: Iterable[str], *, rebuild: bool) -> dict[str, Begun]:
    """How far the runs of some views have come, each to be finished by itself. Not of those that are derived from
    others, which come first, nor of those that could not begin.

    Each unit is read once for all views that need it, and the logs of a stream once.
    """
    ledger = LedgerAsRead.of(resources.lake, resources.clock())
    begun = {view: one for view in views if (one := _begun(resources, ledger, view, rebuild=rebuild)) is not None}
    _compute_shared(resources, begun)
    return begun


def _begun(resources: Resources, ledger: LedgerAsRead, view: str, *, rebuild: bool) -> Begun | None:
    try:
        return None if _is_derived(ledger, view) else begin(resources, view, rebuild=rebuild, ledger=ledger)
    except SeamlineError as error:
        log.info("%s goes by itself: %s", view, error)
        return None


def _is_derived(ledger: LedgerAsRead, view: str) -> bool:
    states = ledger.catalogue.history(view).states.values()
    return any(ledger.catalogue.definition(one).base is not None for one in targets(states))


def _compute_shared(resources: Resources, begun: Mapping[str, Begun]) -> None:
    """Computes the units that several views read alike, but for those that cannot be computed together."""
    reserved = {view: one for view, one in begun.items() if isinstance(one, Reservation)}
    if len(reserved) < 2:
        return
    tasks = [task for view, one in reserved.items() for task in _left(resources, view, one)]
    shared = [replace(task, ahead=True) for bundle in bundles(tasks) if is_shared(bundle) for task in bundle]
    try:
        for _ in resources.run_units(shared, 0, len(shared)):
            pass
    except Exception as error:  # noqa: BLE001 - whatever it is, the runs that it keeps from being done meet it again
        log.info("%d units of %d views: %s", len(shared), len(reserved), error)


def _left(resources: Resources, view: str, reservation: Reservation) -> list[UnitTask]:
    try:
        return left_of(resources, reservation)
    except Exception as error:  # noqa: BLE001 - deltalake raises its own kinds; the view's own run meets it again
        log.info("%s goes by itself: %s", view, error)
        return []
