"""A project's views compiled together: what a view is derived from before the view itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from seamline.errors import Condition, UserError
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.views.compiler import compile_view
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.derived import compile_derived
from seamline.schemas.views.language import close
from seamline.schemas.views.parsed import ParsedView


@dataclass(frozen=True)
class Compiled:
    """A definition and what it reads."""

    definition: Definition

    contracts: tuple[Contract, ...]
    """Those that it decodes by, in the order of their names."""


def compile_all(views: Mapping[str, ParsedView], contracts: Mapping[str, Contract]) -> dict[str, Compiled]:
    """Every view by name, each after the view that it is derived from. Raises CONTRACT_UNKNOWN or VIEW_INVALID."""
    work = _Compiling(views, contracts)
    for view in views.values():
        work.compile(view)
    return work.done


def compile_for(
    view: ParsedView, contracts: Mapping[str, Contract], views: Mapping[str, ParsedView] | None = None
) -> tuple[Definition, tuple[Contract, ...]]:
    """One view, and of `views` what it is derived from. Raises CONTRACT_UNKNOWN or VIEW_INVALID."""
    found = _Compiling({**(views or {}), view.name: view}, contracts).compile(view)
    return found.definition, found.contracts


def compile_chain(view: ParsedView, bases: Iterable[ParsedView], contracts: tuple[Contract, ...]) -> Compiled:
    """A view whose `bases` are known, nearest first. Raises VIEW_INVALID."""
    *derived, first = [view, *bases]
    definition = compile_view(first, *contracts)
    for one in reversed(derived):
        definition = compile_derived(one, definition)
    return Compiled(definition, contracts)


@dataclass
class _Compiling:
    """Compiles each view once."""

    views: Mapping[str, ParsedView]
    contracts: Mapping[str, Contract]
    done: dict[str, Compiled] = field(default_factory=dict)

    under: list[str] = field(default_factory=list)
    """Those that wait for what they are derived from."""

    def compile(self, view: ParsedView) -> Compiled:
        if view.name not in self.done:
            base = self._base(view)
            if base is None:
                self.done[view.name] = self._over_contracts(view)
            else:
                self.under.append(view.name)
                found = self.compile(base)
                self.under.pop()
                self.done[view.name] = Compiled(compile_derived(view, found.definition), found.contracts)
        return self.done[view.name]

    def _base(self, view: ParsedView) -> ParsedView | None:
        """The view that is named after FROM, or None where that is a contract. A view's own name is no view there."""
        for name, at in view.contracts.items():
            base = self.views.get(name.lower())
            if base is None or (base.name == view.name and name in self.contracts):
                continue
            if name in self.contracts:
                message = f"{name!r} is a contract and a view"
                raise view.source.refuse(at, message, "names that are one of both", "rename the view")
            if len(view.contracts) > 1:
                hint = "derive a view from each, or read contracts"
                raise view.source.refuse(at, f"the view {name!r} beside something else", "FROM one view", hint)
            if base.name in (*self.under, view.name):
                circle = [*self.under[self.under.index(base.name) :], view.name] if base.name in self.under else [name]
                message = f"{base.name} is derived from itself: {' from '.join([*circle, base.name])}"
                raise view.source.refuse(at, message, "views that lead to a contract", "read a contract in one of them")
            return base
        return None

    def _over_contracts(self, view: ParsedView) -> Compiled:
        for name, at in view.contracts.items():
            if name not in self.contracts:
                raise UserError(
                    Condition.CONTRACT_UNKNOWN,
                    f"view {view.name} reads {name!r}",
                    detail=", ".join(sorted(self.contracts)) or "(the project has no contracts)",
                    hint=f"{close(name, [*self.contracts, *self.views])}name a contract or another view after FROM, or"
                    " add the contract to contracts/",
                    where=view.source.place(at),
                )
        used = tuple(self.contracts[name] for name in sorted(view.contracts))
        return Compiled(compile_view(view, *used), used)
