"""Seamline's custom properties of a contract: what ODCS has no word for. All are documented in docs/contracts.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from seamline.schemas.contracts.types import Field, parse_duration, parse_instant
from seamline.schemas.contracts.yamlmarks import Marks, NodePath

PREFIX = "seamline."
TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
STREAM = re.compile(r"[a-z][a-z0-9_-]{0,62}")
STEP = re.compile(r"[A-Za-z_@$][A-Za-z0-9_@$:-]*")

HORIZON = timedelta(hours=1)
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=1)
LEAST_RETENTION = timedelta(days=2)
"""Raw is kept for as long at least."""

KNOWN = (
    "topic",
    "stream",
    "eventTime",
    "eventId",
    "key",
    "dedupHorizon",
    "earliest",
    "ahead",
    "rawRetention",
    "discriminator",
    "owner",
)
Read = TypeVar("Read")


@dataclass(frozen=True)
class Discriminator:
    """What tells a topic's contracts apart: the JSON string, integer or boolean at `path` is `value` as text."""

    path: tuple[str, ...]
    value: str


class CustomProperties:
    """The `seamline.*` custom properties of one contract.

    Raises UserError CONTRACT_INVALID on an unknown or doubled one.
    """

    def __init__(self, marks: Marks) -> None:
        self.marks = marks
        self.values: dict[str, tuple[object, NodePath]] = {}
        at: NodePath = ("schema", 0)
        for path, holder in (((), marks.data), (at, marks.data["schema"][0])):
            for index, entry in enumerate(holder.get("customProperties") or []):
                self._add(entry, (*path, "customProperties", index))

    def read(self, name: str, default: Read, parse: Callable[[Any], Read | None], detail: str) -> Read:
        """One property's value, or its default. `parse` gives None where the value is not allowed."""
        if name not in self.values:
            return default
        value, path = self.values[name]
        result = parse(value)
        if result is None:
            message = f"{PREFIX}{name} is {value!r}"
            raise self.marks.error((*path, "value"), message, detail, "correct the value, or remove the property")
        return result

    def field(self, name: str, fields: Sequence[Field], types: Sequence[str]) -> str | None:
        """A property that names a top-level field of one of these types; None where it is not given."""
        able = [field.name for field in fields if field.type in types]
        detail = f"a top-level field of type {' or '.join(types)}: {', '.join(able) or 'there is none'}"
        missing: str | None = None
        return self.read(name, missing, lambda value: value if value in able else None, detail)

    def at(self, name: str) -> NodePath:
        """Where a property stands; the top of the file where it does not."""
        return self.values[name][1] if name in self.values else ()

    def discriminator(self) -> Discriminator | None:
        """`{path: a.b, value: x}`; the value may be a string, an integer or a boolean."""
        detail = "a mapping of path (such as payload.kind) and value (a string, integer or boolean)"
        return self.read("discriminator", None, _discriminator, detail)

    def _add(self, entry: dict[str, Any], path: NodePath) -> None:
        name = entry.get("property")
        if not isinstance(name, str):
            raise self.marks.error(path, "a custom property without 'property'", "a name", "add 'property:'")
        if not name.startswith(PREFIX):
            return
        short = name.removeprefix(PREFIX)
        if short not in KNOWN:
            raise self.marks.unknown((*path, "property"), name, [PREFIX + known for known in KNOWN])
        if short in self.values:
            raise self.marks.error(path, f"{name} stands twice", "each property once", "remove one of the two")
        if entry.get("value") is None:
            raise self.marks.error(path, f"{name} has no value", "a value", "add 'value:'")
        self.values[short] = (entry["value"], path)


def text(pattern: re.Pattern[str]) -> Callable[[Any], str | None]:
    """Parses a string that fully matches."""
    return lambda value: value if isinstance(value, str) and pattern.fullmatch(value) else None


def horizon(value: object) -> timedelta | None:
    """A duration above zero."""
    return parse_duration(value) or None


def raw_retention(value: object) -> timedelta | None:
    """Whole days, two at least."""
    found = parse_duration(value)
    return found if found is not None and found >= LEAST_RETENTION and not found % timedelta(days=1) else None


def instant(value: object) -> datetime | None:
    """An instant in UTC."""
    return parse_instant(value)


def _discriminator(value: object) -> Discriminator | None:
    if not isinstance(value, dict) or value.keys() != {"path", "value"}:
        return None
    path, wanted = value["path"], value["value"]
    if isinstance(wanted, bool):
        wanted = str(wanted).lower()
    if not isinstance(path, str) or not isinstance(wanted, str | int) or "\0" in str(wanted):
        return None
    steps = tuple(path.split("."))
    return Discriminator(steps, str(wanted)) if all(map(STEP.fullmatch, steps)) else None
