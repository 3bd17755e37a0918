"""What moved between two snapshots of a view: the partial rows that came, and the keys whose values may differ.

A value follows from the set of partial rows of its key. Between two snapshots over one base these are the rows of the
epochs between them: all other keys have the same rows as before, so the same values to the bit. Only where a value
depends on the tree in which rows were merged (variances, digests), keys whose rows were put together anew count too.
Over another base any row may be another one: its values are those of before unless something was wrong, forgotten,
mended or imported, but nothing here proves it.
"""

from __future__ import annotations

import pyarrow as pa

from seamline.schemas.views.definition import Definition
from seamline.serving.groups import FinishedRows
from seamline.serving.serving import Serving
from seamline.serving.snapshot import ServedView


def touched(serving: Serving, before: ServedView, after: ServedView) -> pa.Table | None:
    """The keys (each once, with the definition's names and types) of groups whose rows may differ between two snapshots
    of one view; None where any may. Costs the rows of the epochs between them."""
    rows = moved(serving, before, after)
    return None if rows is None else FinishedRows(serving.pool, serving.engine, after).keys(rows)


def moved(serving: Serving, before: ServedView, after: ServedView) -> pa.Table | None:
    """The partial rows that came between two snapshots of one view; where `regroups` does not hold, those of all runs
    that were merged anew. None where one does not go on from the other."""
    if not goes_on(before, after):
        return None
    if regroups(after.definition):
        return serving.rows_since(after, before.chain.reached)
    known = {id(run) for run in before.runs}
    tables = [run.table for run in after.runs if id(run) not in known and run.table.num_rows]
    return pa.concat_tables(tables) if tables else serving.rows_since(after, after.chain.reached)


def goes_on(before: ServedView, after: ServedView) -> bool:
    """Whether all that the former is made of is in the latter."""
    same = before.definition.hash == after.definition.hash and before.definition.text == after.definition.text
    base = before.base == after.base and before.where == after.where
    return same and base and before.chain.reached <= after.chain.reached


def regroups(definition: Definition) -> bool:
    """Whether a view's values are the same to the bit in whatever tree their partial rows are merged.

    The audit says so: it compares the value itself of such a column, and not within a bound; of a sketch whose value
    may differ, a part that may not."""
    values = [one for one in definition.compared if one.sql_type]
    told = {one.uses for one in values}
    return all(one.exactness != "approximate (float)" for one in values) and all(
        one.uses in told for one in definition.compared
    )
