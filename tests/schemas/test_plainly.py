"""The evaluators in plain Python: every entry of the algebra has one, and they share nothing with it."""

from __future__ import annotations

import ast

from places import ROOT

from seamline.schemas.algebra import ALGEBRA
from seamline.schemas.plainly import PLAINLY


def test_every_entry_has_an_evaluator_that_shares_nothing_with_it() -> None:
    assert PLAINLY.keys() == ALGEBRA.keys()
    for file in ROOT.glob("schemas/plainly/*.py"):
        named = [n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Import | ast.ImportFrom)]
        imported = {n.module if isinstance(n, ast.ImportFrom) else n.names[0].name for n in named}
        own = {name for name in imported if name and name.startswith("seamline")}
        assert all(name.startswith("seamline.schemas.plainly") for name in own), own
        assert "duckdb" not in imported
