"""What the lake serves from now on: the project's views, one view less, or another batch version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial

from seamline.clock import system_clock
from seamline.entries.views import EarlierState, Published
from seamline.errors import Condition, UserError
from seamline.jobs.batch import Batch
from seamline.jobs.judging import JudgedOtherwise, judged_otherwise
from seamline.operate.viewdiff import first_dates
from seamline.operate.views import batch_of
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.project import Project
from seamline.schemas.states import Applied, apply_views, drop_view, pin_view


def put_into_service(project: Project) -> list[Applied]:
    """Puts the project's views into service. All are compiled first: VIEW_INVALID leaves every one as it was.

    Where a contract changed in what it accepts, the archive is looked through: that takes time with its records."""
    agree = partial(_agree, project)
    return apply_views(project.lake, project.views, project.contracts, system_clock, agree)


def begins_of(project: Project, applied: Sequence[Applied]) -> dict[str, Mapping[str, date]]:
    """By view that is to be built anew, where its first version begins if raw of before is gone, by contract."""
    catalogue = Catalogue(project.lake)
    found = {
        one.view: first_dates(
            project, catalogue, catalogue.definition(one.definition), catalogue.contracts(one.definition)
        )
        for one in applied
        if one.change in ("new", "changed")
    }
    return {view: days for view, days in found.items() if days}


def _agree(project: Project, was: Contract, now: Contract) -> bool:
    return looked_through(project, was, now) is None


def looked_through(project: Project, was: Contract, now: Contract) -> JudgedOtherwise | None:
    """The first record of the project's archive that two contracts judge otherwise; None where there is none."""
    kernel = project.settings.kernel
    engine = project.lake.kernel(kernel.memory, kernel.threads)
    return judged_otherwise(project.lake, engine, was, now)


def take_out_of_service(project: Project, name: str) -> bool:
    """Takes a view out of service; False where it was dropped before.

    Raises VIEW_INVALID where the project still defines it: what stands in views/ is put into service again.
    """
    if name in project.views:
        raise UserError(
            Condition.VIEW_INVALID,
            f"view {name} is still in the project",
            hint="remove it there first: 'seamline up' and 'views apply' put what stands in views/ into service",
            where=project.views[name].source.place(0),
        )
    return drop_view(project.lake, name, system_clock) is not None


def hold(project: Project, name: str, *, pinned: bool) -> bool:
    """Keeps what a view serves, whatever runs find to do, or takes that back; False where it was so before. Raises
    VIEW_UNKNOWN."""
    return pin_view(project.lake, name, pinned, system_clock) is not None


def serve_other(project: Project, name: str, version: int | None = None, definition: str | None = None) -> Published:
    """Serves another batch version, in one entry: that one, else the definition's newest, else what was served before.

    Raises OUT_OF_RETENTION where nothing else was ever served.
    """
    states = list(Catalogue(project.lake).history(name).states.values())
    if version is None and definition is None:
        definition, version = _earlier(name, states)
    elif version is None:
        version = max(batch_of(project, definition or "").versions, default=None)
    return Batch(project.lake, clock=system_clock).rollback(name, version, definition)


def _earlier(view: str, states: Sequence[EarlierState]) -> tuple[str, int | None]:
    """What was served before the newest state began to serve what it serves."""
    now = (states[-1].served, states[-1].version)
    for state in reversed(states):
        if state.served is not None and (state.served, state.version) != now:
            return state.served, state.version
    raise UserError(
        Condition.OUT_OF_RETENTION,
        f"view {view} never served anything else",
        hint="'seamline views show' lists the versions there are",
    )
