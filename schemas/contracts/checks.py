"""The SQL that judges one record's fields: reject reasons in a fixed order, and the conversion to the columns' types.

An object's fields are looked at by paths into the whole document, an array's by a lambda over its elements. Nothing
here can raise on data: every cast is guarded by what `json_type` and a regular expression have said, or is a TRY_CAST.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field

from seamline.kernel import literal, quote
from seamline.schemas.contracts.rules import predicate
from seamline.schemas.contracts.types import (
    COUNT_PATTERN,
    DATE_PATTERN,
    EPOCHS,
    FIRST_SECOND,
    LAST_SECOND,
    LEAP_SECOND,
    OTHER_SPELLINGS,
    TIMESTAMP_PATTERN,
    TYPES,
    Field,
)

NUMERIC = "('DOUBLE', 'UBIGINT', 'BIGINT')"
FIRST_INSTANT = "TIMESTAMPTZ '0001-01-01 00:00:00+00'"
LAST_INSTANT = "TIMESTAMPTZ '9999-12-31 23:59:59.999999+00'"


@dataclass(frozen=True)
class Place:
    """Where a field's parts are found in SQL."""

    label: str
    """As reasons name it (`a.b`, `a[].c`)."""

    kind: str
    """Its `json_type`."""

    raw: str
    """As read from JSON."""

    value: str
    """Converted."""

    document: str
    """With `path`, where json functions find it."""

    path: str

    kinds: Mapping[str, str] = dataclass_field(default_factory=dict)
    """The kinds already looked up, by path."""

    parent: str = ""
    """The kind of the object that holds it, '' at the top."""

    depth: int = 0
    """How many lambdas stand around it."""


Reason = tuple[str, str] | str
"""(condition, reason text), or one expression that gives the reason or NULL."""


def paths(fields: tuple[Field, ...], prefix: str = "$") -> Iterator[str]:
    """The JSON paths of all fields that can be named without an array's index, in the order of `_kinds`."""
    for field in fields:
        path = step(prefix, field.key)
        yield path
        yield from paths(field.fields, path)


def step(prefix: str, key: str) -> str:
    """The path of a key below a path."""
    return f'{prefix}."{key}"'


def structure(field: Field) -> str:
    """A field as `json_transform`'s structure: JSON text."""
    if field.item:
        return f"[{structure(field.item)}]"
    if field.type == "object":
        return "{" + ",".join(f'"{f.key}":{structure(f)}' for f in field.fields) + "}"
    return f'"{field.raw_type}"'


def convert(field: Field, raw: str, depth: int = 0) -> str:
    """The column's value from what `json_transform` has read; NULL where it cannot be one."""
    if not field.converted:
        return raw
    if field.item:
        name = f"c{depth}"
        return f"list_transform({raw}, lambda {name}: {convert(field.item, name, depth + 1)})"
    if field.type == "object":
        parts = ", ".join(f"{quote(f.name)} := {convert(f, f'{raw}[{literal(f.key)}]', depth)}" for f in field.fields)
        return f"CASE WHEN {raw} IS NOT NULL THEN struct_pack({parts}) END"
    cast = f"TRY_CAST({raw} AS {field.sql_type})"
    if field.type == "date":
        return f"CASE WHEN regexp_full_match({raw}, {literal(DATE_PATTERN)}) THEN {cast} END"
    if field.epoch:
        return _counted(field, raw)
    return f"TRY_CAST({_written(raw)} AS {field.sql_type})" if field.type == "timestamp" else cast


def _written(raw: str) -> str:
    """A text that is a timestamp by its pattern, as the kernel casts it; the usual spelling is looked for first."""
    return (
        f"CASE WHEN regexp_full_match({raw}, {literal(TIMESTAMP_PATTERN)}) THEN {raw}"
        f" WHEN regexp_full_match({raw}, {literal(OTHER_SPELLINGS)}) THEN {_respelt(raw)} END"
    )


def _respelt(text: str) -> str:
    """One of OTHER_SPELLINGS as the kernel casts it."""
    plain = f"replace(replace(upper({text}), ',', '.'), ' UTC', 'Z')"
    date = r"^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})"
    for found, becomes in ((date + r"(\d{2})", r"\1-\2-\3T\4:\5:\6"), (date, r"\1-\2-\3T\4:\5")):
        plain = f"regexp_replace({plain}, {literal(found)}, {literal(becomes)})"
    return plain


def _counted(field: Field, raw: str) -> str:
    """The instant of a count from 1970, read as a decimal: exact, cut to microseconds, NULL beyond the years."""
    digits, scale = EPOCHS[field.epoch], field.epoch_scale
    first, after = (f"'{second}{'0' * digits}'::DECIMAL(38,{scale})" for second in (FIRST_SECOND, LAST_SECOND + 1))
    whole, factor = f"floor({raw})", 10 ** (6 - digits) if digits < 6 else 1
    if digits > 6:
        count = f"{whole}::HUGEINT"
        micros = f"(({count} - (({count} % 1000) + 1000) % 1000) // 1000)::BIGINT"
    elif factor == 1:
        micros = f"{whole}::BIGINT"
    else:
        rest = f"({raw} - {whole})::DECIMAL({scale + 6},{scale}) * {factor}::DECIMAL({len(str(factor))},0)"
        micros = f"{whole}::BIGINT * {factor} + floor({rest})::BIGINT"
    return f"CASE WHEN {raw} >= {first} AND {raw} < {after} THEN make_timestamptz({micros}) END"


def shape_reasons(field: Field, at: Place) -> Iterator[Reason]:
    """Why it is missing, of a wrong type or out of range; an object's fields and an array's elements after it."""
    if field.required:
        present = f"{at.parent} = 'OBJECT' AND " if at.parent else ""
        yield f"{present}coalesce({at.kind}, 'NULL') = 'NULL'", f"missing: {at.label}"
    yield from _type_reasons(field, at)
    for child in field.fields:
        yield from shape_reasons(child, _child(child, at))
    if field.item:
        reasons = list(shape_reasons(field.item, _item(at)))
        if reasons:
            elements = f"json_extract({at.document}, {literal(at.path + '[*]')})"
            found = _first(elements, f"e{at.depth}, i{at.depth}", reasons, at.depth)
            yield f"CASE WHEN {at.kind} = 'ARRAY' THEN {found} END"


def rule_reasons(field: Field, value: str, label: str, depth: int = 0) -> Iterator[Reason]:
    """Which rule is broken, in the contract's order."""
    for rule in field.rules:
        yield f"NOT ({predicate(rule, value)})", f"rule {rule.kind}: {label}"
    for child in field.fields:
        yield from rule_reasons(child, f"{value}[{literal(child.name)}]", f"{label}.{child.name}", depth)
    if field.item:
        name = f"e{depth}"
        reasons = list(rule_reasons(field.item, name, f"{label}[]", depth + 1))
        if reasons:
            yield _first(value, name, reasons, depth)


def first_of(reasons: list[Reason], indent: str = "\n    ") -> str:
    """The first reason that holds, or NULL: neighbouring conditions become one CASE."""
    parts: list[str] = []
    cases: list[str] = []
    for reason in [*reasons, ""]:
        if isinstance(reason, tuple):
            cases.append(f"{indent}  WHEN {reason[0]} THEN {literal(reason[1])}")
            continue
        if cases:
            parts.append("CASE" + "".join(cases) + f"{indent}END")
            cases = []
        if reason:
            parts.append(reason)
    return parts[0] if len(parts) == 1 else f"coalesce({', '.join(parts) or 'NULL'})"


def _first(elements: str, names: str, reasons: list[Reason], depth: int) -> str:
    judged = f"list_transform({elements}, lambda {names}: {first_of(reasons, ' ')})"
    return f"list_filter({judged}, lambda r{depth}: r{depth} IS NOT NULL)[1]"


def _type_reasons(field: Field, at: Place) -> Iterator[Reason]:
    allowed = ", ".join(literal(kind) for kind in ("NULL", *TYPES[field.type].json))
    wrong, far = f"wrong type: {at.label}", f"out of range: {at.label}"
    if field.type == "integer":
        # a whole number too large for 64 bits is a DOUBLE to json_type, and NULL once read as BIGINT
        yield f"{at.kind} NOT IN ({allowed}) AND ({at.kind} <> 'DOUBLE' OR {at.raw} IS NOT NULL)", wrong
        yield f"{at.kind} IN {NUMERIC} AND {at.raw} IS NULL", far
        return
    if field.epoch:
        text = f"json_extract_string({at.document}, {literal(at.path)})"
        digits = f"{at.kind} = 'VARCHAR' AND regexp_full_match({text}, {literal(COUNT_PATTERN)})"
        yield f"{at.kind} NOT IN ('NULL', 'DOUBLE', 'UBIGINT', 'BIGINT') AND NOT ({digits})", wrong
        yield f"{at.kind} <> 'NULL' AND {at.value} IS NULL", far
        return
    if field.type == "timestamp":
        text = f"json_extract_string({at.document}, {literal(at.path)})"
        leap = f"regexp_full_match({text}, {literal(LEAP_SECOND)})"
        inside = f"coalesce({at.value} BETWEEN {FIRST_INSTANT} AND {LAST_INSTANT}, false)"
        yield f"{at.kind} = 'VARCHAR' AND {at.value} IS NULL AND {leap}", f"leap second: {at.label}"
        yield f"{at.kind} <> 'NULL' AND ({at.kind} <> 'VARCHAR' OR NOT {inside})", wrong
        return
    if field.type == "date":
        yield f"{at.kind} <> 'NULL' AND ({at.kind} <> 'VARCHAR' OR {at.value} IS NULL)", wrong
        return
    yield f"{at.kind} NOT IN ({allowed})", wrong
    if field.type == "number":
        yield f"{at.kind} IN {NUMERIC} AND NOT coalesce(isfinite({at.raw}), false)", far
    elif field.type == "decimal":
        yield f"{at.kind} IN {NUMERIC} AND {at.raw} IS NULL", far
        yield f"{at.raw} IS DISTINCT FROM {at.value}", f"too precise: {at.label}"


def _child(field: Field, at: Place) -> Place:
    path = step(at.path, field.key)
    return Place(
        label=f"{at.label}.{field.name}",
        kind=at.kinds.get(path) or f"json_type({at.document}, {literal(path)})",
        raw=f"{at.raw}[{literal(field.key)}]",
        value=f"{at.value}[{literal(field.name)}]",
        document=at.document,
        path=path,
        kinds=at.kinds,
        parent=at.kind,
        depth=at.depth,
    )


def _item(at: Place) -> Place:
    element, index = f"e{at.depth}", f"i{at.depth}"
    return Place(
        label=f"{at.label}[]",
        kind=f"json_type({element})",
        raw=f"{at.raw}[{index}]",
        value=f"{at.value}[{index}]",
        document=element,
        path="$",
        depth=at.depth + 1,
    )
