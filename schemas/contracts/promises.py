"""What a contract or a view promises of its data: how fresh and how complete it is, at least.

ODCS says it in `slaProperties` (of which the others are left to whoever reads them), a view in its properties.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.types import parse_duration
from seamline.schemas.contracts.yamlmarks import Marks, NodePath

FRESHNESS: tuple[str, ...] = ("freshness", "latency", "ly")
"""How ODCS names it, with an element of its data dictionary and that one's short form."""

COMPLETENESS: tuple[str, ...] = ("completeness",)

_UNITS = {
    "s": "second", "sec": "second", "second": "second", "m": "minute", "min": "minute", "minute": "minute",
    "h": "hour", "hr": "hour", "hour": "hour", "d": "day", "day": "day",
}  # fmt: skip


@dataclass(frozen=True)
class Promise:
    """One service level."""

    kind: Literal["freshness", "completeness"]

    limit: float
    """Seconds at most, or a share at least."""

    said: str
    """As it is written: `5 minutes`, `99.5%`."""

    by: str
    """Who says it: `contract orders`, `view sales`."""


def promises_of(contract: Contract) -> tuple[Promise, ...]:
    """A contract's. Raises CONTRACT_INVALID where one of these two cannot be read."""
    return _promises_in(contract.name, contract.text, contract.where)


@lru_cache(maxsize=256)
def _promises_in(name: str, text: str, where: str) -> tuple[Promise, ...]:
    """Kept: whoever measures asks again and again, and a text costs milliseconds."""
    marks = Marks(text, where)
    found = []
    for index, entry in enumerate(marks.data.get("slaProperties") or []):
        promise = _promise(entry, f"contract {name}", marks, ("slaProperties", index))
        if promise is not None:
            found.append(promise)
    return tuple(found)


def promises_in(view: str, properties: Mapping[str, str]) -> tuple[Promise, ...]:
    """A view's own, of its checked properties."""
    found = []
    by, fresh, whole = f"view {view}", properties.get("sla.freshness"), properties.get("sla.completeness")
    if fresh:
        span = parse_duration(fresh)
        assert span is not None, fresh
        found.append(Promise("freshness", span.total_seconds(), fresh, by))
    if whole:
        found.append(Promise("completeness", float(whole.strip().removesuffix("%")) / 100, whole, by))
    return tuple(found)


def strictest(promises: Iterable[Promise]) -> tuple[Promise, ...]:
    """Of each kind the one that is hardest to keep. Pure."""
    best: dict[str, Promise] = {}
    for one in promises:
        known = best.get(one.kind)
        harder = known is None or (one.limit < known.limit) == (one.kind == "freshness")
        if harder and (known is None or one.limit != known.limit):
            best[one.kind] = one
    return tuple(best[kind] for kind in sorted(best))


def _promise(entry: dict[str, Any], by: str, marks: Marks, path: NodePath) -> Promise | None:
    name, value, unit = str(entry.get("property") or "").lower(), entry.get("value"), str(entry.get("unit") or "")
    if name in FRESHNESS:
        word = _UNITS.get(unit.lower().removesuffix("s") or unit.lower())
        if word is None or not isinstance(value, int | float) or isinstance(value, bool) or value <= 0:
            detail = f"a number above zero and a unit: {', '.join(_UNITS)}"
            raise marks.error((*path, "value"), f"{name} is {value!r} {unit}", detail, "correct value and unit")
        span = parse_duration(f"1 {word}")
        assert span is not None
        return Promise("freshness", value * span.total_seconds(), f"{value:g} {word}{'' if value == 1 else 's'}", by)
    if name in COMPLETENESS:
        share = _share(value, unit)
        if share is None:
            detail = "a number up to 100, of unit percent or %"
            raise marks.error((*path, "value"), f"{name} is {value!r} {unit}", detail, "correct value and unit")
        return Promise("completeness", share, f"{share * 100:g}%", by)
    return None


def _share(value: object, unit: str) -> float | None:
    if isinstance(value, str) and value.endswith("%"):
        value, unit = _number(value[:-1]), "%"
    if isinstance(value, bool) or not isinstance(value, int | float) or unit.lower() not in ("%", "percent", "pct"):
        return None
    return value / 100 if 0 <= value <= 100 else None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
