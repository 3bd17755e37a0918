"""What a stream reads and makes of it: for each topic the decodings, and for each decoding the views' partials.

A plan is a frozen value that travels to Spark's tasks. It follows from the project's contracts and the live
definitions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import NamedTuple

from seamline.entries.speed import Epoch
from seamline.errors import UserError
from seamline.schemas.contracts.acceptance import acceptance
from seamline.schemas.contracts.claimed import ALL, Claimed, claimed_by, unclaimed_by
from seamline.schemas.contracts.contract import Contract, check_topics
from seamline.schemas.contracts.decode import decode_statement
from seamline.schemas.views.alike import named_fields
from seamline.schemas.views.definition import Definition
from seamline.slices import Merging
from seamline.streaming.handover import Live, handed_over

UNCLAIMED = ""
"""The name under which records that no contract claims are counted."""


class Fold(NamedTuple):
    """A derived definition."""

    definition: str

    base: str
    """The definition whose partials it is made of."""

    statement: str
    """Over those."""


@dataclass(frozen=True)
class DecodingPlan:
    """One decoding, and the topics it is read from."""

    decoding: str

    label: str
    """The name that it is counted under."""

    topics: tuple[str, ...]
    statement: str
    horizon: timedelta

    claimed: Claimed = ALL
    """Which of the topics' records are its own."""

    identity: str = ""
    """What its events' ids are made of; empty without ids."""

    likes: tuple[str, ...] = ()
    """Decodings that accept the same records, whose ids are its own therefore."""

    after: tuple[str, ...] = ()
    """Decodings whose place it takes for the records that come, and whose ids it goes on with before any others."""

    partials: tuple[tuple[str, str], ...] = ()
    """Definition to statement."""

    uses: tuple[str, ...] = ()
    """The fields that any of them reads, and maybe more."""

    folds: tuple[Fold, ...] = ()
    """Derived definitions, each after its base, whose partials are made of the base's."""

    unsent: tuple[str, ...] = ()
    """Bases in `partials` and `folds` that are made for these alone, being no longer live."""

    @property
    def has_id(self) -> bool:
        """Whether its events may have copies."""
        return bool(self.identity)


@dataclass(frozen=True)
class StreamPlan:
    """What one stream decodes."""

    decodings: tuple[DecodingPlan, ...]

    unclaimed: tuple[tuple[str, Claimed], ...] = ()
    """Topic to its records that no contract claims, where there may be any."""

    definitions: tuple[str, ...] = ()
    """Every live definition; each epoch lists them all."""

    merges: tuple[tuple[str, Merging], ...] = ()
    """Definition to how it merges."""

    handovers: tuple[str, ...] = ()
    """The handovers that are taken, of which no definition's record says for good where."""

    @property
    def topics(self) -> tuple[str, ...]:
        """Every topic that is read, by name."""
        return tuple(sorted({topic for d in self.decodings for topic in d.topics}))

    def of_topic(self, topic: str) -> tuple[DecodingPlan, ...]:
        """The decodings of one topic."""
        return tuple(d for d in self.decodings if topic in d.topics)


Leaving = Mapping[str, Sequence[Contract]]
"""Topics that are read up to a recorded end, and the contracts that named them when they were last named."""


def make_plan(
    contracts: Iterable[Contract],
    live: Iterable[Live],
    leaving: Leaving = MappingProxyType({}),
    newest: Epoch | None = None,
) -> StreamPlan:
    """The plan of a stream: `contracts` are the project's, `live` the definitions that get epochs with their contracts,
    `newest` the newest epoch.

    What is read of a contract is what definitions live by, and the project's own text; that one only once a definition
    lives by it where it may yet be handed to some: where its events are the same, in the same place. One decoding is
    counted under the contract's name, so that the plain names count every record read once: the project's, else the
    one that most definitions live by. The others are under `name@decoding`.
    """
    current = {contract.name: contract for contract in contracts}
    handed, handovers = handed_over(live, newest)
    listed = sorted(handed, key=lambda one: one[0].hash)
    lived_by = [contract for _, used in listed for contract in used]
    for contract in lived_by:
        current.setdefault(contract.name, contract)
    read = topics_read(current, leaving)
    lives = {one.decoding for one in lived_by}
    alike = {_events(one) for one in lived_by}
    own = [one for one in current.values() if one.decoding in lives or _events(one) not in alike]
    by_decoding = {contract.decoding: contract for contract in own}
    for contract in lived_by:
        by_decoding.setdefault(contract.decoding, contract)
    plain = _plain(own, lived_by)
    made = {decoding: _made(decoding, listed) for decoding in by_decoding}
    decodings = tuple(
        DecodingPlan(
            decoding=decoding,
            label=contract.name if decoding in plain else f"{contract.name}@{decoding}",
            topics=read[contract.name],
            statement=decode_statement(contract),
            horizon=_horizon(contract, current[contract.name]),
            claimed=claimed_by(contract),
            identity=contract.identity,
            likes=_likes(contract, (*by_decoding.values(), *lived_by)),
            after=_after(decoding, lived_by),
            partials=made[decoding].partials,
            uses=named_fields(contract, [statement for _, statement in made[decoding].partials]),
            folds=made[decoding].folds,
            unsent=made[decoding].unsent,
        )
        for decoding, contract in sorted(by_decoding.items(), key=lambda item: (item[1].name, item[0]))
    )
    return StreamPlan(
        decodings,
        tuple(sorted(_unclaimed(current, read).items())),
        tuple(definition.hash for definition, _ in listed),
        tuple((definition.hash, definition.merging) for definition, _ in listed),
        handovers,
    )


@dataclass(frozen=True)
class _Made:
    """What is made of one decoding's events, as in `DecodingPlan`."""

    partials: tuple[tuple[str, str], ...]
    folds: tuple[Fold, ...]
    unsent: tuple[str, ...]


def _made(decoding: str, live: Iterable[Live]) -> _Made:
    """A base is made once for all that is derived from it, whether it is live or not; a chain of one is one statement.

    `live` are in the order of their hashes, and so is what follows.
    """
    reads = [(d, c.name) for d, used in live for c in used if c.decoding == decoding]
    listed = {definition.hash for definition, _ in reads}
    bases = Counter(base.hash for definition, _ in reads for base in definition.bases)
    partials, folds = dict[str, str](), dict[str, Fold]()

    def make(definition: Definition, contract: str) -> None:
        base = definition.base
        if base is None or (base.of.hash not in listed and bases[base.of.hash] == 1):
            partials[definition.hash] = definition.partials[contract]
        else:
            make(base.of, contract)
            folds[definition.hash] = Fold(definition.hash, base.of.hash, base.fold)

    for definition, contract in reads:
        make(definition, contract)
    made = (*partials, *folds)
    return _Made(tuple(partials.items()), tuple(folds.values()), tuple(d for d in made if d not in listed))


def _events(contract: Contract) -> tuple[str, str, str]:
    """Equal where a contract's events are the same ones, filed in the same place."""
    return contract.name, contract.layout, contract.identity


def _likes(contract: Contract, others: Iterable[Contract]) -> tuple[str, ...]:
    accepted = acceptance(contract)
    like = {name for one in others if acceptance(one) == accepted for name in (one.decoding, *one.earlier)}
    return tuple(sorted(like - {contract.decoding}))


def _horizon(contract: Contract, current: Contract) -> timedelta:
    """The project's, for older decodings too: copies are told alike by all that give an event the same identity."""
    return current.horizon if contract.identity == current.identity else contract.horizon


def _after(decoding: str, lived_by: Iterable[Contract]) -> tuple[str, ...]:
    before = (one.before.contract.decoding for one in lived_by if one.decoding == decoding and one.before)
    return tuple(sorted(set(before)))


def _plain(own: Iterable[Contract], lived_by: Iterable[Contract]) -> frozenset[str]:
    """The decodings that are counted under their contracts' names, one for each: `own`, else what most live by."""
    plain = {contract.name: contract.decoding for contract in own}
    most = Counter((one.name, one.decoding) for one in lived_by)
    for (name, decoding), _ in sorted(most.items(), key=lambda item: (-item[1], item[0])):
        plain.setdefault(name, decoding)
    return frozenset(plain.values())


def topics_read(current: dict[str, Contract], leaving: Leaving) -> dict[str, tuple[str, ...]]:
    """By the name of each contract the topics that its events are read from, whatever its decoding: its own, and those
    that are being left. Adds to `current` the contracts that only such a topic has."""
    for contract in (one for listed in leaving.values() for one in listed):
        current.setdefault(contract.name, contract)
    left = {name: [topic for topic, listed in leaving.items() if name in {c.name for c in listed}] for name in current}
    return {name: tuple(dict.fromkeys([one.topic, *sorted(left[name])])) for name, one in current.items()}


def sharing(topic: str, current: Mapping[str, Contract], read: Mapping[str, Sequence[str]]) -> list[Contract]:
    """The contracts that are read from one topic, as if it were their own."""
    return [replace(contract, topic=topic) for name, contract in current.items() if topic in read[name]]


def _unclaimed(current: Mapping[str, Contract], read: Mapping[str, Sequence[str]]) -> dict[str, Claimed]:
    """By topic, but for topics whose one contract claims every record. Where a contract that lives on in a definition
    alone clashes, one contract decides."""
    found: dict[str, Claimed] = {}
    for topic in {topic for topics in read.values() for topic in topics}:
        shared = sharing(topic, current, read)
        try:
            check_topics(shared)
        except UserError:
            shared = shared[:1]
        if any(contract.discriminator for contract in shared):
            found[topic] = unclaimed_by(shared)
    return found
