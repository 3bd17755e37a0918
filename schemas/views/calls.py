"""Calls of aggregates in a view's expressions: found, taken apart, and refused where they cannot be kept mergeable."""

from __future__ import annotations

from dataclasses import dataclass

from seamline.schemas.algebra import ALGEBRA, NAMES, WITHIN, Aggregate
from seamline.schemas.views.clauses import ORDERED, closing, split
from seamline.schemas.views.expressions import check_words, render
from seamline.schemas.views.language import ALLOWED, TYPES, close, engine_functions
from seamline.schemas.views.source import Source, WrittenField, is_call, word
from seamline.sql import Token

_AGGREGATES = ", ".join(ALGEBRA)
_CALLED = {*NAMES, *WITHIN}
OTHER_NAMES = {
    "var": "var_samp(x) or var_pop(x)",
    "stdev": "stddev_samp(x) or stddev_pop(x)",
    "std": "stddev_samp(x) or stddev_pop(x)",
    "average": "avg(x)",
    "approx_median": "approx_quantile(x, 0.5)",
    "approx_percentile": "approx_quantile(x, q)",
    "percentile": "quantile_cont(x, q)",
    "percentile_approx": "approx_quantile(x, q)",
    "count_distinct": "count(DISTINCT x)",
    "countd": "count(DISTINCT x)",
    "approx_distinct": "approx_count_distinct(x)",
    "approx_percentile_cont": "approx_quantile(x, q)",
    "any": "bool_or(x)",
    "every": "bool_and(x)",
    "collect_list": "array_agg(x)",
}
"""What other engines call an aggregate, and how it is written here."""


@dataclass(frozen=True)
class Argument:
    """An expression over one event."""

    sql: str
    """Over `events`."""

    bare: bool
    """It is a field, and cannot fail."""

    offset: int

    text: str
    """As the user wrote it."""


@dataclass(frozen=True)
class Measure:
    """One call of an aggregate."""

    name: str

    aggregate: str
    """Its algebra entry's name."""

    arguments: tuple[Argument, ...]
    """One, `*`, for count(*)."""

    constants: tuple[str, ...]
    """As SQL."""

    filter: str
    """As SQL, or ''."""

    filter_text: str
    """As the user wrote it."""

    offset: int
    """The call's first character."""

    end: int
    """Its last."""

    @property
    def said(self) -> str:
        """The same for any spelling of the same call."""
        name, _, distinct = self.aggregate.partition(" ")
        inside = ", ".join([*(a.sql for a in self.arguments), *self.constants])
        condition = f" filter (where {self.filter})" if self.filter else ""
        return f"{name}({distinct + ' ' if distinct else ''}{inside}){condition}"


def read_calls(source: Source, body: list[Token], name: str, fields: dict[int, WrittenField]) -> list[Measure]:
    """The aggregates of an expression, left to right. The one that is a whole column is named as the column is, others
    `column__1`, `column__2`. Raises VIEW_INVALID."""
    found: list[Measure] = []
    at = 0
    while at < len(body):
        if not is_call(body, at) or body[at].text.lower() not in _CALLED:
            _refuse_other(source, body, at)
            at += 1
            continue
        end = _end(body, at)
        alone = at == 0 and end == len(body) - 1 and not name.startswith("_")
        own = name if alone else f"{name}__{len(found) + 1}"
        found.append(_measure(source, body[at : end + 1], own, fields))
        at = end + 1
    return found


def _end(body: list[Token], at: int) -> int:
    """The index of a call's last token: its closing bracket, or that of its WITHIN GROUP or FILTER."""
    end = closing(body, at + 1)
    if _within_group(body, end):
        end = closing(body, end + 3)
    follows = end + 2 < len(body) and word(body[end + 1]) == "filter"
    return closing(body, end + 2) if follows else end


def _within_group(body: list[Token], end: int) -> bool:
    """Whether WITHIN GROUP and something more follows a call's closing bracket."""
    return end + 3 < len(body) and [word(token) for token in body[end + 1 : end + 3]] == ["within", "group"]


def _measure(source: Source, call: list[Token], name: str, fields: dict[int, WrittenField]) -> Measure:
    end = closing(call, 1)
    inside, distinct = call[2:end], False
    if inside and word(inside[0]) in ("distinct", "all"):
        distinct, inside = word(inside[0]) == "distinct", inside[1:]
    parts = split(inside) if inside else []
    if _within_group(call, end):
        last = closing(call, end + 3)
        entry = ALGEBRA[WITHIN[call[0].text.lower()]]
        parts, end = [_sorted_by(source, call[end + 1], call[end + 4 : last]), *parts], last
    else:
        entry = _entry(source, call[0], distinct, len(parts))
    arguments, constants = _arguments(source, call[0], entry, parts, fields)
    filter_ = text = ""
    if end < len(call) - 1:
        if word(call[end + 3]) != "where" or end + 4 >= len(call) - 1:
            raise source.refuse(call[end + 1].start, "FILTER without WHERE", "FILTER (WHERE condition)")
        filter_, text = (
            condition(source, call[end + 4 : -1], fields),
            source.text[call[end + 4].start : call[-2].end + 1],
        )
    return Measure(name, entry.name, arguments, constants, filter_, text, call[0].start, call[-1].end)


def _entry(source: Source, token: Token, distinct: bool, parts: int) -> Aggregate:
    said = token.text.lower()
    if said not in NAMES:
        entry = ALGEBRA[WITHIN[said]]
        hint = f"write {entry.ordered}, or {entry.signature}"
        raise source.refuse(token.start, f"{said}() without WITHIN GROUP", entry.ordered, hint)
    name = NAMES[said]
    entry = ALGEBRA[name]
    if not distinct or (entry.alike and parts <= entry.arguments):
        return entry
    if f"{name} distinct" not in ALGEBRA:
        detail = ", ".join(entry.signature for entry in ALGEBRA.values() if " " in entry.name) or "none"
        raise source.refuse(
            token.start, f"{name}(DISTINCT …) cannot be kept mergeable", detail, "use one of the allowed"
        )
    return ALGEBRA[f"{name} distinct"]


def _sorted_by(source: Source, at: Token, inside: list[Token]) -> list[Token]:
    """The expression in the brackets of WITHIN GROUP: DuckDB's parser takes one, and no DISTINCT before it."""
    key = inside[2:]
    if word(key[-1]) == "desc":
        hint = "order by one expression, ascending; a fraction counts from the least value"
        raise source.refuse(at.start, "such a WITHIN GROUP", ORDERED, hint)
    return key[:-1] if word(key[-1]) == "asc" else key


def _arguments(
    source: Source, token: Token, entry: Aggregate, parts: list[list[Token]], fields: dict[int, WrittenField]
) -> tuple[tuple[Argument, ...], tuple[str, ...]]:
    star = not parts or (len(parts) == 1 and len(parts[0]) == 1 and parts[0][0].sign == "*")
    if star and entry.star:
        return (Argument("*", True, token.start, "*"),), ()
    least, most = entry.arguments + entry.needed, entry.arguments + len(entry.constants)
    if star or not least <= len(parts) <= most or not all(parts):
        message = f"{token.text.lower()}({', '.join(_text(source, part) for part in parts if part)})"
        raise source.refuse(token.start, message, entry.signature, "give it just these arguments")
    for part in parts:
        _refuse_nested(source, part)
        check_words(source, part, fields)
    expressions = tuple(
        Argument(render(source, part, fields), is_bare(part, fields), part[0].start, _text(source, part))
        for part in parts[: entry.arguments]
    )
    return expressions, tuple(_constant(source, part, fields, entry) for part in parts[entry.arguments :])


def _text(source: Source, part: list[Token]) -> str:
    return source.text[part[0].start : part[-1].end + 1]


def _constant(source: Source, part: list[Token], fields: dict[int, WrittenField], entry: Aggregate) -> str:
    for token in part:
        if token.start in fields:
            message = f"{_text(source, part)} is no constant"
            raise source.refuse(token.start, message, entry.signature, "write its value out")
    return render(source, part, fields)


def condition(source: Source, tokens: list[Token], fields: dict[int, WrittenField]) -> str:
    """A condition over one event. Raises VIEW_INVALID."""
    _refuse_nested(source, tokens)
    check_words(source, tokens, fields)
    return render(source, tokens, fields)


def _refuse_nested(source: Source, tokens: list[Token]) -> None:
    for at, token in enumerate(tokens):
        if is_call(tokens, at) and token.text.lower() in _CALLED:
            message = f"aggregate {token.text.lower()}() where each event has to have a value"
            hint = "aggregate outside, or in a view over this one"
            raise source.refuse(token.start, message, "scalar expressions over the event's fields", hint)
        _refuse_other(source, tokens, at)


def _refuse_other(source: Source, tokens: list[Token], at: int) -> None:
    if not is_call(tokens, at):
        return
    name = tokens[at].text.lower()
    kind = engine_functions().get(name)
    if kind == "aggregate":
        hint = close(name, NAMES) or "use one of the allowed aggregates"
        raise source.refuse(tokens[at].start, f"aggregate {name}() cannot be kept mergeable", _AGGREGATES, hint)
    if not kind and name not in ALLOWED and name not in TYPES and name not in ("unnest", "unlist"):
        hint = f"write {OTHER_NAMES[name]}" if name in OTHER_NAMES else close(name, [*NAMES, *ALLOWED])
        detail = "the aggregates and scalar functions listed in docs/views.md"
        raise source.refuse(tokens[at].start, f"unknown function {name}()", detail, hint or "use one of these")


def is_bare(tokens: list[Token], fields: dict[int, WrittenField]) -> bool:
    """Whether this is a field and nothing else: such an expression cannot fail."""
    field = fields.get(tokens[0].start)
    return field is not None and tokens[-1].end == field.end
