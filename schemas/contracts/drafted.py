"""A draft as the YAML of a contract, with its doubts as comments. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import yaml

from seamline.schemas.contracts.custom_properties import EARLIEST
from seamline.schemas.contracts.infer import Doubt, Draft
from seamline.schemas.contracts.types import Field


def draft_text(draft: Draft, said: Sequence[str] = ()) -> str:
    """The file; `said` stands at its head, each field's doubts above it."""
    doubts = [one for one in draft.doubts if not one.left_out]
    left_out = [one for one in draft.doubts if one.left_out]
    lines = [
        *_comments("", said),
        *_comments("", (one.why for one in doubts if not one.field)),
        "apiVersion: v3.1.0",
        "kind: DataContract",
        f"id: {_scalar(draft.name)}",
        "version: 1.0.0",
        "status: draft",
        "schema:",
        f"  - name: {_scalar(draft.name)}",
        "    logicalType: object",
        f"    physicalName: {_scalar(draft.topic)}",
        "    properties:",
        *_properties(draft.fields, "      ", "", doubts),
        *(["    # Left out, so ignored:"] if left_out else []),
        *_comments("    ", (f"- {one.field}: {one.why}" for one in left_out)),
        "customProperties:",
        *_custom(draft),
    ]
    return "\n".join(lines) + "\n"


def _properties(fields: Iterable[Field], indent: str, path: str, doubts: Sequence[Doubt]) -> Iterator[str]:
    for one in fields:
        at = path + one.name
        yield from _comments(indent, (doubt.why for doubt in doubts if doubt.field == at))
        yield f"{indent}- name: {_scalar(one.name)}"
        if one.source:
            yield f"{indent}  physicalName: {_scalar(one.source)}"
        yield from _typed(one, f"{indent}  ", at, doubts)


def _typed(one: Field, indent: str, path: str, doubts: Sequence[Doubt]) -> Iterator[str]:
    """The lines of a type: of a field, or of an array's elements."""
    yield f"{indent}logicalType: {'number' if one.type == 'decimal' else one.type}"
    if one.type == "decimal":
        yield f"{indent}physicalType: decimal({one.precision},{one.scale})"
    if one.epoch:
        yield f"{indent}physicalType: {one.epoch}"
    if one.required:
        yield f"{indent}required: true"
    if one.fields:
        yield f"{indent}properties:"
        yield from _properties(one.fields, f"{indent}  ", f"{path}.", doubts)
    if one.item:
        yield f"{indent}items:"
        yield from _comments(f"{indent}  ", (doubt.why for doubt in doubts if doubt.field == f"{path}[]"))
        yield from _typed(one.item, f"{indent}  ", f"{path}[]", doubts)


def _custom(draft: Draft) -> Iterator[str]:
    given = {
        "eventTime": draft.event_time,
        "eventId": draft.event_id,
        "key": draft.key,
        "earliest": "" if draft.earliest == EARLIEST else draft.earliest.isoformat(),
    }
    for name, value in given.items():
        if value:
            yield f"  - property: seamline.{name}"
            yield f"    value: {_scalar(value)}"


def _comments(indent: str, lines: Iterable[str]) -> Iterator[str]:
    return (f"{indent}# {''.join(c if c.isprintable() else '?' for c in line)}" for line in lines)


def _scalar(text: str) -> str:
    """A string of YAML 1.1, in quotes where it would be something else without them."""
    return yaml.safe_dump([text], default_flow_style=True, allow_unicode=True, width=10**6).strip()[1:-1]
