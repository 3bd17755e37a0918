"""Values of keys as a person writes them, to conditions on a view's groups."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from seamline.errors import Condition, UserError
from seamline.kernel import Kernel, literal, quote
from seamline.schemas.views.definition import Column

KeyValues = Mapping[str, str | None]
"""By a key's name, its value as text; None: the group of NULL."""


def check_keys(asked: KeyValues, keys: Iterable[str]) -> None:
    """Raises INPUT_INVALID for a name that is no key."""
    known = list(keys)
    for name in asked:
        if name not in known:
            hint = "name a key of the view"
            raise UserError(Condition.INPUT_INVALID, f"key {name!r}", detail=", ".join(known), hint=hint)


def key_tests(
    engine: Kernel, asked: KeyValues, keys: Iterable[Column], column: Callable[[int], str] | None = None
) -> str:
    """The condition on these keys, 'true' where none is asked for. `column`: the SQL of a key by its number, from 1,
    where it is not its name. Raises INPUT_INVALID for a value that is none of the key's type."""
    tests = [
        f"{column(number) if column else quote(key.name)} IS NOT DISTINCT FROM {_typed(engine, key, asked[key.name])}"
        for number, key in enumerate(keys, start=1)
        if key.name in asked
    ]
    return " AND ".join(tests) or "true"


def _typed(engine: Kernel, key: Column, value: str | None) -> str:
    if value is None:
        return f"NULL::{key.sql_type}"
    text = f"{literal(value)}::VARCHAR"
    (found,) = engine.run(f"SELECT TRY_CAST({text} AS {key.sql_type}) IS NOT NULL AS good").to_pylist()
    if not found["good"]:
        detail = f"a {key.sql_type}"
        raise UserError(Condition.INPUT_INVALID, f"{key.name}={value}", detail=detail, hint="correct the value")
    return f"{literal(value)}::{key.sql_type}"
