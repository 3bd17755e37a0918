"""Which raw rows belong to a unit, below a cut: conditions in SQL. Pure text."""

from __future__ import annotations

from collections.abc import Iterable

from seamline.frontier import Frontier
from seamline.kernel import literal, quote
from seamline.schemas.contracts.contract import Contract
from seamline.units import Unit


def decodings(contract: Contract) -> tuple[str, ...]:
    """Whose rows stand as they are: its own decoding's, and those of the decodings whose place it has taken."""
    return (contract.decoding, *contract.earlier)


def by(decodings: Iterable[str]) -> str:
    """The condition that a raw row stands as one of these decodings has filed it."""
    return f"_contract_version IN ({', '.join(map(literal, decodings))})"


def by_another(decodings: Iterable[str]) -> str:
    """The condition, never NULL, that none of these decodings has filed a raw row."""
    return " AND ".join(f"_contract_version IS DISTINCT FROM {literal(decoding)}" for decoding in decodings)


def of_hour(unit: Unit, contract: Contract) -> str:
    """The condition that a raw row of an hour's date may belong to it. What another decoding has written is decoded
    again before anyone knows; rejected records have no event time, and belong to the first hour."""
    may = [inside(unit, contract.event_time), by_another(decodings(contract))]
    return " OR ".join([*may, *(["_reject IS NOT NULL"] if unit.first else [])])


def inside(unit: Unit, event_time: str) -> str:
    """The condition that an event lies in a unit."""
    begin, end = (f"TIMESTAMPTZ '{at.isoformat(sep=' ')}'" for at in unit.span)
    return f"({quote(event_time)} >= {begin} AND {quote(event_time)} < {end})"


def records(table: str, where: str) -> str:
    """Raw rows as the decoding statement reads them, as the CTE `records`."""
    return (
        'records AS (\n  SELECT _source AS source, _partition AS "partition", _offset AS "offset",'
        f' _timestamp AS "timestamp", _key AS key, _value AS value\n  FROM {table} WHERE {where}\n)'
    )


def within(cut: Frontier, imports: tuple[str, ...]) -> str:
    """The condition that a row lies below a cut or in one of the imports."""
    ends = [(p.source, p.number, offset) for p, offset in cut.items() if offset]
    by_source: dict[str, list[str]] = {}
    for source, partition, offset in ends:
        by_source.setdefault(source, []).append(f"WHEN {partition} THEN {offset}")
    tests = [
        f"_source = {literal(source)} AND _offset < CASE _partition {' '.join(whens)} ELSE 0 END"
        for source, whens in by_source.items()
    ]
    if imports:
        tests.append(f"_source IN ({', '.join(literal(i) for i in imports)})")
    return " OR ".join(f"({test})" for test in tests) or "false"
