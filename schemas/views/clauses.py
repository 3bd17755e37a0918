"""A view's SELECT split into clauses, and the refusal of every clause that a view cannot have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from seamline.errors import UserError
from seamline.schemas.algebra import ALGEBRA
from seamline.schemas.views.source import CLOSE, OPEN, Source, is_word, word
from seamline.sql import Node, Token, nodes, tree

_READS = "a view reads one contract, or a union of several: join in the query over the view"
_REGROUP = "group so in the query over the view, with MEASURE(column) for each aggregate"
_CLAUSES = {
    "with": ("WITH", "write the expressions out"),
    "distinct": ("DISTINCT", "GROUP BY ALL already gives one row for each key"),
    "join": ("a join", "join in the query over the view"),
    "qualify": ("QUALIFY", "filter in the query over the view"),
    "window": ("WINDOW", "use window functions in the query over the view"),
    "order": ("ORDER BY", "order in the query over the view"),
    "limit": ("LIMIT", "limit in the query over the view"),
    "offset": ("OFFSET", "limit in the query over the view"),
    **dict.fromkeys(("using", "tablesample"), ("a sample", "a view counts every event")),
    **dict.fromkeys(("pivot", "unpivot"), ("PIVOT", "use FILTER (WHERE …) on each aggregate")),
    "rollup": ("ROLLUP", _REGROUP),
    "cube": ("CUBE", _REGROUP),
    "grouping": ("GROUPING SETS", _REGROUP),
}
"""By the word that begins it."""
_FOLLOWS = {"group": "by", "grouping": "sets", "rollup": "(", "cube": "("}
_WITHIN = (
    "leave it out: lists and texts go by event time; max_by(x, y, k) and min_by go by another, and"
    " list_sort(array_agg(x)) by the values"
)
ORDERED = ", ".join(entry.ordered for entry in ALGEBRA.values() if entry.ordered)
"""Every form of WITHIN GROUP."""
_ANYWHERE = {
    "WINDOW": ("a window function", "use window functions in the query over the view"),
    "SUBQUERY": ("a subquery", _READS),
    "LAMBDA": ("a lambda", "use the listed functions"),
}
"""By the class or type of a node of DuckDB's tree."""
SET_OPERATIONS = ("union", "intersect", "except")
_BEGIN = ("from", "where", "group", "having")
ALLOWED_SELECT = "SELECT keys and aggregates FROM one contract [WHERE …] GROUP BY ALL [HAVING …]"


@dataclass(frozen=True)
class Clauses:
    """The tokens of each clause."""

    items: tuple[list[Token], ...]

    table: Token
    """Names the FROM clause's table."""

    named: str
    """The name that stands after it, or ''."""

    where: list[Token]
    group: tuple[list[Token], ...]
    grouped: bool
    having: list[Token]

    columns: tuple[tuple[int, int, list[str]], ...]
    """Each use of a column: its first and last character, and its names."""

    @property
    def alias(self) -> str:
        """What the table goes by."""
        return self.named or self.table.text


def read_clauses(source: Source, tokens: list[Token]) -> Clauses:
    """Splits a SELECT's tokens. Raises VIEW_INVALID for everything that a view cannot have."""
    return read_parts(source, tokens, ALLOWED_SELECT)


def read_parts(source: Source, tokens: list[Token], detail: str) -> Clauses:
    """The same of any SELECT; `detail` says of what form it may be. One that begins with FROM has no items.

    Raises VIEW_INVALID.
    """
    _refuse_clauses(source, tokens, detail)
    select = _parse(source, tokens, detail)
    _refuse_parts(source, tokens, select, detail)
    start = {name: at for at, name in top_level(tokens) if name in _BEGIN and begins(tokens, at)}
    if "from" not in start:
        raise source.refuse(tokens[0].start, "no FROM", detail, "name the contract: FROM my_contract")
    edges = sorted([*start.values(), len(tokens)])
    clause = {name: tokens[at + 1 : min(e for e in edges if e > at)] for name, at in start.items()}
    table, named = _read_table(source, clause["from"], detail)
    group = clause.get("group", [])[1:]
    if group and word(group[0]) == "all" and len(group) == 1:
        group = []
    return Clauses(
        tuple(_with_as(split(tokens[1 : start["from"]]), select)) if start["from"] else (),
        table,
        named,
        clause.get("where", []),
        tuple(_each_once(split(group))) if group else (),
        "group" in start,
        clause.get("having", []),
        tuple(sorted(_columns(tokens, select))),
    )


def _parse(source: Source, tokens: list[Token], detail: str) -> Node:
    """The tree of a SELECT, each `query_location` a character of the source. Raises VIEW_INVALID."""
    text, start = source.text, tokens[0].start
    for token in tokens:
        if token.kind == "word" and token.text != source.slice(token):  # it stands for a union
            text = text[: token.start] + token.text.ljust(token.end + 1 - token.start) + text[token.end + 1 :]
    try:
        parsed = tree(text[start : tokens[-1].end + 1], start)
    except RecursionError as error:
        raise source.refuse(start, "the SELECT is nested too deeply", detail) from error
    if parsed["error"]:
        raise _unparsed(source, tokens, parsed, detail)
    node: Node = parsed["statements"][0]["node"]
    if node["type"] != "SELECT_NODE":
        raise _refuse_operation(source, tokens, detail)
    return node


def _unparsed(source: Source, tokens: list[Token], parsed: Node, detail: str) -> UserError:
    second = next((token for token in tokens[1:] if word(token) == "create"), None)
    if second is not None:
        message, hint = "a second CREATE in one statement", "end the statement before it with ';'"
        return source.refuse(second.start, message, detail, hint)
    place, hint = parsed.get("position"), "check commas and parentheses, and write AS before a name"
    for at, token in enumerate(tokens) if place is None else ():
        if word(token) == "within" and _misplaced(source, tokens, at):
            place, detail = token.start, ORDERED
            hint = "write the arguments between the brackets after the name, or order by one expression"
    return source.refuse(tokens[0].start if place is None else place, parsed["error_message"], detail, hint)


def _misplaced(source: Source, tokens: list[Token], at: int) -> bool:
    """Whether DuckDB refuses a call for its WITHIN GROUP, of which it tells no place."""
    opened = next((one for one in range(at) if tokens[one].sign == "(" and closing(tokens, one) == at - 1), 0)
    call = source.text[tokens[opened - 1].start : tokens[closing(tokens, at + 2)].end + 1]
    error = tree(f"SELECT {call}")
    return bool(error["error"]) and "position" not in error


def _arrow(node: Node) -> bool:
    """Whether an arrow takes a value out of JSON: a lambda's right side uses what its left side names."""
    if node.get("syntax_type") != "SINGLE_ARROW":
        return False
    names = node["lhs"].get("column_names")
    return not any(names == below.get("column_names") for below in nodes(node["expr"]) if names)


def _place(node: Node, default: int) -> int:
    """The first character of a node of which DuckDB tells it, or of what is below it."""
    return next((below["query_location"] for below in nodes(node) if "query_location" in below), default)


def _columns(tokens: list[Token], select: Node) -> Iterator[tuple[int, int, list[str]]]:
    """Each use of a column. In `a.upper()`, DuckDB takes `a` for the function's schema until it binds it."""
    by_start = {token.start: at for at, token in enumerate(tokens)}
    for node in nodes(select):
        names = node.get("column_names") or node.get("qualified_name", {}).get("path", [])[:-1]
        if node.get("class") in ("COLUMN_REF", "FUNCTION") and names:
            first = by_start[node["query_location"]]
            yield tokens[first].start, tokens[first + 2 * len(names) - 2].end, names


def _refuse_operation(source: Source, tokens: list[Token], detail: str) -> UserError:
    """Of SELECTs that are grouped each by itself: where both have a key, it would stand twice."""
    at = next((tokens[at] for at, name in top_level(tokens) if name in SET_OPERATIONS), tokens[0])
    message = f"{at.text.upper()} of grouped SELECTs: a key that several of them have would stand several times"
    hint = (
        "aggregate the union once: SELECT … FROM (SELECT … FROM a UNION ALL BY NAME SELECT … FROM b) AS e GROUP BY ALL"
    )
    return source.refuse(at.start, message, detail, hint)


def _with_as(items: list[list[Token]], select: Node) -> Iterator[list[Token]]:
    """The select list with each AS that was left out: `sum(x) total` is `sum(x) AS total`."""
    for item, node in zip(items, select["select_list"], strict=True):
        if "alias" in node and word(item[-2]) != "as" and item[1].sign != ":":
            yield [*item[:-1], Token("word", "AS", item[-1].start, item[-1].start - 1), item[-1]]
        else:
            yield item


def _refuse_clauses(source: Source, tokens: list[Token], detail: str) -> None:
    anywhere = [(at, "with") for at, token in enumerate(tokens) if word(token) == "with"]  # slow where it is malformed
    for at, name in [*anywhere, *top_level(tokens)]:
        if name in _CLAUSES and begins(tokens, at):
            clause, hint = _CLAUSES[name]
            raise source.refuse(tokens[at].start, f"{clause} is not part of a view", detail, hint)


def _refuse_parts(source: Source, tokens: list[Token], select: Node, detail: str) -> None:
    for kind, (name, hint) in _ANYWHERE.items():
        for found in nodes(select):
            if kind in (found.get("class"), found.get("type")) and not _arrow(found):
                raise source.refuse(_place(found, tokens[0].start), f"{name} is not part of a view", detail, hint)
    words = [word(token) for token in tokens]
    for at, token in enumerate(tokens):
        if words[at : at + 2] == ["order", "by"] and words[at - 3 : at - 1] != ["within", "group"]:
            raise source.refuse(token.start, "ORDER BY within an aggregate is not part of a view", detail, _WITHIN)


def begins(tokens: list[Token], at: int) -> bool:
    """Whether a clause begins at a token: it may be a name after AS or a dot, the FROM of IS [NOT] DISTINCT FROM, or
    the WITH and GROUP of more words."""
    name, before = word(tokens[at]), tokens[at - 1] if at else None
    following = word(tokens[at + 1]) or tokens[at + 1].sign if at + 1 < len(tokens) else ""
    if before and (before.sign == "." or word(before) == "as" or (name == "from" and word(before) == "distinct")):
        return False
    if name in _FOLLOWS:
        return following == _FOLLOWS[name]
    return not (name == "distinct" and at != 1) and not (name == "with" and following == "time")


def top_level(tokens: list[Token]) -> list[tuple[int, str]]:
    """(index, word) of each token outside brackets."""
    depth, found = 0, []
    for at, token in enumerate(tokens):
        depth += (token.sign in OPEN) - (token.sign in CLOSE)
        if depth == 0:
            found.append((at, word(token)))
    return found


def split(tokens: list[Token]) -> list[list[Token]]:
    """The parts between commas outside brackets; a trailing comma is allowed, as in DuckDB."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.sign in OPEN) - (token.sign in CLOSE)
        if depth == 0 and token.sign == ",":
            parts.append([])
        else:
            parts[-1].append(token)
    return parts if parts[-1] or len(parts) == 1 else parts[:-1]


def _each_once(parts: list[list[Token]]) -> Iterator[list[Token]]:
    """The parts without those that stand there already: in GROUP BY, DuckDB's tree has the columns of the first."""
    seen: set[tuple[str, ...]] = set()
    for part in parts:
        said = tuple(token.text.lower() if is_word(token) else token.text for token in part)
        if said not in seen:
            yield part
        seen.add(said)


def _read_table(source: Source, tokens: list[Token], detail: str) -> tuple[Token, str]:
    first, *others = split(tokens)
    rest = [t for t in first[1:] if word(t) != "as"]
    if others or not first or not is_word(first[0]) or len(rest) > 1 or (rest and not is_word(rest[0])):
        at = next((part[0].start for part in (*others, first) if part), 0)
        raise source.refuse(at, "FROM must name one contract", detail, "join in the query over the view")
    return tokens[0], rest[0].text if rest else ""


def closing(tokens: list[Token], at: int) -> int:
    """The index of the bracket that closes the one at `at`, or 0."""
    depth = 0
    for index in range(at, len(tokens)):
        depth += (tokens[index].sign in OPEN) - (tokens[index].sign in CLOSE)
        if depth == 0:
            return index
    return 0
