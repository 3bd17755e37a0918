"""What each step of a batch run hands to the next: frozen values, in the order of the steps.

Histories within them stand as they were read and no step reads them on: what has become of the ledger since is for
the step that goes on from a value to find, and then it says so (LEDGER_CONFLICT, RESERVATION_EXPIRED).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Self, TypeAlias

from seamline.entries.base import Counts
from seamline.entries.batch import Audit, Reserved, Version
from seamline.entries.views import Published
from seamline.frontier import Frontier
from seamline.history.views import ViewHistory
from seamline.jobs.fold import FoldSource
from seamline.jobs.plan import Logs, Nothing, Plan
from seamline.jobs.unit import UnitResult, UnitTask
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.views.definition import Definition
from seamline.units import Unit


@dataclass(frozen=True)
class Target:
    """A definition that a run may work on, and what the ledger says of it."""

    definition: Definition
    """Compiled from what the ledger keeps of it."""

    contracts: tuple[Contract, ...]
    """Those it decodes by, in the order of their names."""

    stream: str
    """The stream that they are in."""

    logs: Logs
    """The stream's epochs and archive, and the definition's versions."""

    source: FoldSource | None
    """The base that it is folded from; None: it is computed from raw."""

    def unit(self, contract: Contract, day: date) -> Unit:
        """One event date of one of its contracts."""
        return Unit(contract.name if len(self.contracts) > 1 else "", day)

    def contract_of(self, unit: Unit) -> Contract:
        """The contract whose events a unit holds."""
        return next(contract for contract in self.contracts if unit.contract in ("", contract.name))


@dataclass(frozen=True)
class Decided:
    """What `decide` found to do. Nothing is written yet."""

    view: ViewHistory
    """Every state of the view: which runs of before may be gone on with."""

    state: Published
    """The newest of them. The version is published only while it still is."""

    target: Target
    """The definition to compute."""

    plan: Plan
    """The cut, the base, and the event dates to recompute."""

    at: datetime
    """When the ledger was read: what raw held then stands for a day at least."""


@dataclass(frozen=True)
class Reservation:
    """What `reserve` holds: no epoch after its cut is compacted across it or retired, until it ends."""

    decision: Decided
    """What it was made for."""

    entry: Reserved
    """As it stands in the ledger: this run's own, or that of an earlier life of it."""

    plan: Plan
    """The decision's, with the cut, dates and imports that were reserved, which may be older."""

    @property
    def target(self) -> Target:
        """The definition to compute."""
        return self.decision.target

    @property
    def audited_from(self) -> Version | None:
        """The version that the audit starts from, if any."""
        return None if self.plan.against is None else self.target.logs.batch.versions.get(self.plan.against)


@dataclass(frozen=True)
class Recomputed:
    """What `compute` made: the files of every unit, which no entry names yet."""

    reservation: Reservation
    """What it was computed for."""

    tasks: tuple[UnitTask, ...]
    """The units that hold anything, as they were computed."""

    results: tuple[UnitResult, ...]
    """Of every unit of the plan, in the order of their names; also of those that hold nothing any more."""

    @property
    def target(self) -> Target:
        """The definition that was computed."""
        return self.reservation.target

    @property
    def plan(self) -> Plan:
        """What was computed of it."""
        return self.reservation.plan


@dataclass(frozen=True)
class Audited:
    """What `audit` found of it."""

    computed: Recomputed
    """What was audited."""

    audit: Audit
    """Against what was served, and of a sample another way; it goes into the version's entry as it is."""


@dataclass(frozen=True)
class Unpublished:
    """A version in the ledger that is not served yet: put by `publish`, or by an earlier life of its run."""

    state: Published
    """The view's newest state when this was decided."""

    target: Target
    """The definition that it is a version of."""

    number: int
    """The version's."""

    version: Version
    """Its entry."""

    reserved: Reserved
    """The reservation of its run."""


Begun: TypeAlias = Reservation | Unpublished | Nothing
"""A run before it computes: what it has reserved, or what it finds done."""


@dataclass(frozen=True)
class Outcome:
    """What a run did."""

    view: str
    """The view that it was asked for."""

    definition: str = ""
    """The definition that is served now."""

    version: int | None = None
    """The version that is served now; None: there was nothing to do."""

    reason: str = ""
    """`published`, or why there was nothing to do."""

    cut: Frontier = field(default_factory=Frontier)
    """Where the version ends."""

    units: int = 0
    """Units that its entry lists."""

    counts: Counts = field(default_factory=Counts)
    """Law 3's, of all that stands in it."""

    audit: Audit = field(default_factory=lambda: Audit(compared=False))
    """What was found of it before it was served."""

    @classmethod
    def of(cls, view: str, definition: str, number: int | None, reason: str, made: Version) -> Self:
        """What became of a version; `number`: None where it is not served."""
        return cls(view, definition, number, reason, made.cut, len(made.units), made.counts, made.audit)
