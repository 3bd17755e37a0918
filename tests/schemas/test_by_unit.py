"""Partial rows of several units made by one statement: of each unit, those that its events alone make."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_unions import CONTRACTS, EVENTS, VIEWS, compiled, events

from seamline.kernel import kernel
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.project_views import compile_for
from seamline.schemas.views.text import parse_views

DERIVED = """CREATE MATERIALIZED VIEW v AS
SELECT time_bucket(INTERVAL '1 hour', liked_at) AS hour, user_id, count(*) AS n, sum(weight) AS weight
FROM likes WHERE weight <> 3 GROUP BY ALL;
CREATE MATERIALIZED VIEW days AS
SELECT time_bucket(INTERVAL '1 day', hour) AS day, MEASURE(n) AS n, MEASURE(weight) AS weight
FROM v WHERE user_id IS NOT NULL GROUP BY ALL"""
OVER_ONE = """SELECT time_bucket(INTERVAL '1 day', liked_at) AS day, unnest(tags) AS tag, count(*) AS n,
first(user_id) AS earliest, count(DISTINCT post) AS posts FROM likes WHERE weight <> 3 GROUP BY ALL"""


def derived() -> Definition:
    views = {view.name: view for view in parse_views(DERIVED, "views/v.sql")}
    return compile_for(views["days"], CONTRACTS, views)[0]


DEFINITIONS = {name: compiled(text) for name, text in VIEWS.items()}
DEFINITIONS |= {"elements of one contract": compiled(OVER_ONE), "a view over a view": derived()}
QUICK = ("three contracts", "an element", "elements", "a view over")


def rows(table: pa.Table) -> tuple[list[str], list[str]]:
    return [f"{field.name} {field.type}" for field in table.schema], sorted(map(str, table.to_pylist()))


@pytest.mark.parametrize(
    "definition",
    [
        pytest.param(one, id=name, marks=[] if name.startswith(QUICK) else pytest.mark.thorough)
        for name, one in DEFINITIONS.items()
    ],
)
@given(EVENTS, st.lists(st.integers(0, 2), min_size=30, max_size=30))
def test_partial_rows_of_several_units_are_those_of_each(
    definition: Definition, found: dict[str, list[dict[str, Any]]], units: list[int]
) -> None:
    for name, statement in definition.by_unit.items():
        contract: Contract = CONTRACTS[name]
        lying = events(contract, found[name])
        of = pa.array(units[: lying.num_rows], pa.int32())
        made = kernel().run(statement, {"events": lying.append_column("_unit", of)})
        for unit in range(3):
            own = kernel().run(definition.partials[name], {"events": lying.filter(pa.compute.equal(of, unit))})
            mine = kernel().run(f"SELECT * EXCLUDE (_unit) FROM made WHERE _unit = {unit}", {"made": made})
            assert rows(mine) == rows(own)
