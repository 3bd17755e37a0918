"""An answer as a Python program takes it: rows, and what they rest on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import pyarrow as pa

from seamline.errors import Condition, UserError


@dataclass(frozen=True)
class Result:
    """What a query gave."""

    table: pa.Table = field(repr=False)

    provenance: Mapping[str, Any]
    """By view, as JSON values (docs/serving.md): definition, version, cut, frontier reached, epochs, links. Each view's
    links were found to lead from its cut to what it has reached."""

    warnings: tuple[str, ...] = ()
    """Aggregates over finished values that do not mean what they seem to."""

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @property
    def columns(self) -> tuple[str, ...]:
        """Their names, in order; several may share one."""
        return tuple(self.table.column_names)

    def arrow(self) -> pa.Table:
        """As an Arrow table."""
        return self.table

    def rows(self) -> list[tuple[Any, ...]]:
        """As Python values; NULL is None. Raises VALUE_OUT_OF_RANGE for an instant that Python has no value for."""
        try:
            return list(zip(*(column.to_pylist() for column in self.table.columns), strict=True))
        except (ValueError, OverflowError) as error:
            raise UserError(
                Condition.VALUE_OUT_OF_RANGE,
                str(error),
                detail="values that Python has",
                hint="take them with .arrow()",
            ) from error

    def pandas(self) -> Any:
        """As a DataFrame of pandas. Raises INPUT_INVALID where it is not installed."""
        _installed("pandas")
        return self.table.to_pandas()

    def polars(self) -> Any:
        """As a DataFrame of Polars. Raises INPUT_INVALID where it is not installed."""
        return _installed("polars").from_arrow(self.table)


def _installed(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(
            Condition.INPUT_INVALID,
            f"{name} is not installed",
            detail="arrow() and rows() need nothing more",
            hint=f"pip install {name}",
        ) from error
