"""A run of the batch layer as lineage tells it: what its view is made of, and the view."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial

from seamline.jobs.stages import Reservation, Target, Unpublished
from seamline.lake import Lake
from seamline.observe.lineage import LINEAGE, LineageJob, ReadAndMade
from seamline.schemas import datasets


def told_as_run(lake: Lake, begun: Reservation | Unpublished) -> AbstractContextManager[None]:
    """Around what computes and publishes: the run is the reservation's, however many processes it takes. Asked again,
    it is told again, under the same id."""
    reserved = begun.entry if isinstance(begun, Reservation) else begun.reserved
    definition = begun.target.definition
    job = LineageJob(lake.uri, f"batch.{definition.view}", "BATCH")
    return LINEAGE.run(job, f"{definition.hash}/{reserved.run}", partial(read_and_made, lake, begun.target))


def read_and_made(lake: Lake, target: Target) -> ReadAndMade:
    """Raw tables, or the view that it is derived from; and the view. Pure."""
    definition, contracts = target.definition, target.contracts
    source = partial(datasets.raw_table, lake)
    made = datasets.view(lake, definition, contracts, source)
    if definition.base is not None:
        return [datasets.view(lake, definition.base.of, contracts, source)], [made]
    return [source(contract) for contract in contracts], [made]
