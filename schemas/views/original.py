"""The user's own SELECT in pieces, so that it can be run over other tables than its contracts' names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from seamline.kernel import quote
from seamline.schemas.contracts.contract import Contract, event_schema
from seamline.schemas.views.clauses import Clauses
from seamline.schemas.views.definition import Original
from seamline.schemas.views.event_columns import POSITION, empty_events, hidden_columns
from seamline.schemas.views.source import Source
from seamline.schemas.views.unions import Branch
from seamline.sql import Token


@dataclass(frozen=True)
class Edit:
    """A change of the user's text."""

    start: int
    """The first character that goes."""

    end: int
    """The first after it that stays."""

    sql: str
    """Stands in their place."""

    contract: str = ""
    """Where it is one, its table follows."""


def original_select(source: Source, tokens: list[Token], edits: Iterable[Edit]) -> Original:
    """The SELECT as written but for the `edits`. Those at one place are made in the order in which they are given."""
    pieces: list[tuple[str, str]] = []
    text, at = "", tokens[0].start
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        text += source.text[at : edit.start] + edit.sql
        at = edit.end
        if edit.contract:
            pieces.append((text, edit.contract))
            text = ""
    return Original(tuple(pieces), text + source.text[at : tokens[-1].end + 1])


def over_none(original: Original, contracts: Iterable[Contract]) -> str:
    """The same over tables of no rows."""
    return original.over({contract.name: f"({empty_events(event_schema(contract))})" for contract in contracts})


def table_edits(clauses: Clauses, contract: str) -> list[Edit]:
    """A contract's name after FROM: its table, which goes by that name where it has no other."""
    table = clauses.table
    named = "" if clauses.named else f" AS {quote(table.text)}"
    return [Edit(table.start, table.end + 1, "", contract), Edit(table.end + 1, table.end + 1, named)]


def union_edits(branches: Sequence[Branch], contracts: Iterable[Contract], *, ordered: bool) -> list[Edit]:
    """A union's contracts. `ordered`: the rest of the SELECT asks for events in order of time and position, which each
    branch then has to give (one with a star gives the position already)."""
    by_name = {contract.name.lower(): contract for contract in contracts}
    edits: list[Edit] = []
    for branch in branches:
        contract = by_name[branch.clauses.table.text.lower()]
        edits += table_edits(branch.clauses, contract.name)
        if ordered:
            hidden = [f"{sql} AS {name}" for name, sql in hidden_columns(contract).items()]
            hidden += [] if branch.star else POSITION
            if branch.columns is None:
                edits.append(Edit(branch.first.start, branch.first.start, f"SELECT *, {', '.join(hidden)} "))
            else:
                edits.append(Edit(branch.first.end + 1, branch.first.end + 1, f" {', '.join(hidden)},"))
    return edits
