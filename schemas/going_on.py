"""What the ledger keeps of a view that is applied: under its own name, or as a definition that stands already and
answers alike. That one goes on with the newer texts, and nothing of it is made again. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from seamline.entries.views import DefinitionRecord, Published
from seamline.errors import SeamlineError
from seamline.schemas.catalogue import called, compile_record, record
from seamline.schemas.views.alike import alike
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.headers import header_of
from seamline.schemas.views.project_views import Compiled


def recorded(
    state: Published | None, new: Compiled, bases: Mapping[str, str] = MappingProxyType({})
) -> DefinitionRecord:
    """What is kept of a view that is applied where its newest state is this one. `bases`: what those that it is derived
    from are called, by what they would be by their texts."""
    old = goes_on(state, new)
    if old is not None:
        return taken_over(old, new)
    fresh = record(new.definition, new.contracts)
    return fresh.model_copy(update={"names": {text: name for text, name in bases.items() if text != name}})


def goes_on(state: Published | None, new: Compiled) -> DefinitionRecord | None:
    """The definition that a compiled view goes on as, of those that get epochs or were served when the view was
    dropped; None where it is another than all of them. One that was dropped while a contract was handed to it is not
    gone on with: nobody says any more where it was."""
    if state is None:
        return None
    listed = {one.definition: one for one in state.definitions}
    last = [state.dropped[0]] if state.served is None and state.dropped else []
    standing = [listed[name] for name in state.live if name in listed]
    standing += [listed[name] for name in last if name in listed and not under_way(listed[name])]
    first = [one for one in standing if one.definition == new.definition.hash]
    return next((one for one in (*first, *standing) if _is_alike(one, new)), None)


def as_standing(state: Published | None, new: Compiled) -> Definition:
    """A compiled view under the name that it is known by where its newest state is this one."""
    one = recorded(state, new)
    return called(new.definition, {**one.names, new.definition.hash: one.definition})


def under_way(record: DefinitionRecord) -> bool:
    """Whether a contract is being handed to a definition, and its record does not say where yet."""
    return any(one.at is None for listed in record.handovers.values() for one in listed)


def _is_alike(old: DefinitionRecord, new: Compiled) -> bool:
    try:
        compiled = compile_record(old)
        return compiled.definition.hash == old.definition and alike(compiled, new)
    except SeamlineError:  # this release cannot read it any more
        return False


def taken_over(old: DefinitionRecord, new: Compiled) -> DefinitionRecord:
    """The older record with what the newer texts say otherwise; the older one where that is nothing."""
    before = compile_record(old)
    kept = {one.name: one for one in before.contracts}
    if all((one.decoding, one.horizon) == (kept[one.name].decoding, kept[one.name].horizon) for one in new.contracts):
        same = header_of(old.sql).said == header_of(new.definition.text).said
        return old if same else old.model_copy(update={"sql": new.definition.text})
    texts = record(new.definition, new.contracts)
    names = {text.hash: stood.hash for text, stood in zip(_chain(new), _chain(before), strict=True)}
    earlier = {
        one.name: _without((*kept[one.name].earlier, kept[one.name].decoding), one.decoding) for one in new.contracts
    }
    return texts.model_copy(
        update={
            "definition": old.definition,
            "handovers": old.handovers,
            "names": {text: stood for text, stood in names.items() if text != stood},
            "earlier": {name: decodings for name, decodings in earlier.items() if decodings},
        }
    )


def _chain(one: Compiled) -> tuple[Definition, ...]:
    return (one.definition, *one.definition.bases)


def _without(decodings: Iterable[str], current: str) -> tuple[str, ...]:
    """Each once, without the one that is gone by now."""
    return tuple(dict.fromkeys(one for one in decodings if one != current))
