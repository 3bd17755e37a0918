"""Values that come beside a query's text, for its `$1` or `$name`: they are bound, and never become part of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TypeAlias
from uuid import UUID

from seamline.errors import Condition, UserError
from seamline.kernel import fold

Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any]
"""Values for `$1`, `$2`, …, in order, or for `$name`, by name."""

_KINDS = (bool, int, float, str, bytes, Decimal, datetime, date, time, timedelta, UUID, type(None))
_LARGEST = 2**127
"""Integers are below it, and at least its negative."""


@dataclass(frozen=True)
class Given:
    """The values for a text's parameters. Two are equal where the types are: the text binds alike."""

    values: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """By folded name: `1` for `$1`."""

    kinds: tuple[tuple[str, str], ...] = ()

    def of(self, names: Iterable[str]) -> dict[str, Any]:
        """Those of some names."""
        return {name: self.values[name] for name in names}


NONE_GIVEN = Given()


def given(parameters: Parameters, named: Sequence[str]) -> Given:
    """The values for the parameters that a text names (`named`, folded). Raises INPUT_INVALID where one has no value, a
    value has no parameter, or is of a kind that is not bound."""
    if isinstance(parameters, Mapping):
        values = {fold(str(name)): value for name, value in parameters.items()}
    else:
        values = {str(number): value for number, value in enumerate(parameters, 1)}
    if values.keys() != set(named):
        missing = [f"${name} has no value" for name in named if name not in values]
        idle = [f"a value for ${name}, which is not in the query" for name in values if name not in named]
        raise _invalid((missing + idle)[0], "a value for each parameter of the query, and no other")
    return Given(values, tuple(sorted((name, _kind(name, value)) for name, value in values.items())))


def unset(named: Iterable[str]) -> Given:
    """NULL for each, where nothing is run."""
    return Given(dict.fromkeys(named), tuple((name, "") for name in sorted(named)))


def _kind(name: str, value: Any) -> str:
    """What decides the type that DuckDB takes a value for."""
    if not isinstance(value, _KINDS):
        raise _invalid(f"${name} is {type(value).__name__}", "null, a boolean, a number or text")
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        if not -_LARGEST <= value < _LARGEST:
            raise _invalid(f"${name} is an integer of {value.bit_length()} bits", "integers of 128 bits, signed")
        return next(
            kind for kind, bits in (("int", 31), ("long", 63), ("huge", 127)) if -(1 << bits) <= value < 1 << bits
        )
    if isinstance(value, Decimal):
        said = value.as_tuple()
        return f"decimal {len(said.digits)} {said.exponent}"
    if isinstance(value, datetime):
        return "instant" if value.tzinfo else "datetime"
    return type(value).__name__


def _invalid(message: str, detail: str) -> UserError:
    return UserError(
        Condition.INPUT_INVALID, message, detail=detail, hint="give 'parameters' what the query names: $1, or $name"
    )
