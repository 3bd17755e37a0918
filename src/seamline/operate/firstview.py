"""A first view over a contract that was drafted, for its owner to change. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from seamline.schemas.contracts.contract import Contract
from seamline.schemas.views.reserved_words import written

MOST_SUMS = 2


def first_view(contract: Contract) -> tuple[str, str]:
    """The name and the text of a view by the hour: how many events, sums of decimals, how many values the key has."""
    name = f"{_plain(contract.name)}_by_hour"
    columns = ",\n".join(f"  {sql} AS {alias}" for alias, sql in _columns(contract))
    text = f"""\
-- A view: one SELECT with GROUP BY over one contract, in plain DuckDB SQL. docs/views.md lists what it may hold.
-- Add keys and aggregates of your own; 'seamline views check' says what each column is and costs.
CREATE MATERIALIZED VIEW {name}
AS SELECT
{columns}
FROM {written(contract.name)}
GROUP BY ALL
"""
    return name, text


def _columns(contract: Contract) -> Iterator[tuple[str, str]]:
    """Each column's name, that is no field's, and its SQL."""
    taken = {one.name.lower() for one in contract.fields}

    def free(alias: str) -> str:
        while alias in taken:
            alias += "_"
        taken.add(alias)
        return alias

    yield free("hour"), f"time_bucket(INTERVAL '1 hour', {written(contract.event_time)})"
    yield free("events"), "count(*)"
    for one in [one for one in contract.fields if one.type == "decimal"][:MOST_SUMS]:
        yield free(f"sum_of_{one.name.lower()}"), f"sum({written(one.name)})"
    if contract.key and contract.key != contract.event_id:
        yield free(f"distinct_{contract.key.lower()}"), f"approx_count_distinct({written(contract.key)})"


def _plain(name: str) -> str:
    """As a view may be named: small letters, digits and single underscores between them."""
    return "_".join(part for part in name.lower().split("_") if part)
