"""The SELECT of a view over contracts read: needs the names of the contracts' fields, and nothing else of them."""

from __future__ import annotations

from collections.abc import Mapping

from seamline.errors import UserError
from seamline.schemas.algebra import ALGEBRA
from seamline.schemas.views.buckets import check_times, is_bucket
from seamline.schemas.views.calls import Measure, condition, is_bare, read_calls
from seamline.schemas.views.clauses import Clauses
from seamline.schemas.views.expressions import check_words, render
from seamline.schemas.views.grouping import check_grouping
from seamline.schemas.views.names import check_names, find_fields, named
from seamline.schemas.views.selection import Computed, Key, KeyUse, Selection, bare_keys
from seamline.schemas.views.source import CLOSE, OPEN, Source, WrittenField, is_call, is_word
from seamline.schemas.views.unnest import read_unnest
from seamline.sql import Token

_AGGREGATES = ", ".join(ALGEBRA)


def read_selection(source: Source, clauses: Clauses, fields: Mapping[str, str]) -> Selection:
    """Keys and columns over a contract's `fields`. Raises VIEW_INVALID."""
    found = find_fields(source, clauses, fields)
    for part in (*clauses.items, clauses.where, clauses.having):
        check_times(source, part)
    bodies = [named(source, item, found) for item in clauses.items]
    calls = [read_calls(source, body, name, found) for body, name in bodies]
    keyed = [body for (body, _), measures in zip(bodies, calls, strict=True) if not measures]
    unnested = read_unnest(source, keyed, clauses.group, found)
    in_keys = found | (unnested.fields if unnested else {})
    both = [(body, name, measures) for (body, name), measures in zip(bodies, calls, strict=True)]
    items: list[Key | Computed] = [
        read_key(source, body, name, found, in_keys) for body, name, measures in both if not measures
    ]
    keys = bare_keys(items)
    for at, (body, name, measures) in enumerate(both):
        if measures:
            items.insert(at, read_computed(source, body, name, measures, found, keys))
    check_names(source, items)
    if not any(calls):
        raise source.refuse(
            clauses.items[0][0].start if clauses.items[0] else 0,
            "no aggregate in the select list",
            f"at least one of {_AGGREGATES}",
            "add count(*) AS events",
        )
    where = condition(source, clauses.where, found) if clauses.where else ""
    calls_of_having = read_calls(source, clauses.having, "_having", found)
    having = read_having(source, clauses, calls_of_having, found, items) if clauses.having else None
    selection = Selection(tuple(items), where, clauses.where[0].start if clauses.where else 0, having, unnested)
    check_grouping(source, clauses, selection, in_keys)
    return selection


def read_key(
    source: Source, body: list[Token], name: str, own: dict[int, WrittenField], fields: dict[int, WrittenField]
) -> Key:
    """A grouping expression. `own`: the fields; `fields`: these, and the element that stands for an unnest.

    Raises VIEW_INVALID.
    """
    check_words(source, body, fields)
    if not any(token.start in fields for token in body):
        hint = "remove it; a query can add constants"
        raise source.refuse(body[0].start, f"key {name!r} uses no field", "expressions over fields", hint)
    bucket = is_bucket(body, cast=is_bare(body[:-2] or body, fields))
    return Key(
        name, render(source, body, fields), render(source, body, own), is_bare(body, fields), body[0].start, bucket
    )


def read_computed(
    source: Source,
    body: list[Token],
    name: str,
    measures: list[Measure],
    fields: dict[int, WrittenField],
    keys: Mapping[str, str],
) -> Computed:
    """An expression over aggregates and keys; anything else in it is refused."""
    outside = [t for t in body if t.start in fields and not any(m.offset <= t.start <= m.end for m in measures)]
    spans: dict[int, Measure | KeyUse] = {measure.offset: measure for measure in measures}
    ends = {measure.offset: measure.end for measure in measures}
    for token in outside:
        field = fields[token.start]
        if field.sql not in keys:
            hint = "put it inside an aggregate, or select it as a key"
            message = f"{source.text[field.start : field.end + 1]} is neither a key nor inside an aggregate"
            raise source.refuse(token.start, message, ", ".join(keys.values()) or "aggregates", hint)
        spans[token.start], ends[token.start] = KeyUse(keys[field.sql]), field.end
    return Computed(name, pieces(source, body, spans, ends), body[0].start)


def pieces(
    source: Source, body: list[Token], spans: Mapping[int, Measure | KeyUse], ends: Mapping[int, int]
) -> tuple[str | Measure | KeyUse, ...]:
    """The body with what stands at each of `spans` in its place; the words between are checked."""
    check_words(source, body, {start: WrittenField(start, ends[start], "", False) for start in spans})
    found: list[str | Measure | KeyUse] = []
    rest: list[Token] = []
    skip = -1
    for token in body:
        if token.start <= skip:
            continue
        if token.start not in spans:
            rest.append(token)
            continue
        if rest:
            found.append(render(source, rest, {}) + ("" if rest[-1].sign in OPEN else " "))
        found.append(spans[token.start])
        rest, skip = [], ends[token.start]
    if rest:
        tight = rest[0].sign in {*CLOSE, ",", "::"}
        found.append(("" if tight else " ") + render(source, rest, {}))
    return tuple(found)


def read_having(
    source: Source,
    clauses: Clauses,
    measures: list[Measure],
    fields: dict[int, WrittenField],
    items: list[Key | Computed],
) -> Computed:
    """A condition over aggregates (`measures`), keys and the view's own columns. Raises VIEW_INVALID at a field."""
    body = clauses.having
    spans: dict[int, Measure | KeyUse] = {measure.offset: measure for measure in measures}
    ends = {measure.offset: measure.end for measure in measures}
    keys = bare_keys(items)
    columns = {item.name.lower(): item.name for item in items}
    for at, token in enumerate(body):
        if is_call(body, at) or any(m.offset <= token.start <= m.end for m in measures):
            continue
        field = fields.get(token.start)
        name = keys.get(field.sql) if field else columns.get(token.text.lower()) if is_word(token) else None
        if field and name is None:
            raise _refuse_field(source, field, columns)
        if name:
            spans[token.start], ends[token.start] = KeyUse(name), field.end if field else token.end
    return Computed("_having", pieces(source, body, spans, ends), body[0].start)


def _refuse_field(source: Source, field: WrittenField, columns: Mapping[str, str]) -> UserError:
    """In HAVING, a field is meant before a column of the view that is called alike."""
    said = source.text[field.start : field.end + 1]
    others = ", ".join(name for lower, name in columns.items() if lower != said.lower())
    if said.lower() in columns:
        message = f"{said} is the field here, not the view's column of that name"
        return source.refuse(field.start, message, others, "write the column's aggregate again, or rename the column")
    message = f"{said} is neither a key nor inside an aggregate"
    return source.refuse(field.start, message, others, "put it inside an aggregate, or name a column of the view")
