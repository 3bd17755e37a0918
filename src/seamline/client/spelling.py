"""Values for a query's parameters, as JSON can have them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from seamline.connection import Scalar, Values
from seamline.errors import Condition, UserError
from seamline.serving.lookups.rowsasked import NULL


def spelled(parameters: Values) -> Any:
    """Parameters as JSON can have them: the same for a folder and a role. Raises INPUT_INVALID for other values."""
    if isinstance(parameters, Mapping):
        return {str(name): _spelled(value) for name, value in parameters.items()}
    if isinstance(parameters, str | bytes):
        raise UserError(Condition.INPUT_INVALID, "one text as parameters", hint="write a list of one: [text]")
    return [_spelled(value) for value in parameters]


def in_address(parameters: Mapping[str, Scalar]) -> dict[str, str]:
    """Values of a saved query's parameters as an address has them. Raises INPUT_INVALID for None, which it cannot say,
    and as `spelled`."""
    said = {name: _spelled(value) for name, value in parameters.items()}
    if absent := [name for name, value in said.items() if value is None]:
        raise UserError(Condition.INPUT_INVALID, f"{absent[0]} is None", hint="leave it out: its default stands then")
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in said.items()}


def key_text(value: Scalar) -> str:
    """A key's value as a lookup says it. Raises as `spelled`."""
    said = _spelled(value)
    if said is None:
        return NULL
    if isinstance(said, bool):
        return str(said).lower()
    return f"\\{said}" if str(said).startswith("\\") else str(said)


def _spelled(value: Any) -> bool | int | float | str | None:
    if isinstance(value, float) and not float("-inf") < value < float("inf"):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal | UUID):
        return str(value)
    raise UserError(
        Condition.INPUT_INVALID,
        f"a parameter of type {type(value).__name__}",
        detail="bool, int, float, str, Decimal, date, time, datetime, UUID, None",
        hint="convert it first",
    )
