"""The project's contracts against those that views are served by: what each view needs, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from seamline.entries.speed import Epoch
from seamline.errors import UserError
from seamline.frontier import Frontier
from seamline.history.speed import SpeedHistory
from seamline.jobs.judging import JudgedOtherwise
from seamline.operate.viewapply import looked_through
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.changes import ContractChange, changes
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.going_on import under_way
from seamline.schemas.handovers import plan_handing
from seamline.schemas.project import Project
from seamline.schemas.views.alike import alike, fields_read, same_statements
from seamline.schemas.views.project_views import Compiled, compile_for

Needed = Literal["nothing", "rebuild", "another text"]
"""nothing: no row can differ; rebuild: 'views apply' has another definition built beside the served one; another text:
the view cannot be read by the contract as it is now."""


@dataclass(frozen=True)
class ViewNeed:
    """What a contract's change needs of one view that is served."""

    view: str
    needs: Needed

    why: str
    """What it depends on that changed, or why nothing does."""


@dataclass(frozen=True)
class HorizonHeld:
    """Which dedup horizon the speed layer goes by, as the epochs that stand say it."""

    horizon: timedelta

    epoch: int
    """The first of those on end that go by it."""

    start: Frontier
    """Where that begins: copies read from there on are told by it."""


@dataclass(frozen=True)
class ContractDifference:
    """One contract, as the project has it, beside what is served by it."""

    contract: str
    changes: tuple[ContractChange, ...]
    views: tuple[ViewNeed, ...]

    horizon: timedelta
    """The project's."""

    held: HorizonHeld | None
    """None where the newest epoch remembers no ids of the contract."""


def contract_differences(project: Project, name: str | None = None) -> list[ContractDifference]:
    """One contract of the project, or every one. Looks through the archive where a view could go on by what it decides.

    Raises CONTRACT_UNKNOWN.
    """
    listed = [project.contract(name)] if name else [one for _, one in sorted(project.contracts.items())]
    beside = _beside(project)
    return [_difference(project, beside, one) for one in listed]


@dataclass(frozen=True)
class _Beside:
    """What the lake serves, and what applying the project's views would make of it."""

    served: Mapping[str, Compiled]

    new: Mapping[str, Compiled]
    """Those that can be compiled."""

    refused: Mapping[str, UserError]
    """The others."""

    handed: Collection[str]
    """The definitions that would go on, with a contract that judges otherwise from a position on."""

    under_way: Collection[str]
    """Those that do already, and whose records do not say where yet."""

    otherwise: Mapping[str, JudgedOtherwise]
    """By contract, an archived record that it judges otherwise."""


def _beside(project: Project) -> _Beside:
    catalogue = Catalogue(project.lake)
    states = {view: state for view, state in catalogue.states.items() if state.served is not None}
    served = {
        view: Compiled(catalogue.definition(state.served), catalogue.contracts(state.served))
        for view, state in states.items()
        if state.served is not None
    }
    new, refused, otherwise = dict[str, Compiled](), dict[str, UserError](), dict[str, JudgedOtherwise]()
    for name, view in project.views.items():
        try:
            new[name] = Compiled(*compile_for(view, project.contracts, project.views))
        except UserError as error:
            refused[name] = error

    def agree(was: Contract, now: Contract) -> bool:
        found = looked_through(project, was, now)
        if found is not None:
            otherwise[now.name] = found
        return found is None

    taken = {
        one: at for of in project.streams for one, at in SpeedHistory(project.lake.speed_log(of)).handovers.items()
    }
    records = [record for state in states.values() for record in state.definitions if record.definition == state.served]
    going = {record.definition for record in records if under_way(record)}
    return _Beside(served, new, refused, plan_handing(states, new, taken, agree).together, going, otherwise)


def _difference(project: Project, beside: _Beside, contract: Contract) -> ContractDifference:
    found, needs = dict[ContractChange, None](), list[ViewNeed]()
    for view, old in sorted(beside.served.items()):
        if contract.name in old.definition.contracts:
            was = next(one for one in old.contracts if one.name == contract.name)
            changed = changes(was, contract)
            found |= dict.fromkeys(changed)
            needs.append(_need(beside, view, contract, changed))
    held = held_since(SpeedHistory(project.lake.speed_log(contract.stream)), contract)
    return ContractDifference(contract.name, tuple(found), tuple(needs), contract.horizon, held)


def _need(beside: _Beside, view: str, contract: Contract, changed: tuple[ContractChange, ...]) -> ViewNeed:
    """`changed`: what the contract says otherwise than the one that the view is served by."""
    nothing = _nothing(beside, view, changed)
    if nothing:
        return ViewNeed(view, "nothing", nothing)
    if view in beside.refused:
        error = beside.refused[view]
        return ViewNeed(view, "another text", f"{error.message} ({error.where})")
    old, new = beside.served[view], beside.new[view]
    judged = [f"{change.words}: {change.effect}" for change in changed if change.effect != "nothing"]
    record = [beside.otherwise[contract.name].words] if contract.name in beside.otherwise else []
    read = _read_otherwise(old, new, contract)
    text = [] if same_statements(old.definition, new.definition) else ["the view's own statements"]
    waits = ["a change before it is under way: refresh first"] if old.definition.hash in beside.under_way else []
    why = "; ".join([*judged, *record, *read, *text, *waits])
    return ViewNeed(view, "rebuild", why or "a contract of its union changed")


def _nothing(beside: _Beside, view: str, changed: tuple[ContractChange, ...]) -> str:
    """Why a view needs nothing, or ''."""
    old, new = beside.served[view], beside.new.get(view)
    name, horizons = old.definition.hash, [change for change in changed if change.what == "dedup horizon"]
    reasons = (
        (not changed and name in beside.under_way, "it goes on with the contract from the next epoch on"),
        (not changed, "no change"),
        (len(horizons) == len(changed), "a dedup horizon holds from the next epoch on"),
        (new is None and view not in beside.refused, "not in the project, it goes on by the contract as it was"),
        (
            new is not None and alike(old, new),
            "no record is judged or read otherwise: 'views apply' takes it over",
        ),
        (name in beside.handed, "no archived record is judged otherwise: 'views apply' hands it over to what comes"),
    )
    return next((why for holds, why in reasons if holds), "")


def _read_otherwise(old: Compiled, new: Compiled, contract: Contract) -> list[str]:
    """The fields that a view reads and that are another column now."""
    was = next(one for one in old.contracts if one.name == contract.name)
    mine = {field.name: field.sql_type for field in fields_read(old.definition, was)}
    now = {field.name: field.sql_type for field in fields_read(new.definition, contract)}
    return [f"reads {name}" for name, kind in mine.items() if now.get(name, kind) != kind]


def held_since(speed: SpeedHistory, contract: Contract) -> HorizonHeld | None:
    """Since which epoch the speed layer goes by the horizon it goes by now."""
    newest = speed.epochs.get(speed.last_epoch)
    seconds = _horizon(newest, contract) if newest else None
    if seconds is None:
        return None
    first = speed.trailing(lambda epoch: _horizon(epoch, contract) == seconds)[0]
    return HorizonHeld(timedelta(seconds=seconds), first.number, first.start)


def _horizon(epoch: Epoch, contract: Contract) -> int | None:
    own = epoch.memories.get(contract.decoding)
    alike = (memory for memory in epoch.memories.values() if memory.identity == contract.identity)
    found = own or next(alike, None)
    return found.horizon if found else None
