"""Which fields of a contract hold what not everybody may see: those whose `classification` says so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

OPEN = ("public", "internal")
"""Classifications that hide nothing. ODCS names no others for certain ('sensitive', 'confidential', 'restricted' are
usual): any other hides, so that a word that is not known here shows nothing."""

ITEMS = "[]"
"""In a path, an array's elements."""

KeyPath = tuple[str, ...]


def hidden_paths(properties: Any) -> frozenset[KeyPath]:
    """The fields that are hidden, by their JSON keys from the top; an object's or array's is all that stands in it."""
    return frozenset(_hidden(properties, ()))


def _hidden(properties: Any, above: KeyPath) -> Iterator[KeyPath]:
    for one in properties or ():
        yield from _of_field(one, (*above, str(one.get("physicalName") or one.get("name"))))


def _of_field(one: dict[str, Any], path: KeyPath) -> Iterator[KeyPath]:
    said = str(one.get("classification") or "").strip().lower()
    if said and said not in OPEN:
        yield path
    yield from _hidden(one.get("properties"), path)
    if isinstance(one.get("items"), dict):
        yield from _of_field(one["items"], (*path, ITEMS))
