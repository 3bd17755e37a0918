"""Which raw rows belong to a unit, below a cut: conditions in SQL. Pure text."""

from __future__ import annotations

from seamline.kernel import literal, quote
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.judged import FILED, below
from seamline.units import Unit


def own(contract: Contract) -> str:
    """The condition that a raw row stands as it is filed: by the decoding that judges it, or by one whose place that
    has taken."""
    mine = f"_contract_version IN ({', '.join(map(literal, (contract.decoding, *contract.earlier)))})"
    before = contract.before
    return f"CASE WHEN {below(before, FILED)} THEN {own(before.contract)} ELSE {mine} END" if before else mine


def another(contract: Contract) -> str:
    """The condition, never NULL, that it does not."""
    if contract.before:
        return f"({own(contract)}) IS NOT TRUE"
    decodings = (contract.decoding, *contract.earlier)
    return " AND ".join(f"_contract_version IS DISTINCT FROM {literal(decoding)}" for decoding in decodings)


def of_hour(unit: Unit, contract: Contract) -> str:
    """The condition that a raw row of an hour's date may belong to it. What another decoding has written is decoded
    again before anyone knows; rejected records have no event time, and belong to the first hour."""
    may = [inside(unit, contract.event_time), another(contract)]
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
