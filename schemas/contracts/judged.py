"""A contract that judges records from a position on, and what judges those below: one decoding statement of both.

Which of the two it is follows from a record's position alone, so that every layer judges alike, today and in a rebuild.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from seamline.frontier import Frontier
from seamline.kernel import literal, quote
from seamline.schemas.contracts.contract import Before, Contract
from seamline.schemas.contracts.decode import METADATA, decode_statement

PLACED = ("source", '"partition"', '"offset"')
"""How the table `records` calls what a position is made of."""

FILED = ("_source", "_partition", "_offset")
"""How raw tables call it."""


def settled(contract: Contract, taken: Mapping[str, Frontier]) -> Contract:
    """With the positions of the handovers that were taken."""
    before = contract.before
    if before is None:
        return contract
    until = taken.get(before.handover) if before.until is None else before.until
    return replace(contract, before=replace(before, until=until, contract=settled(before.contract, taken)))


def in_force(contract: Contract) -> Contract:
    """What judges the records that come now: the contract, or the one before it where the handover is not taken yet."""
    before = contract.before
    return in_force(before.contract) if before is not None and before.until is None else contract


def lineage(contract: Contract) -> tuple[str, ...]:
    """Its decoding and those it has taken the place of, for whichever records, newest first."""
    before = lineage(contract.before.contract) if contract.before else ()
    return (contract.decoding, *reversed(contract.earlier), *before)


def judged_statement(contract: Contract) -> str:
    """`decode_statement` of each record by what judges it. Columns that are another type in what was before are NULL
    there: no definition reads them that goes by both."""
    before = contract.before
    if before is None:
        return decode_statement(contract)
    older = {field.name: field.sql_type for field in before.contract.fields}
    columns = [
        quote(f.name) if older.get(f.name) == f.sql_type else f"NULL::{f.sql_type} AS {quote(f.name)}"
        for f in contract.fields
    ]
    names = ", ".join([*METADATA, *(quote(f.name) for f in contract.fields)])
    lower = below(before, PLACED)
    return (
        f"WITH _lower AS (SELECT * FROM records WHERE {lower}),\n"
        f"_upper AS (SELECT * FROM records WHERE NOT ({lower}))\n"
        f"SELECT {', '.join([*METADATA, *columns])} FROM (\n{_over('_lower', judged_statement(before.contract))}\n)\n"
        f"UNION ALL\nSELECT {names} FROM (\n{_over('_upper', decode_statement(contract))}\n)"
    )


def _over(table: str, statement: str) -> str:
    return f"WITH records AS (FROM {table}) SELECT * FROM (\n{statement}\n)"


def below(before: Before, names: tuple[str, str, str]) -> str:
    """The condition, never NULL, that a record is judged by what was before."""
    every = f"NOT starts_with({names[0]}, 'import:')"
    topics = every if before.until is None else within(before.until, (), names)
    imports = f" OR {names[0]} IN ({', '.join(map(literal, before.imports))})" if before.imports else ""
    return f"({topics}{imports})"


def within(cut: Frontier, imports: tuple[str, ...], names: tuple[str, str, str] = FILED) -> str:
    """The condition that a row lies below a cut or in one of the imports."""
    source_, partition_, offset_ = names
    ends = [(p.source, p.number, offset) for p, offset in cut.items() if offset]
    by_source: dict[str, list[str]] = {}
    for source, partition, offset in ends:
        by_source.setdefault(source, []).append(f"WHEN {partition} THEN {offset}")
    tests = [
        f"{source_} = {literal(source)} AND {offset_} < CASE {partition_} {' '.join(whens)} ELSE 0 END"
        for source, whens in by_source.items()
    ]
    if imports:
        tests.append(f"{source_} IN ({', '.join(literal(i) for i in imports)})")
    return " OR ".join(f"({test})" for test in tests) or "false"
