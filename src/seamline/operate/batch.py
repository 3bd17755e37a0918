"""Batch versions, made now in this process."""

from __future__ import annotations

from functools import partial

from seamline.advance import Advance, Show, unshown
from seamline.jobs.ahead import by_turns
from seamline.jobs.batch import Batch
from seamline.jobs.stages import Begun, Outcome
from seamline.operate.spark_units import SparkUnits
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.project import Project


def make_versions(
    project: Project, view: str | None = None, *, whole: bool = False, show: Show = unshown
) -> list[Outcome]:
    """Refreshes a view (all of them unless named), or rebuilds it from everything where `whole`; audits and publishes.

    What several views read alike is read once, then each is finished, bases before what is derived from them. The
    first error ends it; what was published before stays.
    """
    wanted = [view] if view else list(Catalogue(project.lake).in_order())
    word = "rebuild" if whole else "refresh"
    outcomes = []
    with SparkUnits(project) as units:
        for names in by_turns(wanted):
            begun: dict[str, Begun] = {}
            if len(names) > 1:
                with show(f"{word} {len(names)} views") as advance:
                    begun = batch_layer(project, units, advance).begin(names, rebuild=whole)
            for name in names:
                with show(f"{word} {name}") as advance:
                    batch = batch_layer(project, units, advance)
                    run = batch.rebuild if whole else batch.refresh
                    outcomes.append(run(name, begun.get(name)))
    return outcomes


def batch_layer(project: Project, units: SparkUnits, advance: Advance) -> Batch:
    runner = partial(units.run, watch=partial(_count, advance), tell=partial(_tell, advance))
    return Batch(project.lake, runner, project.settings.batch, project.settings.kernel)


def _count(advance: Advance, done: int, total: int, step: str) -> None:
    advance(0, f"{done} of {total} {step}")


def _tell(advance: Advance, waits: str) -> None:
    advance(0, f"waits for {waits}" if waits else "")
