"""Views: `CREATE MATERIALIZED VIEW name TBLPROPERTIES (…) AS SELECT …`, read, checked and compiled."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from sqlglot import Token, TokenType

from seamline.errors import Condition, UserError
from seamline.kernel import quote
from seamline.schemas.algebra import LAYOUT, fill
from seamline.schemas.binding import BoundKey, BoundMeasure, bind, check_own, empty_events
from seamline.schemas.clauses import Clauses, read_clauses
from seamline.schemas.contracts import Contract, event_schema
from seamline.schemas.definition import Column, Definition, Output
from seamline.schemas.language import Source, close, is_word, word
from seamline.schemas.selection import read_selection

_FORM = "CREATE MATERIALIZED VIEW name [TBLPROPERTIES ('key' = 'value', …)] AS SELECT …"
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_DURATION = re.compile(r"[1-9]\d{0,5} (minute|hour|day)s?")


@dataclass(frozen=True)
class Property:
    """A key of TBLPROPERTIES: what it means, and which values it takes."""

    about: str
    allowed: str
    accepts: Callable[[str], bool]


PROPERTIES: dict[str, Property] = {
    "owner": Property("who answers for the view", "any text", lambda _: True),
    "description": Property("what the view is for", "any text", lambda _: True),
    "speed.retention": Property(
        "how long epochs are kept at least, after a batch version covers them",
        "a number of minutes, hours or days, such as '7 days'",
        lambda text: _DURATION.fullmatch(text) is not None,
    ),
}
"""Every property there is; others are refused."""


@dataclass(frozen=True)
class ViewText:
    """One view statement as written. `text` is all of it; `line` and `column` say where it begins in `where`.

    `contract_at`: the character of `text` where the contract is named.
    """

    name: str
    contract: str
    text: str
    where: str
    line: int = 1
    column: int = 1
    properties: dict[str, str] = field(default_factory=dict, hash=False)
    contract_at: int = 0

    @property
    def source(self) -> Source:
        return Source(self.text, self.where, self.line, self.column)


def parse_views(text: str, where: str) -> tuple[ViewText, ...]:
    """Every view of a file, in order. `where` names the file in messages. Raises UserError VIEW_INVALID."""
    whole = Source(text, where)
    views = []
    for group in _statements(whole.tokens()):
        start, end = group[0].start, group[-1].end + 1
        place = whole.place(start)
        line, column = (int(part) for part in place.rsplit(":", 2)[1:])
        views.append(_read(Source(text[start:end], where, line, column)))
    if not views:
        raise whole.refuse(0, "no view in this file", _FORM, "write one, or remove the file")
    _refuse_twice(views)
    return tuple(views)


def load_views(folder: str | Path) -> dict[str, ViewText]:
    """Every view of a folder's .sql files, by name. Raises UserError VIEW_INVALID, for names used twice too."""
    views: list[ViewText] = []
    for path in sorted(Path(folder).glob("*.sql")):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise UserError(
                Condition.VIEW_INVALID, "not UTF-8", allowed="UTF-8 text", mend="save it as UTF-8", where=f"{path}:1:1"
            ) from error
        views.extend(parse_views(text, str(path)))
    _refuse_twice(views)
    return {view.name: view for view in views}


def compile_view(view: ViewText, contract: Contract) -> Definition:
    """The definition of a view over its contract. Pure, but that DuckDB binds it over no rows. Raises VIEW_INVALID."""
    source = view.source
    _, _, tokens = _header(source, source.tokens())
    clauses = read_clauses(source, tokens)
    if clauses.table.text.lower() != contract.name.lower():
        raise source.refuse(clauses.table.start, f"unknown contract {clauses.table.text!r}", contract.name)
    selection = read_selection(source, clauses, event_schema(contract))
    bound = bind(source, selection, event_schema(contract))
    normalised = f"view {view.name} on {contract.name}\n{selection.normalised}"
    identity = f"{LAYOUT}\n{normalised}\n{contract.decoding}"
    head, tail = _around_table(source, tokens, clauses)
    check_own(source, tokens[0].start, f"{head}({empty_events(event_schema(contract))}){tail}")
    inner = [_partial_columns(item) for item in bound]
    return Definition(
        view=view.name,
        contract=contract.name,
        hash=hashlib.sha256(identity.encode()).hexdigest()[:16],
        text=view.text,
        normalised=normalised,
        properties=view.properties,
        keys=tuple(Column(item.name, item.sql_type) for item in bound if isinstance(item, BoundKey)),
        columns=tuple(_output(item) for item in bound),
        partial_columns=tuple(column for columns in inner for column in columns),
        partial=_partial(bound, selection.where),
        merge=_merge(bound),
        finalise=_finalise(bound),
        inspect=_inspect(bound),
        head=head,
        tail=tail,
    )


# --- the three statements --------------------------------------------------------------------------------

Bound = tuple[BoundKey | BoundMeasure, ...]


def _partial(bound: Bound, where: str) -> str:
    lines = []
    for item in bound:
        if isinstance(item, BoundKey):
            lines.append(f"{item.sql} AS {quote(item.name)}")
            continue
        values = {
            "x": item.argument,
            "filter": f" FILTER (WHERE {item.filter})" if item.filter else "",
            "where": item.filter or "true",
        }
        lines += [f"{fill(p.partial, values)} AS {quote(item.column(p.suffix))}" for p in item.form.parts]
    condition = f"\nWHERE TRY({where})" if where else ""
    return _select(lines, f"events{condition}", bound)


def _merge(bound: Bound) -> str:
    lines = []
    for item in bound:
        if isinstance(item, BoundKey):
            lines.append(f"partials.{quote(item.name)}")
            continue
        for part in item.form.parts:
            name = quote(item.column(part.suffix))
            lines.append(f"{fill(part.merge, {'c': f'partials.{name}'})} AS {name}")
    return _select(lines, "partials", bound)


def _finalise(bound: Bound) -> str:
    return _select([_finished(item) for item in bound], "partials")


def _inspect(bound: Bound) -> str:
    lines = []
    for item in bound:
        if isinstance(item, BoundKey) or not item.form.check:
            lines.append(_finished(item))
            continue
        problem = fill(item.form.check, item.stored)
        value = fill(item.form.finalise, item.stored)
        lines.append(f"CASE WHEN ({problem}) IS NULL THEN {value} END AS {quote(item.name)}")
        lines.append(f"{problem} AS {quote('_error_' + item.name)}")
    return _select(lines, "partials")


def _finished(item: BoundKey | BoundMeasure) -> str:
    if isinstance(item, BoundKey):
        return f"partials.{quote(item.name)}"
    return f"{fill(item.form.finalise, item.stored)} AS {quote(item.name)}"


def _select(lines: list[str], source: str, grouped: Bound = ()) -> str:
    by = "\nGROUP BY ALL" if any(isinstance(item, BoundKey) for item in grouped) else ""
    return "SELECT\n  " + ",\n  ".join(lines) + f"\nFROM {source}{by}"


def _partial_columns(item: BoundKey | BoundMeasure) -> list[Column]:
    if isinstance(item, BoundKey):
        return [Column(item.name, item.sql_type)]
    return [Column(item.column(part.suffix), part.stored) for part in item.form.parts]


def _output(item: BoundKey | BoundMeasure) -> Output:
    if isinstance(item, BoundKey):
        return Output(item.name, item.sql_type)
    form = item.form
    return Output(item.name, form.sql_type, form.exactness, item.aggregate, form.bound)


# --- reading ---------------------------------------------------------------------------------------------


def _statements(tokens: list[Token]) -> list[list[Token]]:
    groups: list[list[Token]] = [[]]
    for token in tokens:
        if token.token_type == TokenType.SEMICOLON:
            groups.append([])
        else:
            groups[-1].append(token)
    return [group for group in groups if group]


def _read(source: Source) -> ViewText:
    name, properties, tokens = _header(source, source.tokens())
    table = read_clauses(source, tokens).table
    return ViewText(name, table.text, source.text, source.file, source.line, source.column, properties, table.start)


def _header(source: Source, tokens: list[Token]) -> tuple[str, dict[str, str], list[Token]]:
    """The name, the properties and the SELECT's tokens."""
    start = [word(token) for token in tokens[:3]]
    if start != ["create", "materialized", "view"] or len(tokens) < 6 or not is_word(tokens[3]):
        raise source.refuse(0, f"a statement that begins {' '.join(filter(None, start))!r}", _FORM, f"write {_FORM}")
    name = tokens[3].text if word(tokens[3]) == "" else word(tokens[3])
    if not _NAME.fullmatch(name):
        allowed = "lower-case letters, digits and single underscores, a letter first"
        raise source.refuse(tokens[3].start, f"view name {name!r}", allowed, "rename the view")
    rest = tokens[4:]
    properties: dict[str, str] = {}
    if word(rest[0]) == "tblproperties":
        properties, rest = _properties(source, rest)
    if [word(token) for token in rest[:2]] != ["as", "select"]:
        at = rest[0].start if rest else tokens[-1].start
        raise source.refuse(at, "no AS SELECT after the name", _FORM, f"write {_FORM}")
    return name, properties, rest[1:]


def _properties(source: Source, tokens: list[Token]) -> tuple[dict[str, str], list[Token]]:
    found: dict[str, str] = {}
    at = 1
    while at < len(tokens) and tokens[at].token_type in (TokenType.L_PAREN, TokenType.COMMA):
        kinds = [token.token_type for token in tokens[at + 1 : at + 4]]
        if kinds != [TokenType.STRING, TokenType.EQ, TokenType.STRING]:
            break
        key, value = tokens[at + 1], tokens[at + 3]
        _check_property(source, key, value, found)
        found[key.text] = value.text
        at += 4
    if not found or at >= len(tokens) or tokens[at].token_type != TokenType.R_PAREN:
        place = tokens[min(at, len(tokens) - 1)].start
        allowed = "TBLPROPERTIES ('key' = 'value', …)"
        raise source.refuse(place, "TBLPROPERTIES cannot be read", allowed, "quote keys and values with '")
    return found, tokens[at + 1 :]


def _check_property(source: Source, key: Token, value: Token, found: dict[str, str]) -> None:
    known = PROPERTIES.get(key.text)
    if known is None:
        mend = close(key.text, PROPERTIES) or "remove it"
        raise source.refuse(key.start, f"unknown property {key.text!r}", ", ".join(PROPERTIES), mend)
    if key.text in found:
        raise source.refuse(key.start, f"property {key.text!r} twice", "each once", "remove one of them")
    if not known.accepts(value.text):
        raise source.refuse(value.start, f"{key.text} = {value.text!r}", known.allowed, "write such a value")


def _around_table(source: Source, tokens: list[Token], clauses: Clauses) -> tuple[str, str]:
    """The user's SELECT before and after the contract's name, which stays usable as a qualifier."""
    table = clauses.table
    aliased = clauses.alias != table.text
    tail = source.text[table.end + 1 : tokens[-1].end + 1]
    return source.text[tokens[0].start : table.start], tail if aliased else f" AS {quote(table.text)}{tail}"


def _refuse_twice(views: list[ViewText]) -> None:
    first: dict[str, ViewText] = {}
    for view in views:
        if view.name in first:
            other = first[view.name].source.place(0)
            got = f"view {view.name!r} is defined twice, first at {other}"
            raise view.source.refuse(0, got, "each name once", "rename or remove one of them")
        first[view.name] = view
