"""Handovers of contracts, as the speed layer takes them: from which epoch on a definition is made by the newer text.

An epoch of a definition is made by one text of each contract. The first that is made by the newer one names the
handover, and begins at its position: below it batch judges by the older text, from there on by the newer. Definitions
that take a handover together do so in one epoch, the first that reads the newer decoding at all: so that decoding goes
on with the ids of the older one, and with no others. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from seamline.entries.speed import Epoch
from seamline.frontier import START
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.judged import in_force, settled
from seamline.schemas.views.definition import Definition

Live = tuple[Definition, tuple[Contract, ...]]
"""A definition that gets epochs, and the contracts it decodes by."""


def handed_over(live: Iterable[Live], newest: Epoch | None) -> tuple[list[Live], tuple[str, ...]]:
    """The definitions with what judges the records after the newest epoch, and the handovers that are taken by then of
    which only epochs say where."""
    listed = list(live)
    taken = dict(newest.handovers) if newest else {}
    pending = [one for _, used in listed for one in used if _pending(one) and _pending(one) not in taken]
    read = set(newest.decodings) if newest else set()
    ready = {_pending(one) for one in pending if one.decoding not in read and _together(one, pending, listed)}
    taken |= dict.fromkeys(ready, START)
    handed = [(d, tuple(in_force(settled(one, taken)) for one in used)) for d, used in listed]
    return handed, tuple(sorted({_pending(one) for _, used in listed for one in used} & taken.keys()))


def _pending(contract: Contract) -> str:
    """The handover whose position no record says, or ''."""
    return contract.before.handover if contract.before and contract.before.until is None else ""


def _together(contract: Contract, pending: Iterable[Contract], live: Sequence[Live]) -> bool:
    """Whether all that take a handover to this decoding can take it now, as far as they are live."""
    names = {name for one in pending if one.decoding == contract.decoding for name in _members(one)}
    mine = [used for definition, used in live if definition.hash in names]
    return all(contract.decoding in [one.decoding for one in used] for used in mine)


def _members(contract: Contract) -> tuple[str, ...]:
    return contract.before.together if contract.before else ()
