"""Batch versions, made now in this process."""

from __future__ import annotations

from functools import partial

from seamline.advance import Advance, Show, unshown
from seamline.jobs.batch import Batch
from seamline.jobs.steps import Outcome
from seamline.operate.spark_units import SparkUnits
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.project import Project


def make_versions(
    project: Project, view: str | None = None, *, whole: bool = False, show: Show = unshown
) -> list[Outcome]:
    """Refreshes a view (all of them unless named), or rebuilds it from everything where `whole`; audits and publishes.

    One view after the other, bases before what is derived from them. The first error ends it; what was published
    before stays.
    """
    wanted = [view] if view else list(Catalogue(project.lake).in_order())
    word = "rebuild" if whole else "refresh"
    outcomes = []
    with SparkUnits(project) as units:
        for name in wanted:
            with show(f"{word} {name}") as advance:
                runner = partial(units.run, watch=partial(_count, advance), tell=partial(_tell, advance))
                batch = Batch(project.lake, runner, project.settings.batch, project.settings.kernel)
                outcomes.append(batch.rebuild(name) if whole else batch.refresh(name))
    return outcomes


def _count(advance: Advance, done: int, total: int, step: str) -> None:
    advance(0, f"{done} of {total} {step}")


def _tell(advance: Advance, waits: str) -> None:
    advance(0, f"waits for {waits}" if waits else "")
