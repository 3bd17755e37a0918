"""Several contracts in one view: `FROM (SELECT … FROM a UNION ALL BY NAME SELECT … FROM b) AS e`, aggregated once.

Each branch makes one contract's events into rows of the union's columns, with try semantics, and carries their event
time, id and position along. What follows, keys and aggregates, then reads the union as it would read one contract.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlglot import Token, TokenType

from seamline.errors import UserError
from seamline.kernel import quote
from seamline.schemas.contracts.contract import Contract, event_schema
from seamline.schemas.views.binding import Binder, empty_events, types_of
from seamline.schemas.views.buckets import check_times
from seamline.schemas.views.calls import condition, is_bare
from seamline.schemas.views.clauses import Clauses, begins, closing, read_parts, top_level
from seamline.schemas.views.language import Source, WrittenField, word
from seamline.schemas.views.order import POSITION, UNORDERED
from seamline.schemas.views.selection import alias_of, find_fields

TIME = "_event_time"
"""The union's hidden columns: each event's own time, by its contract,"""
ID = "_event_id"
"""and its id as text, NULL where it has none."""
HIDDEN = {TIME: "TIMESTAMP WITH TIME ZONE", ID: "VARCHAR"}

TABLE = "_union"
"""What a union is called where its user gave it no name."""

ALLOWED_UNION = "FROM (SELECT … FROM a [WHERE …] UNION ALL BY NAME SELECT … FROM b [WHERE …]) AS e"
ALLOWED_BRANCH = "SELECT * or expressions AS names FROM one contract [WHERE …]"


@dataclass(frozen=True)
class Branch:
    """One branch as written. `columns` None: it begins with FROM, and gives every field; `star`: every field too."""

    clauses: Clauses
    first: Token
    columns: list[list[Token]] | None
    star: bool


@dataclass(frozen=True)
class BranchColumn:
    """A column that a branch gives: its SQL over `events`, its type, and its first character."""

    sql: str
    sql_type: str
    bare: bool
    offset: int


@dataclass(frozen=True)
class BoundBranch:
    """One branch, bound over its contract. `columns` by name; `said`: the branch, normalised."""

    branch: Branch
    contract: Contract
    columns: Mapping[str, BranchColumn]
    where: str
    said: str


@dataclass(frozen=True)
class Union:
    """A view's contracts as one table: its columns' types by name, and what each contract gives to them."""

    fields: Mapping[str, str]
    parts: tuple[BoundBranch, ...]

    @property
    def said(self) -> str:
        """The same for any order of the branches."""
        return "(" + " union all by name ".join(sorted(part.said for part in self.parts)) + ")"

    def over(self, part: BoundBranch, statement: str) -> str:
        """A SELECT from one contract's `events`: the columns that a statement names, of the union and of positions."""
        given = {name.lower(): column for name, column in part.columns.items()}
        hidden = {
            name: sql for name, sql in hidden_columns(part.contract, "events.").items() if _names(statement, name)
        }
        lines = [name for name in POSITION if f"events.{name}" in statement]
        lines += [f"{sql} AS {name}" for name, sql in hidden.items()]
        for name, kind in self.fields.items():
            if _names(statement, name):
                lines.append(f"{_as(given.get(name.lower()), kind)} AS {quote(name)}")
        where = f"\n  WHERE TRY({part.where})" if part.where else ""
        return "SELECT " + (",\n    ".join(lines) or "1 AS _one") + f"\n  FROM events{where}"


def hidden_columns(contract: Contract, table: str = "") -> dict[str, str]:
    """What a contract's events give to the hidden columns; `table`: a qualifier with its dot, or ''."""
    id_ = f"{table}{quote(contract.event_id)}" if contract.event_id else "NULL"
    return {TIME: f"{table}{quote(contract.event_time)}", ID: f"{id_}::VARCHAR"}


def _names(statement: str, column: str) -> bool:
    return f"events.{quote(column)}" in statement


def _as(column: BranchColumn | None, kind: str) -> str:
    """A branch's column with the union's type; NULL where the branch has none."""
    if column is None:
        return f"NULL::{kind}"
    sql = column.sql if column.bare else f"TRY({column.sql})"
    return sql if column.sql_type == kind else f"TRY_CAST({sql} AS {kind})"


# --- as written ------------------------------------------------------------------------------------------


def read_union(source: Source, tokens: list[Token]) -> tuple[list[Token], tuple[Branch, ...]]:
    """A SELECT's tokens, those of a union after FROM as one, and the union's branches: none where FROM names one
    contract. Raises VIEW_INVALID."""
    at = next((at for at, name in top_level(tokens) if name == "from" and begins(tokens, at)), len(tokens))
    if at + 2 >= len(tokens) or tokens[at + 1].token_type != TokenType.L_PAREN:
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
            mend = "read it in one branch: CASE WHEN … THEN … END AS name tells its events apart"
            raise source.refuse(table.start, f"contract {table.text!r} twice", "each contract once", mend)
        seen.add(table.text.lower())
    first = tokens[at + 1]
    whole = Token(TokenType.VAR, TABLE, first.line, first.col, first.start, tokens[end].end)
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
        mend = "write UNION ALL BY NAME: UNION counts events that look alike once"
    elif operation == "UNION ALL":
        mend = "write UNION ALL BY NAME: columns are put together by their names, not by their order"
    else:
        mend = "write UNION ALL BY NAME, and leave events out by WHERE"
    got = f"{operation} BY NAME" if said[1:3] == ["by", "name"] else f"{operation} without BY NAME"
    return source.refuse(tokens[0].start, got, ALLOWED_UNION, mend)


def _branch(source: Source, tokens: list[Token]) -> Branch:
    if tokens[0].token_type == TokenType.L_PAREN:
        mend = "write the branches one after the other, without parentheses of their own"
        raise source.refuse(tokens[0].start, "a branch in parentheses", ALLOWED_UNION, mend)
    clauses = read_parts(source, tokens, ALLOWED_BRANCH)
    if clauses.grouped or clauses.having:
        at = next(token for token in tokens if word(token) in ("group by", "having"))
        mend = "group once, after the union: the same key would come from several branches"
        raise source.refuse(at.start, f"{word(at).upper()} in a branch of a union", ALLOWED_BRANCH, mend)
    if word(tokens[0]) == "from":
        return Branch(clauses, tokens[0], None, star=True)
    columns = [item for item in clauses.items if [t.token_type for t in item] != [TokenType.STAR]]
    star = len(columns) < len(clauses.items)
    for item in columns:
        if not item:
            raise source.refuse(tokens[0].start, "an empty place in the select list", ALLOWED_BRANCH, "remove a comma")
        if TokenType.STAR in (item[0].token_type, item[-1].token_type):
            raise source.refuse(item[0].start, "* with something about it", ALLOWED_BRANCH, "name the columns")
    return Branch(clauses, tokens[0], columns, star)


# --- bound over its contracts ----------------------------------------------------------------------------


def bind_union(source: Source, branches: Iterable[Branch], contracts: Mapping[str, Contract], own: str) -> Union:
    """The union over its contracts (by name in lower case). `own`: the user's own text of it, over no rows, from which
    DuckDB tells the columns' types. Raises VIEW_INVALID."""
    parts = tuple(_part(source, branch, contracts[branch.clauses.table.text.lower()]) for branch in branches)
    first = parts[0]
    for part in parts[1:]:
        if part.contract.stream != first.contract.stream:
            got = f"{part.contract.name} is in stream {part.contract.stream!r}"
            got += f", and {first.contract.name} in stream {first.contract.stream!r}"
            mend = "give both contracts one stream, or make a view for each"
            raise source.refuse(part.branch.clauses.table.start, got, "contracts of one stream", mend)
    types = types_of(source, first.branch.first.start, own)
    return Union({name: kind for name, kind in types.items() if name not in POSITION}, parts)


def _part(source: Source, branch: Branch, contract: Contract) -> BoundBranch:
    fields = event_schema(contract)
    clauses = branch.clauses
    found = find_fields(source, clauses, fields)
    binder = Binder(source, f"WITH events AS ({empty_events(fields)})", UNORDERED)
    columns: dict[str, BranchColumn] = {}
    if branch.star:
        at = clauses.table.start
        columns = {name: BranchColumn(f"events.{quote(name)}", kind, True, at) for name, kind in fields.items()}
    given = []
    for item in branch.columns or ():
        name, column = _column(source, item, found, binder)
        if name.lower() in {one.lower() for one in columns}:
            raise source.refuse(column.offset, f"column {name!r} twice", "each name once", "give it another name")
        columns[name] = column
        given.append(f"{column.sql} as {quote(name)}")
    where = ""
    if clauses.where:
        check_times(source, clauses.where)
        where = condition(source, clauses.where, found)
        binder.condition(where, clauses.where[0].start)
    said = ", ".join([*(["*"] if branch.star else []), *given])
    said = f"select {said} from {contract.name}" + (f" where {where}" if where else "")
    return BoundBranch(branch, contract, columns, where, said)


def _column(
    source: Source, item: list[Token], found: dict[int, WrittenField], binder: Binder
) -> tuple[str, BranchColumn]:
    body, name = alias_of(source, item, found)
    at = body[0].start
    if name.startswith("_"):
        got = f"name {name!r} is kept for Seamline"
        raise source.refuse(at, got, "other names", "choose a name without a leading underscore")
    check_times(source, body)
    sql, bare = condition(source, body, found), is_bare(body, found)
    return name, BranchColumn(sql, binder.type_of(sql if bare else f"TRY({sql})", at), bare, at)
