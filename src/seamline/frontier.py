"""Positions in logs, and frontiers: for every partition of every source, the next offset to read.

A source is one log: a Kafka topic with its id (`name@topic-id`), or an imported file (`import:content-hash`).
Frontiers are partially ordered, component by component; a partition that is missing stands at its start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import reduce
from typing import Any, NamedTuple

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema


class Partition(NamedTuple):
    """One partition of one source."""

    source: str
    number: int


class Position(NamedTuple):
    """One record's place: which partition, which offset."""

    source: str
    partition: int
    offset: int


def topic_source(topic: str, topic_id: str) -> str:
    """The source of a Kafka topic. A topic deleted and made again has another id, so it is another source."""
    return f"{topic}@{topic_id}"


def topic_of(source: str) -> str:
    """The topic's name in a source."""
    return source.partition("@")[0]


class Frontier:
    """An immutable map from partition to next offset, with the component-wise partial order."""

    __slots__ = ("_offsets",)

    def __init__(self, offsets: Mapping[Partition, int] | Iterable[tuple[Partition, int]] = ()) -> None:
        pairs = offsets.items() if isinstance(offsets, Mapping) else offsets
        entries = {p if isinstance(p, Partition) else Partition(*p): offset for p, offset in pairs}
        if any(offset < 0 for offset in entries.values()):
            raise ValueError(f"offsets are 0 or more, got {entries}")
        self._offsets = dict(sorted(entries.items()))

    def __getitem__(self, partition: Partition) -> int:
        return self._offsets.get(partition, 0)

    def __contains__(self, partition: object) -> bool:
        return partition in self._offsets

    def __iter__(self) -> Iterator[Partition]:
        return iter(self._offsets)

    def items(self) -> Iterable[tuple[Partition, int]]:
        """(partition, next offset) in order."""
        return self._offsets.items()

    @property
    def sources(self) -> frozenset[str]:
        """Every source with a partition here."""
        return frozenset(p.source for p in self._offsets)

    def __le__(self, other: Frontier) -> bool:
        return all(offset <= other[p] for p, offset in self._offsets.items())

    def __lt__(self, other: Frontier) -> bool:
        return self <= other and self != other

    def __ge__(self, other: Frontier) -> bool:
        return other <= self

    def __gt__(self, other: Frontier) -> bool:
        return other < self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Frontier) and self <= other and other <= self

    def __hash__(self) -> int:
        return hash(tuple((p, o) for p, o in self._offsets.items() if o))

    def join(self, other: Frontier) -> Frontier:
        """The least frontier that covers both."""
        return Frontier({p: max(self[p], other[p]) for p in {*self, *other}})

    def meet(self, other: Frontier) -> Frontier:
        """The greatest frontier that both cover."""
        return Frontier({p: min(self[p], other[p]) for p in {*self, *other}})

    def only(self, sources: Iterable[str]) -> Frontier:
        """The same, restricted to some sources."""
        kept = set(sources)
        return Frontier({p: o for p, o in self._offsets.items() if p.source in kept})

    def covers(self, position: Position) -> bool:
        """Whether a record lies below this frontier."""
        return position.offset < self[Partition(position.source, position.partition)]

    def distance(self, other: Frontier) -> int:
        """Offsets from here up to `other`, summed over partitions; components where other is behind add 0."""
        return sum(max(0, other[p] - self[p]) for p in {*self, *other})

    def to_json(self) -> dict[str, dict[str, int]]:
        """`{"topic@id": {"0": 17}}`, what ledger entries hold."""
        nested: dict[str, dict[str, int]] = {}
        for partition, offset in self._offsets.items():
            nested.setdefault(partition.source, {})[str(partition.number)] = offset
        return nested

    @classmethod
    def from_json(cls, nested: Mapping[str, Mapping[str, int]]) -> Frontier:
        """The inverse of `to_json`."""
        return cls({Partition(s, int(n)): o for s, ps in nested.items() for n, o in ps.items()})

    def __repr__(self) -> str:
        return f"Frontier({self})"

    def __str__(self) -> str:
        if not self._offsets:
            return "start"
        return ", ".join(f"{topic_of(p.source)}/{p.number}:{o}" for p, o in self._offsets.items())

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        """Ledger entries hold frontiers as their JSON."""
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, Frontier) else cls.from_json(value),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda value: value.to_json()),
        )


START = Frontier()
"""Where every log begins."""


def joined(frontiers: Iterable[Frontier]) -> Frontier:
    """The least frontier that covers all of them."""
    return reduce(Frontier.join, frontiers, START)
