"""Which definitions a changed contract is handed to as they stand: those that read the same of a record, where none
that is archived would be judged otherwise. What comes later is judged by the newer text, from one position on.

Nothing of such a definition is made again. Where not everything is sure, a view is another definition.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from seamline.attempts import new_attempt
from seamline.entries.views import DefinitionRecord, Handover, Published
from seamline.errors import SeamlineError
from seamline.frontier import Frontier
from seamline.schemas.catalogue import compile_record
from seamline.schemas.contracts.acceptance import acceptance
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.judged import lineage
from seamline.schemas.going_on import goes_on, taken_over, under_way
from seamline.schemas.views.alike import same_reading, same_statements
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.project_views import Compiled

Agree = Callable[[Contract, Contract], bool]
"""Whether two contracts judge alike every record that was ever archived."""


def none_agree(was: Contract, now: Contract) -> bool:
    """Where nobody looks at records."""
    return False


@dataclass(frozen=True)
class Handing:
    """What is handed over as views are applied."""

    id: str

    together: tuple[str, ...]
    """The definitions."""

    def record(self, state: Published | None, new: Compiled, imports: tuple[str, ...]) -> DefinitionRecord | None:
        """The served definition with the newer texts, where it is one of these; `imports`: those that are archived."""
        old = able(state, new)
        if old is None or old.definition not in self.together:
            return None
        found = taken_over(old, new)
        handovers, earlier = dict(old.handovers), dict(found.earlier)
        for was, now in _changed(old, new):
            one = Handover(
                id=f"{self.id}/{now.name}", before=was.text, earlier=was.earlier, imports=imports,
                together=self.together,
            )  # fmt: skip
            handovers[now.name] = (*handovers.get(now.name, ()), one)
            earlier.pop(now.name, None)
        return found.model_copy(update={"handovers": handovers, "earlier": earlier})


def able(state: Published | None, new: Compiled) -> DefinitionRecord | None:
    """The served definition, where the newer one differs from it in what its contracts accept and in nothing else, it
    has a batch version, and nothing that was handed to it before is under way."""
    if state is None or state.served is None or state.version is None or goes_on(state, new) is not None:
        return None
    old = next((one for one in state.definitions if one.definition == state.served), None)
    if old is None or under_way(old):
        return None
    try:
        was = compile_record(old)
    except SeamlineError:  # this release cannot read it any more
        return None
    same = was.definition.hash == old.definition and same_statements(was.definition, new.definition)
    pairs = zip(was.contracts, new.contracts, strict=True) if same else ()
    return old if same and all(same_reading(was.definition, *pair) for pair in pairs) else None


def plan_handing(
    states: Mapping[str, Published],
    compiled: Mapping[str, Compiled],
    taken: Mapping[str, Frontier],
    agree: Agree,
) -> Handing:
    """The definitions that go on as they stand, where these views are applied. `taken`: the handovers that only epochs
    say were taken.

    They do so together, and only to a text by which no definition lives yet, from texts that accept the same: so its
    decoding can go on with the ids of theirs.
    """
    changes = [
        (old, tuple(_changed(old, new)))
        for name, new in compiled.items()
        if (old := able(states.get(name), new)) is not None
    ]
    judges: dict[str, Contract] = {}
    for was, now in (pair for _, pairs in changes for pair in pairs):
        judges.setdefault(now.name, was)
    lived = set(_lived_by(states.values(), taken))
    found: dict[tuple[str, ...], bool] = {}

    def fits(was: Contract, now: Contract) -> bool:
        if now.decoding in lived or acceptance(was) != acceptance(judges[now.name]):
            return False
        key = lineage(was)
        if key not in found:
            found[key] = agree(was, now)
        return found[key]

    able_to = {old.definition: old for old, pairs in changes if all(fits(*pair) for pair in pairs)}
    standing = (goes_on(states.get(name), new) for name, new in compiled.items())
    stay = able_to.keys() | {one.definition for one in standing if one is not None}
    together = [name for name, old in able_to.items() if {one.hash for one in _bases(old)} <= stay]
    return Handing(new_attempt(), tuple(sorted(together)))


def _bases(old: DefinitionRecord) -> tuple[Definition, ...]:
    """What a definition is derived from: it goes on only where they do."""
    return compile_record(old).definition.bases


def _changed(old: DefinitionRecord, new: Compiled) -> Iterator[tuple[Contract, Contract]]:
    """The contracts that accept other records, as they were and as they are."""
    for was, now in zip(compile_record(old).contracts, new.contracts, strict=True):
        if acceptance(was) != acceptance(now):
            yield was, now


def _lived_by(states: Iterable[Published], taken: Mapping[str, Frontier]) -> Iterator[str]:
    """The decodings that definitions live by; not those that are only about to be handed to them."""
    for state in states:
        for record in state.definitions:
            if record.definition in state.live:
                for one in compile_record(record).contracts:
                    before = one.before
                    if before is None or before.until is not None or before.handover in taken:
                        yield one.decoding
