"""The views of a lake, as their logs record them: which definitions live, which is served, and each one compiled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache

from seamline.entries.views import DefinitionRecord, Published
from seamline.errors import Condition, SeamlineError, UserError
from seamline.hints import EVERY_LOG, Moved
from seamline.history.base import grown, read_on
from seamline.history.views import ViewHistory
from seamline.lake import Lake
from seamline.schemas.contracts.contract import Before, Contract, parse_contract
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.headers import header_of
from seamline.schemas.views.language import close
from seamline.schemas.views.project_views import Compiled, compile_chain
from seamline.schemas.views.text import parse_views


class Catalogue:
    """Follows the view logs of a lake and compiles what they record."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._histories: dict[str, ViewHistory] = {}
        self._by_definition: dict[str, ViewHistory] = {}
        self._compiled: dict[str, Compiled] = {}
        self._changed = False
        self.catch_up()

    def catch_up(self, moved: Moved = EVERY_LOG) -> bool:
        """Reads on those that moved, and finds new ones; True where a view changed, perhaps in a look before this one
        that failed half way."""
        if not moved.any_of("views"):
            return False
        changed, self._changed = self._changed, True  # until this look has come to its end
        known = self._moved(moved)
        for view in self._lake.views():
            if view not in self._histories:
                self._histories[view] = ViewHistory(self._lake.view_log(view))
                changed = True
        changed |= read_on(known, beyond=moved.places is None)
        self._changed = False
        if changed:
            self._by_definition = {one: history for history in self._histories.values() for one in history.definitions}
            self._compiled.clear()  # a record's properties may have changed; what did not is not compiled again
        return changed

    def _moved(self, moved: Moved) -> list[ViewHistory]:
        """The logs to ask, of those that are followed. Where all are looked at, one listing says which moved."""
        if moved.places is not None:
            return [history for history in self._histories.values() if history.log.name in moved]
        return grown(self._lake.store, "views", self._histories.values())

    @property
    def states(self) -> dict[str, Published]:
        """The newest state of each view."""
        return {view: history.state for view, history in [*self._histories.items()] if history.state}

    def history(self, view: str) -> ViewHistory:
        """Every state of one view. Raises VIEW_UNKNOWN."""
        if view not in self._histories:
            raise unknown_view(view, list(self._histories))
        return self._histories[view]

    def history_of(self, hash_: str) -> ViewHistory | None:
        """Every state of the view that a definition is of, or was; None where no view has ever named it."""
        return self._by_definition.get(hash_)

    def definition(self, hash_: str) -> Definition:
        """A recorded definition, compiled."""
        return self._compile(hash_).definition

    def contracts(self, hash_: str) -> tuple[Contract, ...]:
        """The contracts a recorded definition decodes by, in the order of their names."""
        return self._compile(hash_).contracts

    def stream(self, hash_: str) -> str:
        """The stream that a recorded definition's contracts are in."""
        return self.contracts(hash_)[0].stream

    def live(self, stream: str | None = None) -> tuple[Definition, ...]:
        """Definitions that get epochs, of one stream or of all, in the order of their hashes."""
        hashes = {h for state in self.states.values() for h in state.live}
        return tuple(self.definition(h) for h in sorted(hashes) if stream is None or self.stream(h) == stream)

    def in_order(self) -> tuple[str, ...]:
        """Every view by name, but each after those that its live definitions are derived from."""
        found: dict[str, None] = {}

        def add(view: str, under: tuple[str, ...] = ()) -> None:
            if view in found or view in under or view not in self.states:
                return
            for hash_ in self.states[view].live:
                for base in self._bases(hash_):
                    add(base.view, (*under, view))
            found[view] = None

        for view in sorted(self.states):
            add(view)
        return tuple(found)

    def _bases(self, hash_: str) -> tuple[Definition, ...]:
        try:
            return self.definition(hash_).bases
        except SeamlineError:
            return ()  # told by the view itself

    def properties(self, hash_: str) -> dict[str, str]:
        """The properties a recorded definition was applied with; none where it is not recorded, or cannot be read."""
        record = self._record(hash_)
        return dict(header_of(record.sql).properties) if record is not None else {}

    def _record(self, hash_: str) -> DefinitionRecord | None:
        history = self.history_of(hash_)
        recorded = history.state.definitions if history is not None and history.state is not None else ()
        return next((one for one in recorded if one.definition == hash_), None)

    def _compile(self, hash_: str) -> Compiled:
        if hash_ not in self._compiled:
            record = self._record(hash_)
            if record is None:
                raise UserError(Condition.VIEW_UNKNOWN, f"definition {hash_}", hint="'seamline views list' shows all")
            self._compiled[hash_] = compile_record(record)
        return self._compiled[hash_]


def unknown_view(view: str, known: list[str]) -> UserError:
    """VIEW_UNKNOWN with the names there are."""
    return UserError(
        Condition.VIEW_UNKNOWN,
        f"view {view!r}",
        detail=", ".join(sorted(known)) or "(no view was applied yet)",
        hint=f"{close(view, known)}run 'seamline views apply' after adding it to views/",
    )


def dropped_view(view: str) -> UserError:
    """The view is served no more."""
    return UserError(
        Condition.VIEW_UNKNOWN,
        f"view {view} was dropped",
        hint="put its text back into views/ and run 'seamline views apply'",
    )


def compile_record(record: DefinitionRecord) -> Compiled:
    """A definition from what the ledger kept of it: pure, and 20 to 30 ms, so each is compiled once in a process."""
    found = _compile_text(record.definition, (record.sql, *record.bases), tuple(sorted(record.contracts.items())))
    contracts = tuple(_since(record, one) for one in found.contracts)
    return Compiled(called(found.definition, record.names), contracts)


def _since(record: DefinitionRecord, contract: Contract) -> Contract:
    """A record's contract with what was before it."""
    handovers = record.handovers.get(contract.name, ())
    texts = [*(_parsed(handover.before, contract.name) for handover in handovers), contract]
    earlier = [*(handover.earlier for handover in handovers), record.earlier.get(contract.name, ())]
    found = replace(texts[0], earlier=earlier[0])
    for handover, text, ones in zip(handovers, texts[1:], earlier[1:], strict=True):
        before = Before(found, handover.id, handover.at, handover.imports, handover.together)
        found = replace(text, earlier=ones, before=before)
    return found


@lru_cache(maxsize=256)
def _parsed(text: str, name: str) -> Contract:
    return parse_contract(text, where=f"ledger: contract {name}")


def called(definition: Definition, names: Mapping[str, str]) -> Definition:
    """The same, it and what it is derived from by these names where they have one."""
    base = definition.base
    named = replace(base, of=called(base.of, names)) if base else None
    return replace(definition, hash=names.get(definition.hash, definition.hash), base=named)


@lru_cache(maxsize=1024)
def _compile_text(definition: str, sql: tuple[str, ...], yaml: tuple[tuple[str, str], ...]) -> Compiled:
    contracts = tuple(parse_contract(text, where=f"ledger: contract {name} of {definition}") for name, text in yaml)
    view, *bases = (text for one in sql for text in parse_views(one, where=f"ledger: definition {definition}"))
    return compile_chain(view, bases, contracts)


def record(definition: Definition, contracts: Iterable[Contract]) -> DefinitionRecord:
    """What the ledger keeps of a definition."""
    texts = {contract.name: contract.text for contract in contracts}
    bases = tuple(base.text for base in definition.bases)
    return DefinitionRecord(definition=definition.hash, sql=definition.text, contracts=texts, bases=bases)
