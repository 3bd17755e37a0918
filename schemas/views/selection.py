"""A view's SELECT taken apart: its keys, its aggregates, its condition. Needs the names of the contract's fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlglot import Token, TokenType, exp

from seamline.errors import UserError
from seamline.kernel import quote
from seamline.schemas.algebra import ALGEBRA
from seamline.schemas.views.buckets import check_times, is_bucket
from seamline.schemas.views.calls import Measure, condition, is_bare, read_calls
from seamline.schemas.views.clauses import ALLOWED_SELECT, Clauses
from seamline.schemas.views.language import (
    CLOSE,
    OPEN,
    Source,
    WrittenField,
    check_words,
    close,
    is_call,
    is_word,
    render,
    word,
)
from seamline.schemas.views.unnest import Unnested, read_unnest

_AGGREGATES = ", ".join(ALGEBRA)


@dataclass(frozen=True)
class Key:
    """A grouping expression: `sql` over the table `events`, and what is `said`, normalised. bucket: whether it is a
    time bucket as it is written."""

    name: str
    sql: str
    said: str
    bare: bool
    offset: int
    bucket: bool = False


@dataclass(frozen=True)
class KeyUse:
    """A key named in an expression over aggregates."""

    name: str


@dataclass(frozen=True)
class Computed:
    """A column over aggregates: pieces of SQL, and what stands between them. One aggregate alone is one piece."""

    name: str
    pieces: tuple[str | Measure | KeyUse, ...]
    offset: int

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The aggregates in it."""
        return tuple(piece for piece in self.pieces if isinstance(piece, Measure))

    @property
    def said(self) -> str:
        """The expression, normalised."""
        return "".join(
            piece if isinstance(piece, str) else quote(piece.name) if isinstance(piece, KeyUse) else piece.said
            for piece in self.pieces
        )


@dataclass(frozen=True)
class Selection:
    """The parts of a SELECT, in the user's order, the condition of its WHERE, or '', its HAVING, or None, and what
    its keys unnest, or None."""

    items: tuple[Key | Computed, ...]
    where: str
    where_offset: int
    having: Computed | None = None
    unnested: Unnested | None = None

    @property
    def keys(self) -> tuple[Key, ...]:
        """What events are grouped by."""
        return tuple(item for item in self.items if isinstance(item, Key))

    @property
    def computed(self) -> tuple[Computed, ...]:
        """The columns over aggregates."""
        return tuple(item for item in self.items if isinstance(item, Computed))

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Every call of an aggregate, the condition's too."""
        columns = (*self.computed, *([self.having] if self.having else []))
        return tuple(measure for column in columns for measure in column.measures)

    @property
    def normalised(self) -> str:
        """The same for any spacing, comments, case of words, and spelling of GROUP BY."""
        lines = [f"{item.said} as {quote(item.name)}" for item in self.items]
        where = f"\nwhere {self.where}" if self.where else ""
        having = f"\nhaving {self.having.said}" if self.having else ""
        return "select " + ",\n  ".join(lines) + where + having


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


def find_fields(
    source: Source, clauses: Clauses, fields: Mapping[str, str], owner: str = "the contract"
) -> dict[int, WrittenField]:
    """Every use of a field, by the offset where it begins. Raises VIEW_INVALID for one that the `owner` has not."""
    by_name = {name.lower(): name for name in fields}
    aliases = _aliases(clauses)
    own = {token.start for part in clauses.group for token in part if len(part) == 1}
    own |= {token.start for token in clauses.having}
    found: dict[int, WrittenField] = {}
    for column in clauses.tree.find_all(exp.Column):
        parts = [part for part in column.parts if "start" in part.meta]
        if not parts or isinstance(column.this, exp.Star):
            continue
        start, end, names = parts[0].meta["start"], parts[-1].meta["end"], [part.name for part in parts]
        if names[0].lower() == clauses.alias.lower() and len(names) > 1:
            names = names[1:]
        name = by_name.get(names[0].lower())
        if name is None:
            if start in own and names[0].lower() in aliases:
                continue
            raise _unknown_field(source, start, names[0], by_name, aliases, owner)
        path = "".join(f".{quote(part.lower())}" for part in names[1:])
        found[start] = WrittenField(start, end, f"events.{quote(name)}{path}", not path)
    return found


def _aliases(clauses: Clauses) -> dict[str, bool]:
    """The names after AS, and whether their own expressions use a field of that name."""
    return {
        item[-1].text.lower(): any(token.text.lower() == item[-1].text.lower() for token in item[:-2])
        for item in clauses.items
        if len(item) > 2 and word(item[-2]) == "as"
    }


def _unknown_field(
    source: Source, at: int, name: str, by_name: Mapping[str, str], aliases: Mapping[str, bool], owner: str
) -> UserError:
    if aliases.get(name.lower()) is False:
        mend = f"{name!r} is a column of the view: write its expression out here"
    else:
        mend = close(name, by_name.values()) or f"add it to {owner}, or correct the name"
    return source.refuse(at, f"unknown field {name!r}", ", ".join(by_name.values()), mend)


def named(source: Source, tokens: list[Token], fields: dict[int, WrittenField]) -> tuple[list[Token], str]:
    """One item of the select list: its expression and its name."""
    if not tokens:
        raise source.refuse(0, "an empty place in the select list", ALLOWED_SELECT, "remove a comma")
    if TokenType.STAR in (tokens[0].token_type, tokens[-1].token_type):
        mend = "name the columns that events are grouped by"
        raise source.refuse(tokens[0].start, "SELECT * is not an aggregate view", ALLOWED_SELECT, mend)
    return alias_of(source, tokens, fields)


def alias_of(source: Source, tokens: list[Token], fields: dict[int, WrittenField]) -> tuple[list[Token], str]:
    """The expression and its name: after AS, or a field's own."""
    if len(tokens) > 2 and word(tokens[-2]) == "as" and is_word(tokens[-1]):
        last = tokens[-1]
        return tokens[:-2], last.text if word(last) == "" else word(last)
    if is_bare(tokens, fields):
        path = fields[tokens[0].start].sql.split('"')
        return tokens, path[-2]
    raise source.refuse(
        tokens[0].start, "an expression without a name", "expression AS name", "add AS and a name after it"
    )


def bare_keys(items: Iterable[Key | Computed]) -> dict[str, str]:
    """The keys that are fields: their SQL to their names."""
    return {key.sql: key.name for key in items if isinstance(key, Key) and key.bare}


def read_key(
    source: Source, body: list[Token], name: str, own: dict[int, WrittenField], fields: dict[int, WrittenField]
) -> Key:
    """A grouping expression. `own`: the fields; `fields`: these, and the element that stands for an unnest."""
    check_words(source, body, fields)
    if not any(token.start in fields for token in body):
        mend = "remove it; a query can add constants"
        raise source.refuse(body[0].start, f"key {name!r} uses no field", "expressions over fields", mend)
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
            mend = "put it inside an aggregate, or select it as a key"
            got = f"{source.text[field.start : field.end + 1]} is neither a key nor inside an aggregate"
            raise source.refuse(token.start, got, ", ".join(keys.values()) or "aggregates", mend)
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
            found.append(render(source, rest, {}) + ("" if rest[-1].token_type in OPEN else " "))
        found.append(spans[token.start])
        rest, skip = [], ends[token.start]
    if rest:
        tight = rest[0].token_type in CLOSE or rest[0].token_type in (TokenType.COMMA, TokenType.DCOLON)
        found.append(("" if tight else " ") + render(source, rest, {}))
    return tuple(found)


def read_having(
    source: Source,
    clauses: Clauses,
    measures: list[Measure],
    fields: dict[int, WrittenField],
    items: list[Key | Computed],
) -> Computed:
    """A condition over aggregates (`measures`), keys and the view's own columns."""
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
        got = f"{said} is the field here, not the view's column of that name"
        return source.refuse(field.start, got, others, "write the column's aggregate again, or rename the column")
    got = f"{said} is neither a key nor inside an aggregate"
    return source.refuse(field.start, got, others, "put it inside an aggregate, or name a column of the view")


def check_names(source: Source, items: list[Key | Computed]) -> None:
    """Refuses names that are Seamline's own, and a name that stands twice."""
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


def check_grouping(source: Source, clauses: Clauses, selection: Selection, fields: dict[int, WrittenField]) -> None:
    """An explicit GROUP BY must name exactly the keys, by position, by name or by expression."""
    if selection.keys and not clauses.grouped:
        raise source.refuse(selection.keys[0].offset, "keys without GROUP BY", ALLOWED_SELECT, "add GROUP BY ALL")
    if not clauses.group:
        return
    missing = {key.name: key for key in selection.keys}
    for part in clauses.group:
        if not part:
            mend = "remove a comma, or use GROUP BY ALL"
            raise source.refuse(clauses.table.start, "an empty place in GROUP BY", ALLOWED_SELECT, mend)
        key = _grouped_key(source, part, selection, fields)
        missing.pop(key.name, None)
    for key in missing.values():
        raise source.refuse(key.offset, f"{key.name!r} is not in GROUP BY", "every key", "use GROUP BY ALL")


def _grouped_key(source: Source, part: list[Token], selection: Selection, fields: dict[int, WrittenField]) -> Key:
    token = part[0]
    text = render(source, part, fields)
    for position, item in enumerate(selection.items, 1):
        if isinstance(item, Key) and (text == item.sql or (len(part) == 1 and text == str(position))):
            return item
        named = len(part) == 1 and token.start not in fields and token.text.lower() == item.name.lower()
        if isinstance(item, Key) and named:
            return item
    raise _no_key(source, token, source.text[token.start : part[-1].end + 1], selection)


def _no_key(source: Source, token: Token, said: str, selection: Selection) -> UserError:
    got, mend = f"GROUP BY {said} is no key in the select list", "select it with a name, or use GROUP BY ALL"
    alike = next((item for item in selection.items if item.name.lower() == said.lower()), None)
    if isinstance(alike, Key):
        got = f"GROUP BY {said} is the field here, not the key of that name"
        mend = "use GROUP BY ALL, or rename the key"
    elif alike is not None:
        got, mend = f"GROUP BY {said}, which aggregates", "leave it out, or use GROUP BY ALL"
    others = [key.name for key in selection.keys if key is not alike]
    return source.refuse(token.start, got, ", ".join(others) or "no keys", mend)
