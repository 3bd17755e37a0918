"""A client's query as it is asked: rewritten, its parameters typed, described, and its answer as it comes.

A query is asked of the views, or of the catalogue: which, its own words say.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa
from pyarrow import types

from seamline.errors import SeamlineError
from seamline.kernel import fold
from seamline.serving.asking import Ask, Asker
from seamline.serving.callers import Caller
from seamline.serving.wire import kinds, spellings
from seamline.serving.wire.cut import Rewrite, Statement, edited, statements
from seamline.serving.wire.failing import WireError, told
from seamline.serving.wire.kinds import WireType
from seamline.serving.wire.rows import WireColumn, columns
from seamline.serving.wire.streams import batches
from seamline.serving.wire.variables import Variables, seconds

_WORDS = frozenset(["current_user", "session_user", "current_role", "current_schema", "current_catalog"])
_FUNCTIONS_TEXT = """
version current_schema current_schemas current_database current_catalog current_setting set_config format_type
obj_description col_description shobj_description to_regclass to_regtype inet_server_addr inet_server_port
inet_client_addr inet_client_port txid_current
"""
_FUNCTIONS = frozenset(_FUNCTIONS_TEXT.split())
_TYPES = frozenset(["regclass", "regtype", "regproc", "regnamespace", "regrole", "regoper", "regprocedure"])

_NAMED = {
    **{one.name: one for one in kinds.SCALARS}, **{one.sql: one for one in kinds.SCALARS if one.sql},
    "int": kinds.INT4, "float": kinds.FLOAT8, "decimal": kinds.NUMERIC, "string": kinds.TEXTUAL,
    "double": kinds.FLOAT8, "character": kinds.TEXTUAL,
}  # fmt: skip


class Librarian(Protocol):
    """Who answers about the catalogue."""

    async def describe(self, sql: str, caller: Caller) -> pa.Schema:
        """The columns of an answer."""
        ...

    async def answer(self, sql: str, values: Sequence[Any], caller: Caller, session: Mapping[str, str]) -> pa.Table:
        """An answer, whole. Raises WireError, by name what it cannot say."""
        ...


@dataclass(frozen=True)
class AskedQuery:
    """A query that can be asked."""

    statement: Statement

    text: str
    """What is asked, but for the casts of its parameters."""

    back: Callable[[int], int]
    """An offset in it, in the statement."""

    parameters: tuple[WireType, ...]
    """By number, from 1."""

    casts: tuple[str, ...]
    """DuckDB's types that they are cast to; '' for none."""

    columns: tuple[WireColumn, ...]

    of_catalogue: bool


@dataclass
class Answered:
    """An answer as it comes: what is left of it."""

    columns: tuple[WireColumn, ...]
    batches: AsyncIterator[pa.RecordBatch]
    provenance: str = "{}"
    warnings: tuple[str, ...] = ()
    close: Callable[[], Any] | None = None
    _left: pa.RecordBatch | None = field(default=None, repr=False)

    async def next(self, most: int) -> pa.RecordBatch | None:
        """The next rows, at most so many; None where there are no more."""
        while self._left is None or self._left.num_rows == 0:
            try:
                self._left = await anext(self.batches)
            except StopAsyncIteration:
                return None
        found, self._left = self._left.slice(0, most), self._left.slice(most)
        return found

    async def aclose(self) -> None:
        """Ends the query."""
        if self.close is not None:
            await self.close()


class Questions:
    """Asks for one caller, as they stand at each question: `who` raises where they may not ask any more."""

    def __init__(self, asker: Asker, librarian: Librarian, who: Callable[[], Caller]) -> None:
        self._asker, self._librarian, self._who = asker, librarian, who

    @property
    def _caller(self) -> Caller:
        return self._who()

    async def prepare(self, statement: Statement, declared: Sequence[int], variables: Variables) -> AskedQuery:
        """A query that can be asked. `declared`: its parameters' types as the client said them, 0 where it did not.
        Raises WireError, SeamlineError."""
        views = frozenset(self._asker.snapshot(self._caller).views)
        of_catalogue = asks_catalogue(statement, views)
        text, back = edited(statement.text, [] if of_catalogue else spellings.edits(statement, views))
        placed = _one(text)
        said = [_declared(oid) for oid in declared]
        numbers = sorted({number for number, _ in placed.parameters})
        count = max([len(said), *numbers])
        if set(range(1, len(numbers) + 1)) != set(numbers):
            missing = next(number for number in range(1, count + 1) if number not in numbers)
            raise WireError("42P18", f"could not determine data type of parameter ${missing}")
        known = [said[n] if n < len(said) else None for n in range(count)]
        known = [one or _written(placed, n) for n, one in enumerate(known, 1)]
        made = AskedQuery(statement, text, back, (), (), (), of_catalogue)
        return await self._described(made, known, variables)

    async def _described(self, made: AskedQuery, known: Sequence[WireType | None], variables: Variables) -> AskedQuery:
        """The question with its columns, and with types for the parameters of which none was said."""
        casts = [one.duck if one else "" for one in known]
        if made.of_catalogue:
            found = [one or kinds.TEXTUAL for one in known]
            casts = [one.duck for one in found]
            schema = await self._librarian.describe(_cast(made.text, casts)[0], self._caller)
            shown = columns(schema, catalogue=True)
            return AskedQuery(made.statement, made.text, made.back, tuple(found), tuple(casts), shown, True)
        described = await self._describe(made, casts, variables)
        if any(one is None for one in known):
            found = await self._inferred(made, known, described.parameters, variables)
            casts = [one.duck for one in found]
            described = await self._describe(made, casts, variables)
        else:
            found = [one for one in known if one is not None]
        shown = columns(described.columns, described.kinds)
        return AskedQuery(made.statement, made.text, made.back, tuple(found), tuple(casts), shown, False)

    async def _inferred(
        self, made: AskedQuery, known: Sequence[WireType | None], said: Sequence[str], variables: Variables
    ) -> list[WireType]:
        """Types for the parameters that have none: as DuckDB infers them; of one in `= ANY ($1)`, arrays of what it
        infers for `IN ($1)`; text where it infers nothing."""
        arrays = _in_any(_one(made.text))
        if arrays:
            text, _ = edited(made.text, [one for edits in arrays.values() for one in edits])
            as_one = [one.element if one and one.element and n in arrays else one for n, one in enumerate(known, 1)]
            single = AskedQuery(made.statement, text, made.back, (), (), (), False)
            said = (await self._describe(single, [one.duck if one else "" for one in as_one], variables)).parameters
        found = []
        for number, one in enumerate(known, 1):
            inferred = kinds.of_parameter(said[number - 1]) if number <= len(said) else None
            plain = inferred or kinds.TEXTUAL
            found.append(one or (kinds.array_of(plain) if number in arrays and plain.array else plain))
        return found

    async def _describe(self, made: AskedQuery, casts: Sequence[str], variables: Variables) -> Any:
        text, back = _cast(made.text, casts)
        try:
            ask = Ask(text, self._caller, as_of=_epoch(variables, "as_of"), seconds=_timeout(variables))
            return await self._asker.describe(ask)
        except SeamlineError as error:
            raise _placed(error, made, text, back) from error

    async def ask(self, made: AskedQuery, values: Sequence[Any], variables: Variables) -> Answered:
        """Begins to answer. Raises WireError, and what the asker raises."""
        text, back = _cast(made.text, made.casts, values)
        given = _flat(made.text, values)
        if made.of_catalogue:
            table = await self._librarian.answer(text, given, self._caller, variables.all())
            return Answered(made.columns, _each(table.to_batches()))
        ask = Ask(
            text, self._caller, given, as_of=_epoch(variables, "as_of"), at_least=_epoch(variables, "at_least"),
            max_rows=_epoch(variables, "max_rows"),
            seconds=_timeout(variables),
        )  # fmt: skip
        try:
            reply = await self._asker.ask(ask)
        except SeamlineError as error:
            raise _placed(error, made, text, back) from error
        said = json.dumps(reply.provenance, ensure_ascii=False)
        return Answered(made.columns, batches(reply.chunks), said, reply.warnings, reply.aclose)


def _timeout(variables: Variables) -> float | None:
    return seconds("statement_timeout", variables.get("statement_timeout"))


def as_described(batch: pa.RecordBatch, shown: Sequence[WireColumn], of_catalogue: bool) -> pa.RecordBatch:
    """A batch in the types that its columns were said to have. Raises WireError 0A000 where they are others now."""
    arrays = []
    for column, one in zip(batch.columns, shown, strict=True):
        actual = kinds.of_column(column.type, catalogue=of_catalogue)
        if actual.oid == one.kind.oid or _alike(actual, one.kind):
            arrays.append(column)
        elif one.kind is kinds.TEXTUAL:
            arrays.append(pa.array(actual.text(column), pa.string()))
        elif types.is_null(column.type) or (types.is_integer(column.type) and one.kind.name.startswith("int")):
            arrays.append(column.cast(_ARROW.get(one.kind.name, pa.null())))
        else:
            raise WireError("0A000", "cached plan must not change result type", hint="prepare the statement again")
    return pa.RecordBatch.from_arrays(arrays, names=[f"{n}" for n in range(len(arrays))]) if arrays else batch


def _alike(actual: WireType, shown: WireType) -> bool:
    """Whether Arrow has both as texts: it knows no UUID and no JSON."""
    if actual.element is not None and shown.element is not None:
        return _alike(actual.element, shown.element)
    return actual is kinds.TEXTUAL and shown.duck in ("UUID", "JSON")


_ARROW = {"int2": pa.int16(), "int4": pa.int32(), "int8": pa.int64()}


def asks_catalogue(statement: Statement, views: frozenset[str]) -> bool:
    """Whether a query is one of the catalogue. Raises WireError for one of both."""
    tables, functions, viewed = False, False, False
    found = statement.tokens
    for number, token in enumerate(found):
        if token.kind not in ("word", "name"):
            continue
        name, before = fold(token.text), found[number - 1].text.upper() if number else ""
        after = found[number + 1].sign if number + 1 < len(found) else ""
        from_ = before in ("FROM", "JOIN", ",", "TABLE", "ONLY") or before == "."
        if name in views and from_ and after != "(":
            viewed = True
        elif (name == "information_schema" and after == ".") or (
            name.startswith("pg_") and name != "pg_catalog" and from_ and after != "("
        ):
            tables = True
        elif (
            ((name in _FUNCTIONS or name.startswith(("pg_", "has_"))) and after == "(")
            or (token.kind == "word" and name in _WORDS and before not in (".", "AS"))
            or (before == "::" and name in _TYPES)
            or (before == "." and name in _TYPES)
        ):
            functions = True
    if tables and viewed and not functions:
        raise WireError("0A000", "a query of views and of the catalogue in one", hint="ask them one by one")
    return tables or (functions and not viewed)


def _one(text: str) -> Statement:
    found = statements(text)
    if len(found) != 1:
        raise WireError("42601", "cannot insert multiple commands into a prepared statement")
    return found[0]


def _declared(oid: int) -> WireType | None:
    if oid in (0, 705):
        return None
    if oid not in kinds.BY_OID:
        raise WireError("42704", f"type with OID {oid} is not served", detail="docs/postgres.md lists the types")
    return kinds.BY_OID[oid]


def _written(statement: Statement, number: int) -> WireType | None:
    """The type that a parameter is cast to where it stands: `$1::int[]`."""
    places = {place.start for found, place in statement.parameters if found == number}
    for at, token in enumerate(statement.tokens[:-3]):
        if token.start in places and statement.tokens[at + 2].sign == "::":
            rest = statement.tokens[at + 3 :]
            if len(rest) > 2 and fold(rest[0].text) == "pg_catalog" and rest[1].sign == ".":
                rest = rest[2:]
            name = fold(rest[0].text)
            kind = _NAMED.get("bpchar" if name == "char" and rest[0].kind == "word" else name)
            is_array = len(rest) > 1 and rest[1].sign == "["
            return kinds.array_of(kind) if kind and is_array else kind
    return None


def _in_any(statement: Statement) -> dict[int, list[Rewrite]]:
    """The parameters that stand alone in `= ANY ($1)`, and the edits that make `IN ($1)` of it."""
    found, words = dict[int, list[Rewrite]](), statement.words
    places = {place.start: number for number, place in statement.parameters}
    for at in range(len(words) - 5):
        here = statement.tokens[at : at + 6]
        if (
            words[at : at + 2] == ("=", "ANY")
            and here[2].sign == "("
            and here[3].start in places
            and here[5].sign == ")"
        ):
            found.setdefault(places[here[3].start], []).append(Rewrite(here[0].start, here[1].end + 1, "IN"))
    return found


def _cast(text: str, casts: Sequence[str], values: Sequence[Any] | None = None) -> tuple[str, Callable[[int], int]]:
    """A text with its parameters cast to their types. Arrays of `values` are written as lists of parameters."""
    placed, at, numbered = _one(text).parameters, 0, dict[int, str]()
    for number in sorted({number for number, _ in placed}):
        value = values[number - 1] if values is not None else None
        if isinstance(value, list):
            written = "[" + ", ".join(f"${at + n}" for n in range(1, len(value) + 1)) + "]"
            at += len(value)
        else:
            at += 1
            written = f"${at}"
        kind = casts[number - 1] if number <= len(casts) else ""
        numbered[number] = f"CAST({written} AS {kind})" if kind else written
    edits = [Rewrite(place.start, place.end, numbered[number]) for number, place in placed]
    return edited(text, edits)


def _flat(text: str, values: Sequence[Any]) -> tuple[Any, ...]:
    """The values for the parameters that `_cast` wrote."""
    used = sorted({number for number, _ in _one(text).parameters})
    flat: list[Any] = []
    for number in used:
        value = values[number - 1]
        flat += value if isinstance(value, list) else [value]
    return tuple(flat)


def _epoch(variables: Variables, name: str) -> int | None:
    said = variables.get(f"seamline.{name}")
    return int(said) if said else None


def _placed(error: SeamlineError, made: AskedQuery, text: str, back: Callable[[int], int]) -> WireError:
    """An error with its place in what the client wrote."""
    found = told(error, text)
    return found.at(made.back(back(found.position - 1)) + 1) if found.position else found


async def _each(found: Sequence[pa.RecordBatch]) -> AsyncIterator[pa.RecordBatch]:
    for one in found:
        yield one
