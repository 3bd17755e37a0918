"""Which records of a topic a contract claims, as a value: what one look at the records tells its contracts apart by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from seamline.schemas.contracts.contract import Contract


@dataclass(frozen=True)
class Claimed:
    """All records of a topic; or those whose kind, what they say at `path`, is one of `values`."""

    path: tuple[str, ...] = ()
    values: frozenset[str] = frozenset()

    rest: bool = False
    """The others instead, those without a kind among them."""


ALL = Claimed()
"""What a contract claims that is told apart by nothing."""


def claimed_by(contract: Contract) -> Claimed:
    """The records of `decode_statement`."""
    one = contract.discriminator
    return Claimed(one.path, frozenset([one.value])) if one else ALL


def unclaimed_by(contracts: Sequence[Contract]) -> Claimed:
    """The records of `unclaimed_statement`: those of one topic that none of its contracts claims."""
    claims = [claimed_by(contract) for contract in contracts]
    return Claimed(claims[0].path, frozenset().union(*(one.values for one in claims)), rest=True)
