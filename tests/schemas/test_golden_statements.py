"""What each entry of the algebra's table says to the kernel: a change of it is seen, and read, before it is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from algebra_laws import Case
from test_golden_lake import CASES

from seamline.schemas.algebra import ALGEBRA
from seamline.schemas.algebra.forms import fill

EVENT = {"x": "x", "y": "y", "z": "z", "filter": " FILTER (WHERE f)", "where": "f", "at": "at"}


def statements(case: Case) -> Iterator[str]:
    """Its partial columns as they are made and merged, its answer, and what that promises."""
    form = case.form
    columns = {part.suffix: f"c{part.suffix and '__'}{part.suffix}" for part in form.parts}
    yield f"-- {case}: {form.sql_type}, {form.exactness}{form.bound and ': '}{form.bound}"
    for part in form.parts:
        yield f"-- {columns[part.suffix]} {part.stored}"
        yield f"partial  {fill(part.partial, EVENT)}"
        yield f"merge    {fill(part.merge, {'c': columns[part.suffix]})}"
    yield f"finalise {fill(form.finalise, {**columns, 'column': 'answer'})}"
    if form.check:
        yield f"check    {fill(form.check, {**columns, 'column': 'answer'})}"
    if form.own:
        yield f"own      {fill(form.own, {**EVENT, 'order': 'at'})}"


@pytest.mark.parametrize("name", ALGEBRA)
def test_an_entrys_statements_are_golden(name: str, golden: Callable[[str, str], None]) -> None:
    lines = [line for case in CASES if case.name == name for line in (*statements(case), "")]
    assert lines
    golden(f"algebra/{name.replace(' ', '_')}.sql", "\n".join(lines))
