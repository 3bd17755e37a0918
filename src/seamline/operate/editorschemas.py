"""JSON Schemas of what a user writes, so that editors complete and check it: made of the models that read it.

They refuse nothing that Seamline accepts as it is documented, and find what it finds at the same key. What depends on
other values (a field that is named, a rule's type) is left to `seamline views check` and its kin.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from open_data_contract_standard.model import OpenDataContractStandard

from seamline.config import Settings
from seamline.schemas.contracts import custom_properties
from seamline.schemas.contracts.fields import LOGICAL
from seamline.schemas.contracts.odcs import API_VERSIONS, REQUIRED
from seamline.schemas.contracts.rules import OPTIONS
from seamline.schemas.contracts.types import NAME
from seamline.schemas.views.properties import PROPERTIES

DIALECT = "http://json-schema.org/draft-07/schema#"
"""What the editors' extensions know best."""

FOLDER = ".schemas"
"""In a project; its files name it in their first line."""

CONTRACT_LINE = f"# yaml-language-server: $schema=../{FOLDER}/contract.json"
"""The first line of a contract, for editors that follow the YAML language server."""

Schema = dict[str, Any]

ZONES = ("timezone", "defaultTimezone")
"""Options of a timestamp that make no rule."""


def settings_schema() -> Schema:
    """Of seamline.toml."""
    return _made("seamline.toml", Settings.model_json_schema())


def contract_schema() -> Schema:
    """Of a contract: ODCS as its model reads it, without keys that it does not know, and what Seamline asks of it."""
    schema = _made("A contract of Seamline (Open Data Contract Standard)", OpenDataContractStandard.model_json_schema())
    parts = schema["definitions"]
    for part in (schema, *parts.values()):
        if "properties" in part:
            part["additionalProperties"] = False
    schema["required"] = list(REQUIRED)
    fields = schema["properties"]
    for name in ("version", "id"):
        fields[name] = {"type": "string", "minLength": 1}
    fields["kind"] = {"const": "DataContract"}
    fields["apiVersion"] = {"enum": list(API_VERSIONS)}
    fields["schema"] = {**_items("SchemaObject"), "minItems": 1, "maxItems": 1}
    event, field = parts["SchemaObject"], parts["SchemaProperty"]
    event["required"] = ["name", "properties"]
    event["properties"]["name"] = _name()
    event["properties"]["logicalType"] = {"enum": ["object", None]}
    event["properties"]["properties"] = {**_items("SchemaProperty"), "minItems": 1}
    field["properties"]["logicalType"] = {"enum": LOGICAL}
    known: Schema = {option: {} for option in (*OPTIONS, *ZONES)}
    field["properties"]["logicalTypeOptions"] = {
        "type": ["object", "null"], "properties": known, "additionalProperties": False
    }  # fmt: skip
    field["properties"]["map"] = {"type": "null"}
    _custom(parts["CustomProperty"])
    return schema


def properties_schema() -> Schema:
    """Of a view's TBLPROPERTIES, as an object: for what writes views, since they stand in SQL."""
    said = {
        name: {"type": "string", "description": f"{one.about}: {one.detail}", **_pattern(one.patterns)}
        for name, one in PROPERTIES.items()
    }
    return {
        "$schema": DIALECT, "title": "TBLPROPERTIES of a view", "type": "object", "properties": said,
        "additionalProperties": False,
    }  # fmt: skip


SCHEMAS: Mapping[str, Callable[[], Schema]] = {
    "settings": settings_schema,
    "contract": contract_schema,
    "properties": properties_schema,
}
"""By what they are of; each stands in a project as `.schemas/<name>.json`."""


def schema_files() -> dict[Path, str]:
    """The files of a project's folder, by path in it."""
    return {Path(FOLDER, f"{name}.json"): f"{json.dumps(make(), indent=1)}\n" for name, make in SCHEMAS.items()}


def refresh_schemas(folder: Path) -> list[Path]:
    """Writes those that are not in the project as they are now; returns them."""
    changed = []
    for inside, text in schema_files().items():
        path = folder / inside
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def _made(title: str, schema: Schema) -> Schema:
    """A model's schema as editors like it: in draft 7, and without the titles that only restate names."""
    moved = json.loads(json.dumps(schema).replace('"#/$defs/', '"#/definitions/'))
    parts = {name: _bare(part) for name, part in moved.pop("$defs", {}).items()}
    return {"$schema": DIALECT, **_bare(moved), "title": title, "definitions": parts}


def _bare(part: Schema) -> Schema:
    """Without its title, and its fields without theirs and without a default of null."""
    fields = part.get("properties", {})
    kept = {
        name: {k: v for k, v in field.items() if k != "title" and not (k == "default" and v is None)}
        for name, field in fields.items()
    }
    own = {key: value for key, value in part.items() if key != "title"}
    return {**own, **({"properties": kept} if fields else {})}


def _items(part: str) -> Schema:
    return {"type": "array", "items": {"$ref": f"#/definitions/{part}"}}


def _name() -> Schema:
    return {"type": "string", "pattern": f"^(?:{NAME.pattern})$"}


def _custom(part: Schema) -> None:
    """Those of Seamline by name, with values of their types; any other as its owner likes."""
    prefix = custom_properties.PREFIX
    part["required"] = ["property"]
    part["properties"]["property"] = {
        "anyOf": [
            {"enum": [prefix + name for name in custom_properties.KNOWN]},
            {"type": "string", "not": {"pattern": f"^{prefix.replace('.', '[.]')}"}},
        ]
    }
    texts = {"topic": custom_properties.TOPIC, "stream": custom_properties.STREAM}
    part["allOf"] = [
        {
            "if": {"properties": {"property": {"const": prefix + name}}},
            "then": {"properties": {"value": {"type": "string", "pattern": f"^(?:{pattern.pattern})$"}}},
        }
        for name, pattern in texts.items()
    ]


def _pattern(patterns: tuple[Any, ...]) -> Schema:
    """A pattern that JavaScript reads alike: its `\\w` knows ASCII alone, so those go without."""
    written = [one.pattern for one in patterns]
    if not written or any(r"\w" in one for one in written):
        return {}
    return {"pattern": rf"^\s*(?:{'|'.join(written)})\s*$"}
