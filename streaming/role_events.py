"""The life of a stream's role as lineage tells it: the topics that it reads, and what it makes of them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Literal

from seamline.lake import Lake
from seamline.ledger import Writer
from seamline.observe.lineage import LINEAGE, LineageDataset, LineageJob, ReadAndMade
from seamline.schemas import datasets
from seamline.streaming.following import Following


def told_as_role(
    lake: Lake, stream: str, layer: Literal["speed", "archive"], writer: Writer, of: Callable[[], ReadAndMade]
) -> AbstractContextManager[None]:
    """Around a role's life: the run is that of its claim. `of` is asked as it begins and as it ends."""
    return LINEAGE.run(LineageJob(lake.uri, f"{layer}.{stream}", "STREAMING"), str(writer.claim), of)


def topics_read(following: Following, bootstrap: str) -> list[LineageDataset]:
    """Of the project's contracts, and of those that live on in a definition alone."""
    return datasets.topics(following.named.values(), bootstrap)


def views_made(lake: Lake, following: Following, bootstrap: str) -> list[LineageDataset]:
    """The views that get epochs; of several definitions of one, the last."""
    source = partial(datasets.topic, bootstrap=bootstrap)
    made = {of.view: datasets.view(lake, of, contracts, source) for of, contracts in following.live}
    return list(made.values())


def tables_made(lake: Lake, following: Following) -> list[LineageDataset]:
    """The raw tables of the project's contracts."""
    return [datasets.raw_table(lake, contract) for contract in following.contracts]
