"""Which groups of a view are out of range: what VALUE_OUT_OF_RANGE alone does not say."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import pyarrow as pa

from seamline.kernel import fold, quote
from seamline.schemas.views.definition import Definition
from seamline.serving.json_values import values

NAMED = 3
"""Groups that are named."""


def column_of(message: str) -> str:
    """The column that an error's text names; empty where it names none."""
    found = re.search(r"VALUE_OUT_OF_RANGE: column (.+?):", message)
    return found[1] if found else ""


def rows(column: str) -> Callable[[Definition], str]:
    """What selects the keys of the first groups of a view in which that column is out of range, over `partials` of any
    split. '' where the column has no range."""

    def selected(definition: Definition) -> str:
        checks = [output.check for output in definition.columns if fold(output.name) == fold(column) and output.check]
        if not checks:
            return ""
        keys = ", ".join(f"partials.{quote(key.name)}" for key in definition.keys)
        where = " AND ".join([f"({checks[0]}) IS NOT NULL", *([definition.having] if definition.having else [])])
        return f"SELECT {keys}\nFROM ({definition.merge}) AS partials\nWHERE {where}\nORDER BY ALL LIMIT {NAMED + 1}"

    return selected


def told(found: Iterable[tuple[str, pa.Table]]) -> str:
    """The groups in words, by view; empty where there are none."""
    return "; ".join(f"{view}: {', '.join(_groups(table))}" for view, table in found if table.num_rows)


def _groups(table: pa.Table) -> list[str]:
    named = [
        "(" + ", ".join(f"{name} {value}" for name, value in zip(table.column_names, row, strict=True)) + ")"
        for row in zip(*map(values, table.columns), strict=True)
    ]
    return [*named[:NAMED], *(["and more"] if len(named) > NAMED else [])]
