"""A view's SELECT taken apart: its keys, its aggregates, its condition. Needs the names of the contract's fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import Token, TokenType, exp

from seamline.errors import UserError
from seamline.kernel import quote
from seamline.schemas.algebra import ALGEBRA
from seamline.schemas.clauses import ALLOWED_SELECT, Clauses, closing, split
from seamline.schemas.language import (
    Field,
    Source,
    check_words,
    close,
    engine_functions,
    is_call,
    is_word,
    render,
    word,
)

_AGGREGATES = ", ".join(ALGEBRA)


@dataclass(frozen=True)
class Key:
    """A grouping expression: `sql` over the table `events`."""

    name: str
    sql: str
    bare: bool
    offset: int


@dataclass(frozen=True)
class Measure:
    """An aggregate: its algebra entry's name, its argument ('*' for count(*)), its filter or ''."""

    name: str
    aggregate: str
    argument: str
    bare: bool
    filter: str
    offset: int


@dataclass(frozen=True)
class Selection:
    """The parts of a SELECT, in the user's order, and the condition of its WHERE, or ''."""

    items: tuple[Key | Measure, ...]
    where: str
    where_offset: int

    @property
    def keys(self) -> tuple[Key, ...]:
        return tuple(item for item in self.items if isinstance(item, Key))

    @property
    def measures(self) -> tuple[Measure, ...]:
        return tuple(item for item in self.items if isinstance(item, Measure))

    @property
    def normalised(self) -> str:
        """The same for any spacing, comments, case of words, and spelling of GROUP BY."""
        lines = [f"{_said(item)} as {quote(item.name)}" for item in self.items]
        return "select " + ",\n  ".join(lines) + (f"\nwhere {self.where}" if self.where else "")


def _said(item: Key | Measure) -> str:
    if isinstance(item, Key):
        return item.sql
    condition = f" filter (where {item.filter})" if item.filter else ""
    return f"{item.aggregate}({item.argument}){condition}"


def read_selection(source: Source, clauses: Clauses, fields: Mapping[str, str]) -> Selection:
    """Keys and measures over a contract's `fields`. Raises VIEW_INVALID."""
    found = find_fields(source, clauses, fields)
    items = tuple(_read_item(source, item, found) for item in clauses.items)
    _check_names(source, items)
    if not any(isinstance(item, Measure) for item in items):
        raise source.refuse(
            clauses.items[0][0].start if clauses.items[0] else 0,
            "no aggregate in the select list",
            f"at least one of {_AGGREGATES}",
            "add count(*) AS events",
        )
    where = _condition(source, clauses.where, found) if clauses.where else ""
    selection = Selection(items, where, clauses.where[0].start if clauses.where else 0)
    _check_grouping(source, clauses, selection, found)
    return selection


def find_fields(source: Source, clauses: Clauses, fields: Mapping[str, str]) -> dict[int, Field]:
    """Every use of a field, by the offset where it begins. Raises VIEW_INVALID for an unknown one."""
    by_name = {name.lower(): name for name in fields}
    aliases = {item[-1].text.lower() for item in clauses.items if len(item) > 2 and word(item[-2]) == "as"}
    grouping = {token.start for part in clauses.group for token in part if len(part) == 1}
    found: dict[int, Field] = {}
    for column in clauses.tree.find_all(exp.Column):
        parts = [part for part in column.parts if "start" in part.meta]
        if not parts or isinstance(column.this, exp.Star):
            continue
        start, end, names = parts[0].meta["start"], parts[-1].meta["end"], [part.name for part in parts]
        if names[0].lower() == clauses.alias.lower() and len(names) > 1:
            names = names[1:]
        name = by_name.get(names[0].lower())
        if name is None:
            if start in grouping and names[0].lower() in aliases:
                continue
            raise _unknown_field(source, start, names[0], by_name, aliases)
        path = "".join(f".{quote(part.lower())}" for part in names[1:])
        found[start] = Field(start, end, f"events.{quote(name)}{path}", not path)
    return found


def _unknown_field(source: Source, at: int, name: str, by_name: Mapping[str, str], aliases: set[str]) -> UserError:
    if name.lower() in aliases:
        mend = f"{name!r} is a column of the view: write its expression out here"
    else:
        mend = close(name, by_name.values()) or "add it to the contract, or correct the name"
    return source.refuse(at, f"unknown field {name!r}", ", ".join(by_name.values()), mend)


def _read_item(source: Source, tokens: list[Token], fields: dict[int, Field]) -> Key | Measure:
    if not tokens:
        raise source.refuse(0, "an empty place in the select list", ALLOWED_SELECT, "remove a comma")
    start = tokens[0].start
    if TokenType.STAR in (tokens[0].token_type, tokens[-1].token_type):
        mend = "name the columns that events are grouped by"
        raise source.refuse(start, "SELECT * is not an aggregate view", ALLOWED_SELECT, mend)
    body, name = _alias(source, tokens, fields)
    if is_call(body, 0) and body[0].text.lower() in ALGEBRA and (end := closing(body, 1)) and _ends(body, end):
        return _measure(source, body, end, name, fields)
    _refuse_aggregates(source, body)
    check_words(source, body, fields)
    if not any(token.start in fields for token in body):
        raise source.refuse(
            start, f"key {name!r} uses no field", "expressions over fields", "remove it; a query can add constants"
        )
    return Key(name, render(source, body, fields), _bare(body, fields), start)


def _ends(body: list[Token], end: int) -> bool:
    return end == len(body) - 1 or (
        end + 1 < len(body) and word(body[end + 1]) == "filter" and closing(body, end + 2) == len(body) - 1
    )


def _alias(source: Source, tokens: list[Token], fields: dict[int, Field]) -> tuple[list[Token], str]:
    """The expression and its name: after AS, or a field's own."""
    if len(tokens) > 2 and word(tokens[-2]) == "as" and is_word(tokens[-1]):
        last = tokens[-1]
        return tokens[:-2], last.text if word(last) == "" else word(last)
    if _bare(tokens, fields):
        path = fields[tokens[0].start].sql.split('"')
        return tokens, path[-2]
    raise source.refuse(
        tokens[0].start, "an expression without a name", "expression AS name", "add AS and a name after it"
    )


def _bare(tokens: list[Token], fields: dict[int, Field]) -> bool:
    """Whether this is a field and nothing else: such an expression cannot fail."""
    field = fields.get(tokens[0].start)
    return field is not None and tokens[-1].end == field.end


def _measure(source: Source, body: list[Token], end: int, name: str, fields: dict[int, Field]) -> Measure:
    aggregate = body[0].text.lower()
    argument, condition = body[2:end], body[end + 3 : -1] if end < len(body) - 1 else []
    star = len(argument) == 1 and argument[0].token_type == TokenType.STAR
    if argument and word(argument[0]) in ("distinct", "all"):
        hint = "approx_count_distinct(x)" if aggregate == "count" else "a view keyed by the distinct value"
        raise source.refuse(argument[0].start, "DISTINCT aggregates cannot be merged", _AGGREGATES, f"use {hint}")
    if not argument and aggregate == "count":
        star = True
    if star and not ALGEBRA[aggregate].star:
        raise source.refuse(body[0].start, f"{aggregate}(*)", f"{aggregate}(expression)", "name what to aggregate")
    if (not star and len(split(argument)) != 1) or not (star or argument):
        raise source.refuse(
            body[0].start, f"{aggregate} takes one argument", f"{aggregate}(expression)", "remove the other arguments"
        )
    text = "*"
    if not star:
        _refuse_aggregates(source, argument)
        check_words(source, argument, fields)
        text = render(source, argument, fields)
    bare = star or _bare(argument, fields)
    filter_ = ""
    if end < len(body) - 1:
        if not condition or word(body[end + 3]) != "where":
            raise source.refuse(body[end + 1].start, "FILTER without WHERE", "FILTER (WHERE condition)")
        filter_ = _condition(source, condition[1:], fields)
    return Measure(name, aggregate, text, bare, filter_, body[0].start)


def _condition(source: Source, tokens: list[Token], fields: dict[int, Field]) -> str:
    _refuse_aggregates(source, tokens)
    check_words(source, tokens, fields)
    return render(source, tokens, fields)


def _refuse_aggregates(source: Source, tokens: list[Token]) -> None:
    for at, token in enumerate(tokens):
        if not is_call(tokens, at):
            continue
        name = token.text.lower()
        if name in ALGEBRA:
            got = f"{name}() inside an expression: only the aggregate itself can be kept and merged"
            mend = "name each aggregate as a column of its own, and compute with them in the query"
            raise source.refuse(token.start, got, f"{name}(…) AS name", mend)
        if engine_functions().get(name, ("", False))[0] == "aggregate":
            mend = close(name, ALGEBRA) or "use one of the allowed aggregates"
            raise source.refuse(token.start, f"aggregate {name}() cannot be kept mergeable", _AGGREGATES, mend)


def _check_names(source: Source, items: tuple[Key | Measure, ...]) -> None:
    seen: set[str] = set()
    for item in items:
        if item.name.startswith("_") or "__" in item.name:
            mend = "choose a name without leading or double underscores"
            raise source.refuse(item.offset, f"name {item.name!r} is kept for Seamline", "other names", mend)
        if not item.name.replace("_", "").isalnum():
            raise source.refuse(item.offset, f"name {item.name!r}", "letters, digits and single underscores")
        if item.name.lower() in seen:
            raise source.refuse(item.offset, f"column {item.name!r} twice", "each name once", "rename one of them")
        seen.add(item.name.lower())


def _check_grouping(source: Source, clauses: Clauses, selection: Selection, fields: dict[int, Field]) -> None:
    """An explicit GROUP BY must name exactly the keys, by position, by name or by expression."""
    if selection.keys and not clauses.grouped:
        raise source.refuse(selection.keys[0].offset, "keys without GROUP BY", ALLOWED_SELECT, "add GROUP BY ALL")
    if not clauses.group:
        return
    missing = {key.name: key for key in selection.keys}
    for part in clauses.group:
        key = _grouped_key(source, part, selection, fields)
        missing.pop(key.name, None)
    for key in missing.values():
        raise source.refuse(key.offset, f"{key.name!r} is not in GROUP BY", "every key", "use GROUP BY ALL")


def _grouped_key(source: Source, part: list[Token], selection: Selection, fields: dict[int, Field]) -> Key:
    token = part[0]
    text = render(source, part, fields)
    for position, item in enumerate(selection.items, 1):
        if isinstance(item, Key) and (text == item.sql or (len(part) == 1 and text == str(position))):
            return item
        named = len(part) == 1 and token.start not in fields and token.text.lower() == item.name.lower()
        if isinstance(item, Key) and named:
            return item
    raise source.refuse(
        token.start,
        f"GROUP BY {source.text[token.start : part[-1].end + 1]} is no key in the select list",
        ", ".join(key.name for key in selection.keys) or "no keys",
        "select it with a name, or use GROUP BY ALL",
    )
