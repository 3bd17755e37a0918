"""What one text of a contract says otherwise than another, and what that can do to a record. Pure.

Fields are told apart by their JSON keys: what a record is judged by.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.types import Field, Rule

Effect = Literal["nothing", "may reject", "may accept", "may do both", "another event"]
"""On a record: it is judged as before; one that was accepted may be rejected; one that was rejected may be accepted;
either; or it may be another event, or one of another contract."""


@dataclass(frozen=True)
class ContractChange:
    """One thing that a contract says otherwise."""

    what: str

    name: str = ""
    """The field's, as reject reasons name it (`a.b`, `a[].c`)."""

    old: str = ""
    """Empty where there was none."""

    new: str = ""
    """Empty where there is none."""

    effect: Effect = "nothing"

    @property
    def words(self) -> str:
        """In a line."""
        named = " ".join(filter(None, (self.what, self.name)))
        turned = " -> ".join(filter(None, (self.old, self.new)))
        return f"{named} ({turned})" if turned else named


def changes(was: Contract, now: Contract) -> tuple[ContractChange, ...]:
    """What decides how records are judged and copies are told; prose, owners, topics and keys do not."""
    return (*_fields(was.fields, now.fields, ""), *_whole(was, now))


def _whole(was: Contract, now: Contract) -> Iterator[ContractChange]:
    yield from _one("event time", was.event_time, now.event_time, "another event")
    yield from _one("event id", was.event_id or "", now.event_id or "", "another event")
    yield from _one("discriminator", _told(was), _told(now), "another event")
    earlier: Effect = "may accept" if now.earliest < was.earliest else "may reject"
    yield from _one("earliest", was.earliest.isoformat(), now.earliest.isoformat(), earlier)
    yield from _one("ahead", str(was.ahead), str(now.ahead), "may accept" if now.ahead > was.ahead else "may reject")
    yield from _one("raw retention", _kept(was), _kept(now), _kept_effect(was, now))
    yield from _one("dedup horizon", str(was.horizon), str(now.horizon), "nothing")


def _kept(contract: Contract) -> str:
    return f"{contract.raw_retention.days} days" if contract.raw_retention else ""


def _kept_effect(was: Contract, now: Contract) -> Effect:
    longer = now.raw_retention is None or (was.raw_retention is not None and now.raw_retention > was.raw_retention)
    return "may accept" if longer else "may reject"


def _told(contract: Contract) -> str:
    one = contract.discriminator
    return f"{'.'.join(one.path)} = {one.value}" if one else ""


def _fields(old: tuple[Field, ...], new: tuple[Field, ...], prefix: str) -> Iterator[ContractChange]:
    before, after = {field.key: field for field in old}, {field.key: field for field in new}
    for key, field in after.items():
        if key not in before:
            yield ContractChange("field added", prefix + field.name, "", _typed(field), "may reject")
    for key, field in before.items():
        if key not in after:
            yield ContractChange("field removed", prefix + field.name, _typed(field), "", "may accept")
    kept = [key for key in before if key in after]
    for key in kept:
        yield from _field(before[key], after[key], prefix + after[key].name)
    if kept != [key for key in after if key in before]:
        yield ContractChange("order of fields", prefix.rstrip("."))


def _field(old: Field, new: Field, label: str) -> Iterator[ContractChange]:
    yield from _one("name", old.name, new.name, "nothing", label)
    yield from _one("type", _typed(old), _typed(new), "may do both", label)
    if old.required != new.required:
        yield ContractChange("required", label, _yes(old), _yes(new), "may reject" if new.required else "may accept")
    yield from _rules(old.rules, new.rules, label)
    yield from _fields(old.fields, new.fields, f"{label}.")
    if old.item and new.item:
        yield from _field(old.item, new.item, f"{label}[]")


def _rules(old: tuple[Rule, ...], new: tuple[Rule, ...], label: str) -> Iterator[ContractChange]:
    before, after = {rule.kind: rule for rule in old}, {rule.kind: rule for rule in new}
    for kind in dict.fromkeys((*before, *after)):
        was, now = before.get(kind), after.get(kind)
        if was == now:
            continue
        yield ContractChange(f"rule {kind}", label, _bound(was), _bound(now), _effect(was, now))


def _effect(was: Rule | None, now: Rule | None) -> Effect:
    if was is None or now is None:
        return "may reject" if was is None else "may accept"
    old, new = set(was.values), set(now.values)
    if was.kind != "enum" or not (old <= new or new <= old):
        return "may do both"
    return "nothing" if old == new else "may accept" if old < new else "may reject"


def _bound(rule: Rule | None) -> str:
    return ", ".join(rule.values) if rule else ""


def _typed(field: Field) -> str:
    """As a contract says it; of an object and an array only that."""
    if field.type == "decimal":
        return f"decimal({field.precision},{field.scale})"
    return f"array of {_typed(field.item)}" if field.item else field.epoch or field.type


def _yes(field: Field) -> str:
    return "yes" if field.required else "no"


def _one(what: str, old: str, new: str, effect: Effect, name: str = "") -> Iterator[ContractChange]:
    if old != new:
        yield ContractChange(what, name, old, new, effect)
