"""The events of a batch version straight from raw, each once, for a view's own SELECT in one pass. Pure text.

The inputs are `raw` (raw files of the event dates that are looked at) and `others` (files of other dates that hold
rejected records: a mended contract accepts some, under their own dates).
"""

from __future__ import annotations

from collections.abc import Container, Sequence

from seamline.frontier import Frontier
from seamline.jobs.asked import DateRange
from seamline.jobs.conditions import another, own, records
from seamline.jobs.copies import POSITION
from seamline.kernel import quote
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.contracts.judged import judged_statement, within


def another_statement(contract: Contract, cut: Frontier, imports: tuple[str, ...], inputs: Container[str]) -> str:
    """How many rows below a cut some other decoding has filed; `inputs`: those of the two that there are."""
    return f"SELECT count(*) AS n FROM (\n{_foreign(contract, cut, imports, inputs)}\n)"


def straight_statement(
    contract: Contract, fields: Sequence[str], cut: Frontier, imports: tuple[str, ...], dates: DateRange,
    inputs: Container[str], *, again: bool,
) -> str:  # fmt: skip
    """Positions and fields of every event below a cut, of its copies the one of the lowest position.

    `again`: some rows are filed by another decoding, and are decoded again from their bytes."""
    columns = ", ".join([POSITION, *map(quote, fields)])
    ctes, branches = list[str](), list[str]()
    if "raw" in inputs:
        branches.append(
            f"SELECT {columns} FROM raw WHERE ({within(cut, imports)}) AND {own(contract)} AND _reject IS NULL"
        )
    if again:
        ctes = [f"foreign_rows AS (\n{_foreign(contract, cut, imports, inputs)}\n)", records("foreign_rows", "true")]
        ends = [(">=", dates.first), ("<=", dates.last)]
        inside = [f" AND _event_date {sign} DATE '{day.isoformat()}'" for sign, day in ends if day]
        judged = f"SELECT {columns} FROM (\n{judged_statement(contract)}\n) WHERE _reject IS NULL"
        branches.append(judged + "".join(inside))
    rows = "\nUNION ALL\n".join(branches)
    if again:  # a record that was filed again stands twice
        rows = f"SELECT * FROM (\n{rows}\n) QUALIFY row_number() OVER (PARTITION BY {POSITION}) = 1"
    if contract.event_id:
        id_, time = quote(contract.event_id), quote(contract.event_time)
        first = f"row_number() OVER (PARTITION BY {id_}, {time} ORDER BY {POSITION}) = 1"
        rows = f"SELECT * FROM (\n{rows}\n) QUALIFY {id_} IS NULL OR {first}"
    return (f"WITH {', '.join(ctes)}\n" if ctes else "") + rows


def _foreign(contract: Contract, cut: Frontier, imports: tuple[str, ...], inputs: Container[str]) -> str:
    columns = "_source, _partition, _offset, _timestamp, _key, _value"
    below = f"({within(cut, imports)}) AND {another(contract)}"
    found = {"raw": below, "others": f"{below} AND _reject IS NOT NULL"}
    return "\nUNION ALL\n".join(f"SELECT {columns} FROM {n} WHERE {where}" for n, where in found.items() if n in inputs)
