"""Saved queries: a SELECT that has a name and typed parameters, one file each.

`queries/busy_shops.sql` begins with lines of comment: what the query is for, and a line for each of its parameters.

    -- Shops with many orders since a day.
    -- $since DATE
    -- $least INTEGER = 1 -- so many orders, or more
    SELECT shop, orders FROM sales WHERE hour >= $since AND orders >= $least
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from uuid import UUID

from seamline.errors import Condition, SeamlineError, UserError
from seamline.kernel import kernel, literal
from seamline.serving.access.bearer import is_secret
from seamline.serving.callers import Caller
from seamline.serving.guard import AllowedQuery, check, check_text
from seamline.sql import TREE

FOLDER = "queries"

OPTIONS = frozenset(["as_of", "at_least", "format", "max_rows", "timeout"])
"""What an address says beside a query's parameters: no parameter has such a name."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_DECLARED = re.compile(r"--\s*\$(?P<name>\S+)\s+(?P<kind>\w+)\s*(=\s*(?P<default>.*?)\s*)?(--\s*(?P<comment>.*))?")
_WHOLE = re.compile(r"[+-]?\d{1,38}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
_DIGITS = 38
"""Of a DECIMAL."""


@dataclass(frozen=True)
class SavedParameter:
    """One parameter of a saved query."""

    name: str

    kind: str
    """A key of `KINDS`."""

    default: str | None = None
    """As an address would say it; None: there is none, and a value has to be given."""

    comment: str = ""

    def value(self, text: str) -> Any:
        """What a text says, of the parameter's type. Raises INPUT_INVALID."""
        try:
            return KINDS[self.kind](text)
        except (ValueError, InvalidOperation, OverflowError):
            raise UserError(
                Condition.INPUT_INVALID, f"{self.name}: {text[:60]!r} is no {self.kind}",
                detail=f"as {_LIKE[self.kind]}", hint="docs/http.md says how each type is written",
            ) from None  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        said = {"name": self.name, "type": self.kind, "required": self.default is None, "default": self.default}
        return {**said, "comment": self.comment}


@dataclass(frozen=True)
class SavedQuery:
    """A query with a name."""

    name: str

    sql: str
    """Its whole text."""

    comment: str
    parameters: tuple[SavedParameter, ...]

    views: frozenset[str]
    """The views that it reads, folded."""

    def values(self, said: Mapping[str, str]) -> dict[str, Any]:
        """The values to bind, by name, for those that are said as texts. Raises INPUT_INVALID for one that lacks, one
        that is no parameter, and one that is not of its type."""
        names = [one.name for one in self.parameters]
        if unknown := [name for name in said if name not in names]:
            raise self._wrong(f"{unknown[0]}, which is no parameter of {self.name}")
        if missing := [one.name for one in self.parameters if one.default is None and one.name not in said]:
            raise self._wrong(f"{missing[0]} of {self.name} has no value")
        return {
            one.name: one.value(said[one.name]) if one.name in said else _default(one) for one in self.parameters
        }  # fmt: skip

    def may_be_asked_by(self, caller: Caller) -> bool:
        """Whether somebody may ask it: who may ask all of its views, or was given it by name."""
        return caller.views is None or self.name in caller.queries or self.views <= caller.views

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        parameters = [one.to_json() for one in self.parameters]
        return {"name": self.name, "comment": self.comment, "parameters": parameters, "views": sorted(self.views)}

    def _wrong(self, message: str) -> UserError:
        allowed = ", ".join(f"{one.name} ({one.kind})" for one in self.parameters) or "none"
        return UserError(
            Condition.INPUT_INVALID, message, detail=f"parameters: {allowed}", hint="GET /v1/queries lists them"
        )


SavedQueries = Mapping[str, SavedQuery]
"""By name."""


def load_queries(folder: Path) -> dict[str, SavedQuery]:
    """Every saved query of a project's folder, by name. Raises CONFIG_INVALID with the file."""
    files = sorted((folder / FOLDER).glob("*.sql"))
    return {file.stem: parse_query(file.stem, file.read_text(encoding="utf-8"), str(file)) for file in files}


def parse_query(name: str, text: str, where: str) -> SavedQuery:
    """A query of a text: its head, its types, and that it is one SELECT of what a query may hold. Raises
    CONFIG_INVALID; whether its views are served is known when it is asked."""
    if not _NAME.fullmatch(name):
        raise _invalid(f"a query of the name {name!r}", where)
    parameters, comment = _head(text, where)
    asked = _checked(text, where)
    declared = {one.name for one in parameters}
    if missing := sorted(set(asked.parameters) - declared):
        raise _invalid(f"${missing[0]} has no line that says its type", where)
    if idle := sorted(declared - set(asked.parameters)):
        raise _invalid(f"${idle[0]} is not in the query", where)
    return SavedQuery(name, text, comment, parameters, frozenset(one.name for one in asked.references))


def saved_query(queries: SavedQueries, name: str, caller: Caller) -> SavedQuery:
    """One that somebody may ask. Raises QUERY_UNKNOWN with those that there are for them."""
    known = allowed_queries(queries, caller)
    for one in known:
        if one.name == name:
            return one
    names = [one.name for one in known]
    close = get_close_matches(name, names, n=1)
    raise UserError(
        Condition.QUERY_UNKNOWN, f"no saved query is named {name!r}", detail=", ".join(names) or "(there is none)",
        hint=f"did you mean {close[0]}?" if close else "GET /v1/queries lists them",
    )  # fmt: skip


def allowed_queries(queries: SavedQueries, caller: Caller) -> list[SavedQuery]:
    """Those that somebody may ask, by name."""
    return [one for _, one in sorted(queries.items()) if one.may_be_asked_by(caller)]


def _head(text: str, where: str) -> tuple[tuple[SavedParameter, ...], str]:
    """The parameters that the first lines declare, and the words before and between them."""
    parameters, words = list[SavedParameter](), list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if not (said := line.strip()).startswith("--"):
            break
        if re.match(r"--\s*\$", said):
            parameters.append(_declared(said, f"{where}:{number}"))
        else:
            words.append(said.removeprefix("--").strip())
    names = [one.name for one in parameters]
    if doubled := [name for name in names if names.count(name) > 1]:
        raise _invalid(f"${doubled[0]} twice", where)
    return tuple(parameters), " ".join(filter(None, words))


def _declared(line: str, where: str) -> SavedParameter:
    found = _DECLARED.fullmatch(line)
    if found is None:
        raise _invalid(f"{line!r} declares no parameter", where)
    name, kind = found["name"], found["kind"].upper()
    if not _NAME.fullmatch(name) or name in OPTIONS or is_secret(name):
        raise _invalid(f"a parameter of the name {name!r}", where)
    if kind not in KINDS:
        raise _invalid(f"${name} of type {kind}", where)
    parameter = SavedParameter(name, kind, found["default"], (found["comment"] or "").strip())
    try:
        _default(parameter)
    except UserError as error:
        raise _invalid(error.message, where) from error
    return parameter


def _default(one: SavedParameter) -> Any:
    return None if one.default in (None, "NULL") else one.value(one.default)


def _checked(text: str, where: str) -> AllowedQuery:
    try:
        check_text(text)
        return check(text, str(kernel().run(TREE.replace("?", literal(text))).column(0)[0].as_py()))
    except SeamlineError as error:
        place = f"{where}:{error.where}" if error.where else where
        raise UserError(
            Condition.CONFIG_INVALID, error.message, detail=error.detail, hint=error.hint, where=place
        ) from error


def _invalid(message: str, where: str) -> UserError:
    names = f"names of a letter, then letters, digits and _, none of {', '.join(sorted(OPTIONS))}"
    return UserError(
        Condition.CONFIG_INVALID, message, detail=f"{names}; types {', '.join(KINDS)}",
        hint="write a line for each parameter: -- $since DATE, or -- $least INTEGER = 1 -- what it is", where=where,
    )  # fmt: skip


def _boolean(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()] if text.lower() in ("true", "false") else _no()


def _integer(bits: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        value = int(text) if _WHOLE.fullmatch(text) else _no()
        return value if -(1 << bits) <= value < 1 << bits else _no()

    return whole


def _decimal(text: str) -> Decimal:
    value = Decimal(text) if _NUMBER.fullmatch(text) else _no()
    _, digits, exponent = value.as_tuple()
    assert isinstance(exponent, int)
    return value if max(len(digits), -exponent) + max(exponent, 0) <= _DIGITS else _no()


def _double(text: str) -> float:
    value = float(text) if _NUMBER.fullmatch(text) else _no()
    return value if abs(value) != float("inf") else _no()


def _instant(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def _timestamp(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo is None else _no()


def _no() -> Any:
    raise ValueError


KINDS: dict[str, Callable[[str], Any]] = {
    "BOOLEAN": _boolean,
    "INTEGER": _integer(31),
    "BIGINT": _integer(63),
    "DECIMAL": _decimal,
    "DOUBLE": _double,
    "VARCHAR": str,
    "DATE": date.fromisoformat,
    "TIME": time.fromisoformat,
    "TIMESTAMP": _timestamp,
    "TIMESTAMPTZ": _instant,
    "UUID": UUID,
}
"""By type, what reads a value of it from a text. Raises ValueError."""

_LIKE: dict[str, str] = {
    "BOOLEAN": "true or false",
    "INTEGER": "-2147483648 to 2147483647",
    "BIGINT": "-9223372036854775808 to 9223372036854775807",
    "DECIMAL": f"12.50, {_DIGITS} digits at most",
    "DOUBLE": "12.5 or 1e6",
    "VARCHAR": "any text",
    "DATE": "2024-05-01",
    "TIME": "13:30:00",
    "TIMESTAMP": "2024-05-01T13:30:00, without a zone",
    "TIMESTAMPTZ": "2024-05-01T13:30:00Z; without a zone it is UTC",
    "UUID": "123e4567-e89b-12d3-a456-426614174000",
}
