"""Several contracts in one view: `FROM (SELECT … FROM a UNION ALL BY NAME SELECT … FROM b) AS e`, aggregated once.

Here as it is written: what follows the union, keys and aggregates, is read as over one contract.
"""

from __future__ import annotations

from dataclasses import dataclass

from seamline.errors import UserError
from seamline.schemas.views.clauses import Clauses, begins, closing, read_parts, top_level
from seamline.schemas.views.source import Source, word
from seamline.sql import Token

TABLE = "_union"
"""What a union is called where its user gave it no name."""

ALLOWED_UNION = "FROM (SELECT … FROM a [WHERE …] UNION ALL BY NAME SELECT … FROM b [WHERE …]) AS e"
ALLOWED_BRANCH = "SELECT * or expressions AS names FROM one contract [WHERE …]"


@dataclass(frozen=True)
class Branch:
    """One branch as written."""

    clauses: Clauses
    first: Token

    columns: list[list[Token]] | None
    """None: it begins with FROM, and gives every field."""

    star: bool
    """It gives every field, too."""


def read_union(source: Source, tokens: list[Token]) -> tuple[list[Token], tuple[Branch, ...]]:
    """A SELECT's tokens, those of a union after FROM as one, and the union's branches: none where FROM names one
    contract. Raises VIEW_INVALID."""
    at = next((at for at, name in top_level(tokens) if name == "from" and begins(tokens, at)), len(tokens))
    if at + 2 >= len(tokens) or tokens[at + 1].sign != "(":
        return tokens, ()
    end = closing(tokens, at + 1)
    inside = tokens[at + 2 : end]
    if not end or not any(name == "union" for _, name in top_level(inside)):
        return tokens, ()
    branches = tuple(_branch(source, part) for part in _split(source, inside, tokens[at + 1].start))
    seen: set[str] = set()
    for branch in branches:
        table = branch.clauses.table
        if table.text.lower() in seen:
            hint = "read it in one branch: CASE WHEN … THEN … END AS name tells its events apart"
            raise source.refuse(table.start, f"contract {table.text!r} twice", "each contract once", hint)
        seen.add(table.text.lower())
    whole = Token("word", TABLE, tokens[at + 1].start, tokens[end].end)
    return [*tokens[: at + 1], whole, *tokens[end + 1 :]], branches


def _split(source: Source, inside: list[Token], start: int) -> list[list[Token]]:
    """The tokens of each branch. Raises VIEW_INVALID for any set operation but UNION ALL BY NAME."""
    parts: list[list[Token]] = [[]]
    at = 0
    edges = {at for at, name in top_level(inside) if name in ("union", "intersect", "except")}
    while at < len(inside):
        if at not in edges:
            parts[-1].append(inside[at])
            at += 1
            continue
        if [word(token) for token in inside[at : at + 4]] != ["union", "all", "by", "name"]:
            raise _refuse_operation(source, inside[at:])
        parts.append([])
        at += 4
    if not all(parts):
        raise source.refuse(start, "a union with an empty branch", ALLOWED_UNION, "write a SELECT on each side")
    return parts


def _refuse_operation(source: Source, tokens: list[Token]) -> UserError:
    said = [word(token) for token in tokens[:4]]
    operation = "UNION ALL" if said[:2] == ["union", "all"] else said[0].upper()
    if operation == "UNION":
        hint = "write UNION ALL BY NAME: UNION counts events that look alike once"
    elif operation == "UNION ALL":
        hint = "write UNION ALL BY NAME: columns are put together by their names, not by their order"
    else:
        hint = "write UNION ALL BY NAME, and leave events out by WHERE"
    message = f"{operation} BY NAME" if said[1:3] == ["by", "name"] else f"{operation} without BY NAME"
    return source.refuse(tokens[0].start, message, ALLOWED_UNION, hint)


def _branch(source: Source, tokens: list[Token]) -> Branch:
    if tokens[0].sign == "(":
        hint = "write the branches one after the other, without parentheses of their own"
        raise source.refuse(tokens[0].start, "a branch in parentheses", ALLOWED_UNION, hint)
    clauses = read_parts(source, tokens, ALLOWED_BRANCH)
    if clauses.grouped or clauses.having:
        at = next(token for token in tokens if word(token) in ("group", "having"))
        hint = "group once, after the union: the same key would come from several branches"
        clause = "GROUP BY" if word(at) == "group" else "HAVING"
        raise source.refuse(at.start, f"{clause} in a branch of a union", ALLOWED_BRANCH, hint)
    if word(tokens[0]) == "from":
        return Branch(clauses, tokens[0], None, star=True)
    columns = [item for item in clauses.items if [t.sign for t in item] != ["*"]]
    star = len(columns) < len(clauses.items)
    for item in columns:
        if not item:
            raise source.refuse(tokens[0].start, "an empty place in the select list", ALLOWED_BRANCH, "remove a comma")
        if "*" in (item[0].sign, item[-1].sign):
            raise source.refuse(item[0].start, "* with something about it", ALLOWED_BRANCH, "name the columns")
    return Branch(clauses, tokens[0], columns, star)
