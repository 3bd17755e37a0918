"""Whether what is promised of the data is kept now: one law for whoever looks, from what that one knows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from seamline.entries.base import Counts
from seamline.frontier import Frontier
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.promises import Promise, promises_in, promises_of, strictest
from seamline.schemas.views.definition import Definition

GAPS = 2
"""Offsets of a partition that may hold no record: the marks of the last transactions are never read."""


@dataclass(frozen=True)
class Promised:
    """A product, and what it promises."""

    product: str
    """`contract orders`, `view sales`."""

    stream: str

    contracts: tuple[str, ...]
    """Those whose records it counts."""

    promises: tuple[Promise, ...]


@dataclass(frozen=True)
class ServiceLevel:
    """A promise of a product, held against how things are."""

    product: str
    """`contract orders`, `view sales`."""

    promise: Promise

    found: float | None
    """Seconds, or a share; None where that is not known."""

    @property
    def missed(self) -> bool:
        """Whether it is known not to be kept."""
        if self.found is None:
            return False
        return self.found > self.promise.limit if self.promise.kind == "freshness" else self.found < self.promise.limit


def promised(contracts: Mapping[str, Contract], served: Iterable[Definition]) -> list[Promised]:
    """What the project's contracts promise, and the views as they are served: whatever the project's texts of these are
    by now, nothing is compiled. A view whose contracts the project has no more is of no stream, and left out. Raises
    CONTRACT_INVALID."""
    found = [Promised(f"contract {one.name}", one.stream, (one.name,), promises_of(one)) for one in contracts.values()]
    for definition in served:
        of = [contracts[name] for name in definition.contracts if name in contracts]
        if of:
            promises = with_inherited(promises_in(definition.view, definition.properties), of)
            found.append(Promised(f"view {definition.view}", of[0].stream, definition.contracts, promises))
    return found


def with_inherited(own: Iterable[Promise], contracts: Iterable[Contract]) -> tuple[Promise, ...]:
    """A view's own promises; where it says nothing of a kind, what its contracts do, the strictest."""
    own = tuple(own)
    kinds = {one.kind for one in own}
    inherited = [one for contract in contracts for one in promises_of(contract) if one.kind not in kinds]
    return strictest([*own, *inherited])


def levels(of: Promised, waiting: float | None, counts: Mapping[str, Counts]) -> Iterator[ServiceLevel]:
    """Its promises, held against its stream. `waiting`: how old the newest record read is while others wait, in
    seconds; `counts`: law 3 by contract. Complete is which share of the records read of its contracts is valid."""
    total = sum((counts.get(name, Counts()) for name in of.contracts), Counts())
    whole = 1 - total.rejected / total.read if total.read else None
    for promise in of.promises:
        yield ServiceLevel(of.product, promise, waiting if promise.kind == "freshness" else whole)


def waiting_seconds(frontier: Frontier, lag: int | None, age: float | None) -> float | None:
    """How old the newest record read is while others wait to be read; 0 where none does; None where that is not known.
    A few offsets of each partition may be marks of transactions, which are never read.

    `lag`: offsets from the frontier to Kafka's ends; `age`: seconds since the newest record read."""
    if lag is None:
        return None
    return (age or 0.0) if lag > GAPS * max(1, len(tuple(frontier))) else 0.0
