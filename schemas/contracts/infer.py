"""A draft of a contract from a sample of events, and what it is unsure of. Pure.

A field gets the one type that takes all of its values. Where none does, it gets the type of nearly all of them, or is
left out: a contract ignores keys that it does not name, so that its draft accepts what it was made from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from seamline.errors import Condition, UserError
from seamline.schemas.contracts.custom_properties import EARLIEST
from seamline.schemas.contracts.observed import DEEPEST, MOST_KEYS, Observed, ObservedEvents, tallies
from seamline.schemas.contracts.types import EPOCHS, Field

NEARLY = 99
"""Of 100 values, how many decide over the others."""

_NUMERIC = frozenset({"integer", "wide", "fraction"})
_SAID = {"fraction": "number", "wide": "integer beyond 64 bits", "beyond": "number beyond doubles"}
_KEY = re.compile(r'[^"\\*\x00-\x1f]+')
_TIME_NAMES = tuple(
    re.compile(pattern)
    for pattern in (
        r"event_?time(stamp)?|time_?stamp|ts|dt|time|event_?at",
        r"occurred(_?at|_?on)?|happened(_?at)?|placed(_?at)?|created(_?at|_?on|_?time)?",
        r".*_(at|time|ts|timestamp|on|date)|date",
    )
)
_ID_NAME = re.compile(r"(?:.*_)?(?:id|uuid|guid)")
_MONEY = re.compile(r"(?:.*_)?(?:amount|price|cost|fee|total|subtotal|revenue|tax|net|gross|balance|discount)")


@dataclass(frozen=True)
class Doubt:
    """What a draft is not sure of."""

    field: str
    """By its path, `customer.id`; '' of the whole contract."""

    why: str

    left_out: bool = False
    """Whether the field is no part of the contract for it."""


@dataclass(frozen=True)
class Draft:
    """A contract to be."""

    name: str
    topic: str
    fields: tuple[Field, ...]
    event_time: str
    event_id: str = ""
    key: str = ""

    earliest: datetime = EARLIEST
    """Its default, or the day of an event before it."""

    doubts: tuple[Doubt, ...] = ()


@dataclass(frozen=True)
class _Drafting:
    """The doubts that come up while fields are drafted."""

    doubts: list[Doubt] = field(default_factory=list)

    def doubt(self, path: str, why: str, *, left_out: bool = False) -> None:
        self.doubts.append(Doubt(path, why, left_out))


def draft(sample: ObservedEvents, name: str, topic: str) -> Draft:
    """The draft of a sample's contract. Raises UserError INPUT_INVALID where no field says when an event happened."""
    work = _Drafting()
    if sample.counts["unreadable"]:
        work.doubt("", f"records that hold no JSON object: {sample.counts['unreadable']:,}")
    if sample.counts["copies"]:
        work.doubt("", f"records that are, byte for byte, copies of others: {sample.counts['copies']:,}")
    fields = _members(sample.event, "", 0, work)
    seen = {one.name: sample.event.inside[one.key] for one in fields}
    fields, event_time = _event_time(fields, seen, sample.event.values, work)
    event_id, key = _identity(fields, seen, event_time, work)
    earliest = _earliest(seen[event_time], work, event_time)
    return Draft(name, topic, fields, event_time, event_id, key, earliest, tuple(work.doubts))


# --- types -----------------------------------------------------------------------------------------------


def _members(parent: Observed, path: str, depth: int, work: _Drafting) -> tuple[Field, ...]:
    """The fields of an object that can be named and typed."""
    found: list[Field] = []
    taken: set[str] = set()
    keys: dict[str, str] = {}
    for key, seen in parent.inside.items():
        shown = path + _shown(key)
        other = keys.setdefault(key.lower(), key)
        if other != key:
            work.doubt(shown, f"differs from {_shown(other)} in case alone", left_out=True)
        elif not _is_key(key):
            work.doubt(shown, 'a key with ", \\, * or control characters', left_out=True)
        else:
            name = _name(key, taken)
            one = _field(seen, name, path + name, depth, work)
            if one is not None:
                required = parent.values > 0 and seen.values == parent.values
                found.append(replace(one, name=name, source="" if key == name else key, required=required))
                taken.add(name.lower())
    if parent.passed["keys"]:
        work.doubt(path.rstrip("."), f"has over {MOST_KEYS} keys: the others were not looked at")
    return tuple(found)


def _field(seen: Observed, name: str, path: str, depth: int, work: _Drafting) -> Field | None:
    """A field without a name of the type that takes these values; None where there is none."""
    counted = dict(tallies(seen))
    said = ", ".join(f"{n:,} × {_SAID.get(kind, kind)}" for kind, n in counted.items())
    if not counted:
        work.doubt(path, f"null in all {seen.kinds['null']:,} records that have it: no type", left_out=True)
        return None
    kinds = frozenset(counted)
    families = {"number" if kind in _NUMERIC else kind: kind for kind in kinds}
    if len(families) > 1 and all(kind == "string" or n <= seen.cells[kind] for kind, n in counted.items()):
        work.doubt(path, f"a string: its cells are mixed ({said})")
        return Field("", "string")
    if len(families) > 1 or "beyond" in families:
        family = _most(counted)
        if family == "beyond" or _share(counted, family) * 100 < seen.values * NEARLY:
            work.doubt(path, f"mixed: {said}; no type takes all", left_out=True)
            return None
        work.doubt(path, f"mixed: {said}; records with another type than most are rejected")
        kinds = frozenset(kind for kind in kinds if kind in _NUMERIC) if family == "number" else frozenset({family})
    if kinds <= _NUMERIC:
        return _number(seen, kinds, name, path, work)
    return _TYPED[next(iter(kinds))](seen, path, depth, work)


def _most(counted: Mapping[str, int]) -> str:
    families = ["number" if kind in _NUMERIC else kind for kind in counted]
    return max(families, key=lambda family: _share(counted, family))


def _share(counted: Mapping[str, int], family: str) -> int:
    return sum(n for kind, n in counted.items() if kind == family or (family == "number" and kind in _NUMERIC))


def _number(seen: Observed, kinds: frozenset[str], name: str, path: str, work: _Drafting) -> Field:
    total = sum(seen.kinds[kind] for kind in _NUMERIC)
    epoch = next((unit for unit in EPOCHS if seen.numbers[unit] == total), "")
    if epoch and _timely(name) is not None:
        work.doubt(path, f"numbers named like a time, in this century as {epoch}: taken as such")
        return Field("", "timestamp", epoch=epoch)
    whole, scale = max(1, seen.most["whole"]), max(0, seen.most["scale"])
    if kinds == {"integer"}:
        return Field("", "integer")
    if "fraction" not in kinds:
        if whole <= 38:
            work.doubt(path, f"integers beyond 64 bits ({seen.kinds['wide']:,} of {total:,}): a decimal of 38 digits")
            return Field("", "decimal", precision=38)
        work.doubt(path, f"integers of {whole} digits: doubles, which keep 15 of them")
    elif _MONEY.fullmatch(_snake(name)) and not seen.numbers["exponent"] and scale <= 4 and whole <= 14:
        places = 2 if scale <= 2 else 4
        work.doubt(path, f"named like money: decimal(18,{places}), which rejects more digits after the point")
        return Field("", "decimal", precision=18, scale=places)
    else:
        work.doubt(path, "doubles; where sums must be exact, write physicalType: decimal(p,s)")
    return Field("", "number")


def _string(seen: Observed, path: str, depth: int, work: _Drafting) -> Field:
    strings, instants, dates = seen.kinds["string"], seen.strings["instant"], seen.strings["date"]
    if dates == strings:
        return Field("", "date")
    if instants == strings:
        return Field("", "timestamp")
    if instants:
        work.doubt(path, f"{instants:,} of {strings:,} strings are timestamps: a string, so that all are accepted")
    return Field("", "string")


def _object(seen: Observed, path: str, depth: int, work: _Drafting) -> Field | None:
    before = len(work.doubts)
    fields = _members(seen, f"{path}.", depth + 1, work) if depth < DEEPEST else ()
    if fields:
        return Field("", "object", fields=fields)
    why = "an object nested too deep" if depth >= DEEPEST else "an object without a field that has a type"
    del work.doubts[before:]
    work.doubt(path, why, left_out=True)
    return None


def _array(seen: Observed, path: str, depth: int, work: _Drafting) -> Field | None:
    element = seen.elements[0] if seen.elements and depth < DEEPEST else None
    before = len(work.doubts)
    item = _field(element, "", f"{path}[]", depth + 1, work) if element else None
    if item is None or element is None:
        why = work.doubts[-1].why if len(work.doubts) > before else "always empty, or nested too deep"
        del work.doubts[before:]
        work.doubt(path, f"an array whose elements have no type: {why}", left_out=True)
        return None
    return Field("", "array", item=replace(item, required=not element.kinds["null"]))


_TYPED: dict[str, Callable[[Observed, str, int, _Drafting], Field | None]] = {
    "boolean": lambda seen, path, depth, work: Field("", "boolean"),
    "string": _string,
    "object": _object,
    "array": _array,
}


def _is_key(key: str) -> bool:
    return bool(_KEY.fullmatch(key)) and key.isprintable()


def _name(key: str, taken: set[str]) -> str:
    """The key as a column's name: letters, digits and _, a letter first, and no name twice."""
    name = re.sub(r"[^A-Za-z0-9_]+", "_", key).strip("_") if not re.fullmatch(r"[A-Za-z]\w*", key, re.ASCII) else key
    name = name if name[:1].isalpha() else f"f_{name}".rstrip("_")
    number, wanted = 2, name
    while name.lower() in taken:
        name, number = f"{wanted}_{number}", number + 1
    return name


def _snake(name: str) -> str:
    """`createdAt` as `created_at`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _shown(key: str) -> str:
    return key if re.fullmatch(r"\w+", key) else json.dumps(key)


# --- event time, event id, key ---------------------------------------------------------------------------


def _timely(name: str) -> int | None:
    """How much a name sounds like the time of an event, 0 the most; None: not at all."""
    return next((n for n, pattern in enumerate(_TIME_NAMES) if pattern.fullmatch(_snake(name))), None)


def _event_time(
    fields: tuple[Field, ...], seen: Mapping[str, Observed], records: int, work: _Drafting
) -> tuple[tuple[Field, ...], str]:
    """The field that says when it happened, which is then a required timestamp."""

    def order(one: Field) -> tuple[int, bool, int]:
        timely = _timely(one.name)
        return (-seen[one.name].values, timely is None, timely or 0)

    for able in (
        [one for one in fields if one.type == "timestamp"],
        [one for one in fields if one.type == "date"],
        [one for one in fields if one.type == "string" and seen[one.name].strings["instant"] * 2 > records],
    ):
        if able:
            chosen, *others = sorted(able, key=order)
            break
    else:
        raise UserError(
            Condition.INPUT_INVALID,
            "no field says when an event happened",
            detail=f"a field of ISO 8601 timestamps, or of counts from 1970 with a name such as ts or created_at;"
            f" there are {', '.join(f'{one.name} ({one.type})' for one in fields) or 'none'}",
            hint="give events a timestamp, or write the contract by hand (docs/contracts.md)",
        )
    if chosen.type != "timestamp":
        work.doubt(chosen.name, f"the event time though a {chosen.type}: there is no field of timestamps")
    if not chosen.required or chosen.type == "string":
        work.doubt(chosen.name, "the event time, though not every record has one: those are rejected")
    filled = [one.name for one in others if one.required]
    if filled and chosen.required:
        work.doubt(chosen.name, f"the event time by its name; {_listed(filled)} could be it too")
    made = replace(chosen, type="timestamp", required=True)
    return tuple(made if one is chosen else one for one in fields), chosen.name


def _identity(fields: Iterable[Field], seen: Mapping[str, Observed], time: str, work: _Drafting) -> tuple[str, str]:
    """The event id, '' where none is sure enough, and the key."""
    able = [one.name for one in fields if one.type in ("string", "integer") and one.required]
    named = [name for name in able if _ID_NAME.fullmatch(_snake(name))]
    unique = [name for name in able if seen[name].repeats == 0]
    ids = [name for name in named if name in unique]
    rare = [name for name in named if seen[name].repeats is not None]
    event_id = (ids or rare or [""])[0]
    if not event_id:
        why = f"; {_listed(unique)} never stood twice" if unique else ""
        work.doubt("", f"no event id, so copies count: no field that is named like an id was always another{why}")
    elif not ids:
        again = f"{seen[event_id].repeats:,} records that are no copies byte for byte"
        work.doubt(event_id, f"the event id by its name, though {again} have one from before")
    if len(ids) > 1:
        work.doubt(event_id, f"the event id, as the first of several that never stood twice: {_listed(ids)}")
    repeated = [name for name in named if name not in rare]
    key = (repeated or [event_id])[0]
    if len(repeated) > 1:
        work.doubt(key, f"the key, as the first of several: {_listed(repeated)}")
    return event_id, key


def _earliest(seen: Observed, work: _Drafting, name: str) -> datetime:
    micros = -seen.most.get("earliest", 0)
    if micros >= 0:
        return EARLIEST
    first = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    work.doubt(name, "there are events before 1970: seamline.earliest says so")
    return first.replace(hour=0, minute=0, second=0, microsecond=0)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
