"""The properties of an ODCS schema object as fields."""

from __future__ import annotations

import difflib
import re
from dataclasses import replace
from typing import Any

from seamline.schemas.contracts.rules import with_rules
from seamline.schemas.contracts.types import EPOCHS, NAME, TYPES, Field
from seamline.schemas.contracts.yamlmarks import Marks, NodePath

LOGICAL = sorted(TYPES.keys() - {"decimal"})
SAME = {
    "string": ("string", "varchar", "text"),
    "integer": ("bigint", "int64", "long", "integer", "int"),
    "number": ("double", "double precision", "float64", "float", "real", "number"),
    "boolean": ("boolean", "bool"),
    "date": ("date",),
    "timestamp": ("timestamp", "timestamptz", "timestamp with time zone", "datetime"),
    "object": ("object", "struct", "record"),
    "array": ("array", "list"),
}
"""Physical types that say what a logical type is anyway: any other would be a promise that nobody keeps."""

MEANS = {"number": ("decimal(p,s) with 1 <= p <= 38 and s <= p",), "timestamp": tuple(EPOCHS)}
"""Those that change what is read."""

_INSTEAD = {
    "string": "; bound its length by logicalTypeOptions: {maxLength: ...}",
    "integer": "; bound it by logicalTypeOptions: {minimum: ..., maximum: ...}",
}
_DECIMAL = re.compile(r"(?:decimal|numeric)\s*\(\s*(\d{1,2})\s*(?:,\s*(\d{1,2})\s*)?\)")
_KEY = re.compile(r'[^"\\*\x00-\x1f]+')
DEEPEST = 16


def read_fields(properties: object, marks: Marks, path: NodePath, depth: int = 0) -> tuple[Field, ...]:
    """The fields of an object; names are distinct without regard to case, as DuckDB's columns are.

    Raises UserError CONTRACT_INVALID.
    """
    if not isinstance(properties, list) or not properties:
        raise marks.error(path, "an object without fields", "a list of properties", "add 'properties:' with a field")
    names: set[str] = set()
    keys: set[str] = set()
    fields = []
    for index, data in enumerate(properties):
        at: NodePath = (*path, index)
        field = read_field(data, marks, at, _name(data, marks, at), depth)
        if field.name.lower() in names or field.key.lower() in keys:
            message = f"field {field.name!r} stands twice (names and keys differ in more than case)"
            raise marks.error((*at, "name"), message, "each field once", "rename or remove one")
        names.add(field.name.lower())
        keys.add(field.key.lower())
        fields.append(field)
    return tuple(fields)


def read_field(data: dict[str, Any], marks: Marks, path: NodePath, name: str, depth: int) -> Field:
    """One property (or an array's items, whose name is '') as a field. Raises UserError CONTRACT_INVALID."""
    if depth > DEEPEST:
        raise marks.error(path, "fields nested too deep", f"at most {DEEPEST} levels", "flatten the event")
    typed = _type(data, marks, path)
    kind = typed.type
    nested: tuple[Field, ...] = ()
    item = None
    if kind == "object":
        at: NodePath = (*path, "properties")
        nested = read_fields(data.get("properties"), marks, at, depth + 1)
    elif kind == "array":
        if not isinstance(data.get("items"), dict):
            message, hint = f"array {name!r} without 'items'", "add 'items:' with a logicalType"
            raise marks.error(path, message, "items of one type", hint)
        item = read_field(data["items"], marks, (*path, "items"), "", depth + 1)
    for key, owner in (("properties", "object"), ("items", "array")):
        if data.get(key) is not None and kind != owner:
            message = f"{key!r} in a field of type {kind}"
            raise marks.error((*path, key), message, f"{key!r} in type {owner} only", f"write logicalType: {owner}")
    if data.get("map") is not None:
        raise marks.error((*path, "map"), "'map' is not supported", ", ".join(LOGICAL), "use an object")
    source = str(data.get("physicalName") or name) if name else ""
    if source and not _KEY.fullmatch(source):
        message = f"physicalName (the JSON key) is {source!r}"
        raise marks.error((*path, "physicalName"), message, r'no ", \, * or control characters', "rename the key")
    required = bool(data.get("required"))
    field = replace(typed, name=name, required=required, source=source, fields=nested, item=item)
    return with_rules(field, data, marks, path)


def _name(data: dict[str, Any], marks: Marks, path: NodePath) -> str:
    name = data.get("name")
    if not name:
        raise marks.error(path, "a property without 'name'", "a name", "add 'name:'")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        message = f"field name {name!r}"
        detail = "letters, digits and _, starting with a letter (a leading _ is Seamline's own)"
        hint = "rename it; where the JSON key cannot change, give it as physicalName"
        raise marks.error((*path, "name"), message, detail, hint)
    return name


def _type(data: dict[str, Any], marks: Marks, path: NodePath) -> Field:
    """A field of this type and nothing else."""
    logical = data.get("logicalType")
    if logical not in LOGICAL:
        at: NodePath = (*path, "logicalType") if "logicalType" in data else path
        near = difflib.get_close_matches(str(logical), LOGICAL, 1)
        message = f"logicalType is {logical!r}" if logical else "a field without 'logicalType'"
        hint = f"write {near[0]}" if near else "use one of these"
        raise marks.error(at, message, ", ".join(LOGICAL), hint)
    physical = " ".join(str(data.get("physicalType") or "").lower().split())
    match = _DECIMAL.fullmatch(physical) if logical == "number" else None
    if match and 1 <= int(match[1]) <= 38 and int(match[2] or 0) <= int(match[1]):
        return Field("", "decimal", precision=int(match[1]), scale=int(match[2] or 0))
    if logical == "timestamp" and physical in EPOCHS:
        return Field("", "timestamp", epoch=physical)
    if physical and physical not in SAME[logical]:
        message = f"physicalType {data['physicalType']!r} of a {logical}, which would change nothing"
        hint = "write one of these, or leave it out" + _INSTEAD.get(logical, "")
        raise marks.error((*path, "physicalType"), message, ", ".join((*MEANS.get(logical, ()), *SAME[logical])), hint)
    return Field("", logical)
