"""A view's SELECT split into clauses, and the refusal of every clause that a view cannot have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sqlglot import Token, TokenType, exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ParseError

from seamline.errors import UserError
from seamline.schemas.views.language import keywords
from seamline.schemas.views.source import CLOSE, OPEN, Source, is_word, word

_READS = "a view reads one contract, or a union of several: join in the query over the view"
_CLAUSES = {
    "with_": ("WITH", "write the expressions out"),
    "distinct": ("DISTINCT", "GROUP BY ALL already gives one row for each key"),
    "joins": ("a join", "join in the query over the view"),
    "laterals": ("LATERAL", _READS),
    "qualify": ("QUALIFY", "filter in the query over the view"),
    "windows": ("WINDOW", "use window functions in the query over the view"),
    "order": ("ORDER BY", "order in the query over the view"),
    "limit": ("LIMIT", "limit in the query over the view"),
    "offset": ("OFFSET", "limit in the query over the view"),
    "sample": ("a sample", "a view counts every event"),
    "pivots": ("PIVOT", "use FILTER (WHERE …) on each aggregate"),
}
_REGROUP = "group so in the query over the view, with MEASURE(column) for each aggregate"
_ANYWHERE: dict[type[exp.Expression], tuple[str, str]] = {
    exp.Window: ("a window function", "use window functions in the query over the view"),
    exp.Subquery: ("a subquery", _READS),
    exp.Select: ("a subquery", _READS),
    exp.Lambda: ("a lambda", "use the listed functions"),
    exp.Order: (
        "ORDER BY within an aggregate",
        "leave it out: lists and texts go by event time; max_by(x, y, k) and min_by go by another, and"
        " list_sort(array_agg(x)) by the values",
    ),
    exp.Rollup: ("ROLLUP", _REGROUP),
    exp.Cube: ("CUBE", _REGROUP),
    exp.GroupingSets: ("GROUPING SETS", _REGROUP),
}
SET_OPERATIONS = ("union", "intersect", "except")
_BEGIN = ("from", "where", "group by", "having")
ALLOWED_SELECT = "SELECT keys and aggregates FROM one contract [WHERE …] GROUP BY ALL [HAVING …]"


@dataclass(frozen=True)
class Clauses:
    """The tokens of each clause."""

    items: tuple[list[Token], ...]

    table: Token
    """Names the FROM clause's table."""

    alias: str
    where: list[Token]
    group: tuple[list[Token], ...]
    grouped: bool
    having: list[Token]
    tree: exp.Select


def read_clauses(source: Source, tokens: list[Token]) -> Clauses:
    """Splits a SELECT's tokens. Raises VIEW_INVALID for everything that a view cannot have."""
    return read_parts(source, tokens, ALLOWED_SELECT)


def read_parts(source: Source, tokens: list[Token], detail: str) -> Clauses:
    """The same of any SELECT; `allowed` says of what form it may be. One that begins with FROM has no items.

    Raises VIEW_INVALID.
    """
    tree = _parse(source, tokens, detail)
    _refuse_clauses(source, tokens, tree, detail)
    start = {name: at for at, name in top_level(tokens) if name in _BEGIN and begins(tokens, at)}
    if "from" not in start:
        raise source.refuse(tokens[0].start, "no FROM", detail, "name the contract: FROM my_contract")
    edges = sorted([*start.values(), len(tokens)])
    clause = {name: tokens[at + 1 : min(e for e in edges if e > at)] for name, at in start.items()}
    table, alias = _read_table(source, clause["from"], detail)
    group = clause.get("group by", [])
    if group and word(group[0]) == "all" and len(group) == 1:
        group = []
    return Clauses(
        tuple(_with_as(split(tokens[1 : start["from"]]), tree)) if start["from"] else (),
        table,
        alias,
        clause.get("where", []),
        tuple(split(group)) if group else (),
        "group by" in start,
        clause.get("having", []),
        tree,
    )


def _parse(source: Source, tokens: list[Token], detail: str) -> exp.Select:
    try:
        tree = Dialect.get_or_raise("duckdb").parser().parse(list(tokens), source.text)[0]
    except ParseError as error:
        first = error.errors[0] if error.errors else {}
        found = str(first.get("highlight") or "")
        at = _offset_of(source, tokens, first)
        second = next((token for token in tokens[1:] if token.token_type is TokenType.CREATE), None)
        if second is not None:
            message, hint = "a second CREATE in one statement", "end the statement before it with ';'"
            raise source.refuse(second.start, message, detail, hint) from error
        message = f"{first.get('description', 'this SELECT cannot be parsed')}{' near ' + repr(found) if found else ''}"
        raise source.refuse(at, message.replace("\n", " "), detail, "check commas and parentheses") from error
    except RecursionError as error:
        raise source.refuse(tokens[0].start, "the SELECT is nested too deeply", detail) from error
    if not isinstance(tree, exp.Select):
        if isinstance(tree, exp.SetOperation):
            raise _refuse_operation(source, tokens, detail)
        raise source.refuse(tokens[0].start, "not a SELECT", detail, "write one view for each SELECT")
    return tree


def _refuse_operation(source: Source, tokens: list[Token], detail: str) -> UserError:
    """Of SELECTs that are grouped each by itself: where both have a key, it would stand twice."""
    at = next((tokens[at] for at, name in top_level(tokens) if name in SET_OPERATIONS), tokens[0])
    message = f"{at.text.upper()} of grouped SELECTs: a key that several of them have would stand several times"
    hint = (
        "aggregate the union once: SELECT … FROM (SELECT … FROM a UNION ALL BY NAME SELECT … FROM b) AS e GROUP BY ALL"
    )
    return source.refuse(at.start, message, detail, hint)


def _with_as(items: list[list[Token]], tree: exp.Select) -> Iterator[list[Token]]:
    """The select list with each AS that was left out: `sum(x) total` is `sum(x) AS total`.

    A word of SQL is left as it is: DuckDB takes some of them for a name there, and others only after AS.
    """
    names = {e.args["alias"].meta.get("start") for e in tree.expressions if isinstance(e, exp.Alias)}
    for item in items:
        if len(item) > 1 and item[-1].start in names and word(item[-2]) != "as" and word(item[-1]) not in keywords():
            unwritten = Token(TokenType.ALIAS, "AS", start=item[-1].start, end=item[-1].start - 1)
            yield [*item[:-1], unwritten, item[-1]]
        else:
            yield item


def _offset_of(source: Source, tokens: list[Token], error: Mapping[str, object]) -> int:
    line, column = error.get("line"), error.get("col")
    found = [t for t in tokens if t.line == line and t.col == column]
    return found[0].start if found else tokens[0].start


def _refuse_clauses(source: Source, tokens: list[Token], tree: exp.Select, detail: str) -> None:
    for argument, (name, hint) in _CLAUSES.items():
        if found := tree.args.get(argument):
            node = found[0] if isinstance(found, list) else found
            default = offset(node, tokens[0].start)
            at = next((t.start for t in tokens if name.split()[-1].lower() in word(t).split()), default)
            raise source.refuse(at, f"{name} is not part of a view", detail, hint)
    for kind, (name, hint) in _ANYWHERE.items():
        for node in tree.find_all(kind):
            if node is not tree and not _within_group(node):
                at = offset(node, tokens[0].start)
                raise source.refuse(at, f"{name} is not part of a view", detail, hint)


def _within_group(node: exp.Expression) -> bool:
    return isinstance(node, exp.Order) and isinstance(node.parent, exp.WithinGroup)


def offset(node: exp.Expression, default: int) -> int:
    """Where a tree node begins, as far as the parser says."""
    starts = [n.meta["start"] for n in node.walk() if "start" in n.meta]
    return min(starts, default=default)


def begins(tokens: list[Token], at: int) -> bool:
    """Whether a clause begins at a token: the FROM of IS [NOT] DISTINCT FROM begins none."""
    return word(tokens[at]) != "from" or at == 0 or word(tokens[at - 1]) != "distinct"


def top_level(tokens: list[Token]) -> list[tuple[int, str]]:
    """(index, word) of each token outside brackets."""
    depth, found = 0, []
    for at, token in enumerate(tokens):
        depth += (token.token_type in OPEN) - (token.token_type in CLOSE)
        if depth == 0:
            found.append((at, word(token)))
    return found


def split(tokens: list[Token]) -> list[list[Token]]:
    """The parts between commas outside brackets; a trailing comma is allowed, as in DuckDB."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.token_type in OPEN) - (token.token_type in CLOSE)
        if depth == 0 and token.token_type == TokenType.COMMA:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts if parts[-1] or len(parts) == 1 else parts[:-1]


def _read_table(source: Source, tokens: list[Token], detail: str) -> tuple[Token, str]:
    rest = [t for t in tokens[1:] if word(t) != "as"]
    if not tokens or not is_word(tokens[0]) or len(rest) > 1 or (rest and not is_word(rest[0])):
        at = tokens[0].start if tokens else 0
        raise source.refuse(at, "FROM must name one contract", detail, "join in the query over the view")
    return tokens[0], rest[0].text if rest else tokens[0].text


def closing(tokens: list[Token], at: int) -> int:
    """The index of the bracket that closes the one at `at`, or 0."""
    depth = 0
    for index in range(at, len(tokens)):
        depth += (tokens[index].token_type in OPEN) - (tokens[index].token_type in CLOSE)
        if depth == 0:
            return index
    return 0
