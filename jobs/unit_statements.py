"""Which rows a unit's statements read: of raw below a cut, or, to compare with what was served, as that was counted."""

from __future__ import annotations

from dataclasses import dataclass

from seamline.frontier import START, Frontier
from seamline.jobs.conditions import another, of_hour, own, records
from seamline.jobs.holding import Whole
from seamline.jobs.statements import Statements
from seamline.kernel import literal
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.decode import DATE_GONE
from seamline.schemas.contracts.judged import judged_statement, within
from seamline.schemas.views.alike import fields_read, named_fields
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.properties import sort_keys
from seamline.units import Unit


@dataclass(frozen=True)
class Served:
    """What the speed layer and an older version counted together: up to `cut` (and `imports`) every copy of an event
    was seen at once; above it, speed counted again what was no copy of anything it remembered."""

    cut: Frontier
    imports: tuple[str, ...] = ()

    version: bool = False
    """Whether there is an older version."""

    known: bool = False
    """Whether it read files of this unit (the input `known`)."""

    foreign: Frontier = START
    """Up to where another decoding's ids were remembered in place of this one's."""


def unit_statements(
    definition: Definition,
    contract: Contract,
    unit: Unit,
    cut: Frontier,
    imports: tuple[str, ...],
    *,
    mended: bool = False,
    served: Served | None = None,
) -> Statements:
    """The statements of one unit below `cut` with whole `imports`; with `served`, of what was served at that cut."""
    below = f"SELECT * FROM raw WHERE {within(cut, imports)}"
    mended_rows, at_once, foreign = f"SELECT * FROM mended WHERE {within(cut, imports)}" if mended else "", "", ""
    if served is not None:
        at_once = within(served.cut, served.imports)
        topics = within(cut, served.imports)
        below = f"SELECT * FROM raw WHERE ({topics})" + (f" AND NOT ({at_once})" if served.version else "")
        if served.known:
            below = f"SELECT * FROM known WHERE {at_once}\n  UNION ALL BY NAME\n  {below}"
        mended_rows = f"SELECT * FROM mended WHERE {topics}" if mended else ""
        foreign = within(served.foreign, ()) if mended and served.foreign != START else ""
    if unit.hour is not None:
        below = f"SELECT * FROM (\n  {below}\n  ) WHERE {of_hour(unit, contract)}"
    simple = served is None and not mended and unit.hour is None
    fields, partial = tuple(f.name for f in fields_read(definition, contract)), definition.partials[contract.name]
    return Statements(
        below=below,
        own=own(contract),
        another=another(contract),
        unit=unit,
        fields=fields,
        used=named_fields(contract, [partial]),
        event_id=contract.event_id,
        event_time=contract.event_time,
        partial=partial,
        by_unit=definition.by_unit[contract.name],
        decode_text=judged_statement(contract),
        again_below=at_once,
        mended=mended_rows,
        order=sort_keys(definition.properties, tuple(key.name for key in definition.keys)),
        served=served is not None,
        foreign=foreign,
        merging=definition.merging,
        rows=definition.rows[contract.name],
        whole=Whole.of(contract, cut, imports) if simple else None,
    )


def late_statement(contract: Contract, since: Frontier, cut: Frontier) -> str:
    """Records in `raw` from one cut to another that the contract accepts and the archive rejected, since raw of their
    event dates was gone."""
    where = f"_reject = {literal(DATE_GONE)} AND ({within(cut, ())}) AND NOT ({within(since, ())})"
    return (
        f"WITH {records('raw', where)}\n"
        f"SELECT * EXCLUDE (_key, _value) FROM (\n{judged_statement(contract)}\n) WHERE _reject IS NULL"
    )


def mended_statement(contract: Contract, cut: Frontier, imports: tuple[str, ...]) -> str:
    """Records in `raw` that another decoding rejected and this one accepts, with their own event dates."""
    where = f"_reject IS NOT NULL AND {another(contract)}"
    source = records("raw", f"{where} AND ({within(cut, imports)})")
    return (
        f"WITH {source}\nSELECT * EXCLUDE (_key, _value) FROM (\n{judged_statement(contract)}\n) WHERE _reject IS NULL"
    )
