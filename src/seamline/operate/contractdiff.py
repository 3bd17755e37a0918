"""The project's contracts against those that views are served by: what each view needs, and why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from seamline.entries.speed import Epoch
from seamline.errors import UserError
from seamline.frontier import Frontier
from seamline.history.speed import SpeedHistory
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.changes import ContractChange, changes
from seamline.schemas.contracts.contract import Contract
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
    """One contract of the project, or every one. Raises CONTRACT_UNKNOWN."""
    catalogue = Catalogue(project.lake)
    listed = [project.contract(name)] if name else [one for _, one in sorted(project.contracts.items())]
    return [_difference(project, catalogue, one) for one in listed]


def _difference(project: Project, catalogue: Catalogue, contract: Contract) -> ContractDifference:
    found, needs = dict[ContractChange, None](), list[ViewNeed]()
    for view, old in _served(catalogue, contract.name):
        was = next(one for one in old.contracts if one.name == contract.name)
        changed = changes(was, contract)
        found |= dict.fromkeys(changed)
        needs.append(_need(project, view, old, contract, changed))
    held = held_since(SpeedHistory(project.lake.speed_log(contract.stream)), contract)
    return ContractDifference(contract.name, tuple(found), tuple(needs), contract.horizon, held)


def _served(catalogue: Catalogue, contract: str) -> Iterator[tuple[str, Compiled]]:
    for view, state in sorted(catalogue.states.items()):
        if state.served is not None:
            one = Compiled(catalogue.definition(state.served), catalogue.contracts(state.served))
            if contract in one.definition.contracts:
                yield view, one


def _need(
    project: Project, view: str, old: Compiled, contract: Contract, changed: tuple[ContractChange, ...]
) -> ViewNeed:
    """`changed`: what the contract says otherwise than the one that the view is served by."""
    if all(change.what == "dedup horizon" for change in changed):
        return ViewNeed(view, "nothing", "a dedup horizon holds from the next epoch on" if changed else "no change")
    if view not in project.views:
        return ViewNeed(view, "nothing", "it is not in the project, and goes on by the contract as it was")
    try:
        new = Compiled(*compile_for(project.views[view], project.contracts, project.views))
    except UserError as error:
        return ViewNeed(view, "another text", f"{error.message} ({error.where})")
    if alike(old, new):
        return ViewNeed(view, "nothing", "no record is judged or read otherwise: 'views apply' takes the text over")
    judged = [f"{change.words}: {change.effect}" for change in changed if change.effect != "nothing"]
    read = _read_otherwise(old, new, contract)
    text = [] if same_statements(old.definition, new.definition) else ["the view's own statements"]
    return ViewNeed(view, "rebuild", "; ".join([*judged, *read, *text]) or "a contract of its union changed")


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
