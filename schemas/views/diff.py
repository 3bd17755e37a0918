"""What changed between two definitions of a view, and what the change needs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from seamline.schemas.contracts.changes import changes
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.views.definition import Definition, Output

Needs = Literal["nothing", "apply", "rebuild", "another name"]
"""nothing: it is what is served; apply: 'views apply' takes it over, or puts a new view into service; rebuild: another
definition, which is built beside the served one; another name: the same SELECT is served as another view."""


@dataclass(frozen=True)
class DefinitionChange:
    """One thing that is otherwise than before."""

    what: str
    name: str = ""

    old: str = ""
    """Empty where there was none."""

    new: str = ""
    """Empty where there is none."""


@dataclass(frozen=True)
class Side:
    """A definition and its contracts."""

    definition: Definition
    contracts: tuple[Contract, ...]

    hash: str
    """The definition's name in the ledger, or as it is compiled now."""


@dataclass(frozen=True)
class Difference:
    """How one definition differs from another."""

    changes: tuple[DefinitionChange, ...]
    """Those that make another definition first, if any does."""

    needs: Needs
    """What they need."""


def compare(old: Side, new: Side) -> Difference:
    """How `new` differs from what is served."""
    deep = [
        *_columns(old.definition, new.definition),
        *_one("WHERE", old.definition.where, new.definition.where),
        *_one("HAVING", old.definition.having_said, new.definition.having_said),
        *_contracts(old, new),
        *_one("derived from", _base(old.definition), _base(new.definition)),
    ]
    told = [*_comments(old.definition, new.definition), *_properties(old.definition, new.definition)]
    if old.hash == new.hash:
        told = [*_contracts(old, new), *told]
        return Difference(tuple(told), "apply" if told else "nothing")
    if not deep and old.definition.view != new.definition.view:
        deep = [DefinitionChange("name", "", old.definition.view, new.definition.view)]
        return Difference((*deep, *told), "another name")
    if not deep:
        deep = [DefinitionChange("release", "", old.hash, new.hash)]
    return Difference((*deep, *told), "rebuild")


def _columns(old: Definition, new: Definition) -> Iterator[DefinitionChange]:
    before, after = _by_name(old), _by_name(new)
    gone = {name: column for name, column in before.items() if name not in after}
    come = {name: column for name, column in after.items() if name not in before}
    for name, column in come.items():
        same = next((one for one, was in gone.items() if was.said == column.said), None)
        if same is not None:
            del gone[same]
            yield DefinitionChange("column renamed", name, same, name)
        else:
            yield DefinitionChange("column added", name, "", f"{column.said}: {column.sql_type}")
    for name, column in gone.items():
        yield DefinitionChange("column removed", name, f"{column.said}: {column.sql_type}", "")
    for name in (name for name in before if name in after):
        yield from _one("expression", before[name].said, after[name].said, name)
        yield from _one("type", before[name].sql_type, after[name].sql_type, name)
    kept = [name for name in before if name in after]
    if kept != [name for name in after if name in before]:
        yield DefinitionChange("order of columns", "", ", ".join(before), ", ".join(after))


def _by_name(definition: Definition) -> dict[str, Output]:
    return {column.name: column for column in definition.columns}


def _base(definition: Definition) -> str:
    """The view and definition that it is derived from, or ''."""
    return f"{definition.base.view} ({definition.base.definition})" if definition.base else ""


def _contracts(old: Side, new: Side) -> Iterator[DefinitionChange]:
    """What decides how records are decoded; what a contract says besides makes no other definition."""
    what = "contracts" if len(old.contracts) > 1 or len(new.contracts) > 1 else "contract"
    yield from _one(what, ", ".join(old.definition.contracts), ", ".join(new.definition.contracts))
    after = {contract.name: contract for contract in new.contracts}
    for was in old.contracts:
        if was.name in after and was.decoding != after[was.name].decoding:
            yield from _decoding(was, after[was.name])


def _decoding(was: Contract, now: Contract) -> Iterator[DefinitionChange]:
    found = [one for one in changes(was, now) if one.what != "dedup horizon"]
    for one in found:
        yield DefinitionChange(f"contract's {one.what}", one.name or was.name, one.old, one.new)
    if not found:
        yield DefinitionChange("contract's decoding", was.name, was.decoding, now.decoding)


def _comments(old: Definition, new: Definition) -> Iterator[DefinitionChange]:
    yield from _one("comment", old.comment, new.comment)
    after = _by_name(new)
    for name, column in _by_name(old).items():
        if name in after:
            yield from _one("comment", column.comment, after[name].comment, name)


def _properties(old: Definition, new: Definition) -> Iterator[DefinitionChange]:
    return _mapping("property", old.properties, new.properties)


def _mapping(what: str, old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[DefinitionChange]:
    for name in dict.fromkeys((*old, *new)):
        yield from _one(what, old.get(name, ""), new.get(name, ""), name)


def _one(what: str, old: str, new: str, name: str = "") -> Iterator[DefinitionChange]:
    if old != new:
        yield DefinitionChange(what, name, old, new)
