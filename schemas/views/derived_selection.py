"""The SELECT of a view over a view taken apart: keys over the base's keys, and MEASURE of its other columns."""

from __future__ import annotations

from dataclasses import dataclass

from seamline.errors import UserError
from seamline.kernel import quote
from seamline.schemas.algebra import NAMES
from seamline.schemas.views.buckets import check_times
from seamline.schemas.views.calls import Argument, Measure, condition
from seamline.schemas.views.clauses import Clauses, closing
from seamline.schemas.views.definition import Definition, Output
from seamline.schemas.views.grouping import check_grouping
from seamline.schemas.views.language import engine_functions
from seamline.schemas.views.names import check_names, find_fields, named
from seamline.schemas.views.select_list import read_computed, read_having, read_key
from seamline.schemas.views.selection import Computed, Key, Selection, bare_keys
from seamline.schemas.views.source import Source, WrittenField, is_call, word
from seamline.schemas.views.unnest import UNNEST
from seamline.sql import Token

FORM = "keys, and MEASURE(column) of the base's columns"


@dataclass(frozen=True)
class Reader:
    """Reads a SELECT over a view. Raises VIEW_INVALID."""

    source: Source
    clauses: Clauses
    base: Definition

    def selection(self) -> Selection:
        """Keys, columns, WHERE and HAVING; every MEASURE is a call of the aggregate `measure`."""
        source, clauses = self.source, self.clauses
        found = self._fields()
        for part in (*clauses.items, clauses.where, clauses.having):
            check_times(source, part)
        bodies = [named(source, item, found) for item in clauses.items]
        calls = [self._measures(body, name, found) for body, name in bodies]
        items: list[Key | Computed] = []
        for (body, name), measures in zip(bodies, calls, strict=True):
            if not measures:
                self._check_scalar(body, found, "a key")
                items.append(read_key(source, body, name, found, found))
        keys = bare_keys(items)
        for at, ((body, name), measures) in enumerate(zip(bodies, calls, strict=True)):
            if measures:
                items.insert(at, read_computed(source, body, name, measures, found, keys))
        check_names(source, items)
        if not any(calls):
            message, at = "no MEASURE in the select list", clauses.items[0][0].start
            raise source.refuse(at, message, FORM, f"add {self._example()} AS {self._columns()[0]}")
        self._check_scalar(clauses.where, found, "WHERE")
        where = condition(source, clauses.where, found) if clauses.where else ""
        having = self._having(found, items) if clauses.having else None
        selection = Selection(tuple(items), where, clauses.where[0].start if clauses.where else 0, having)
        check_grouping(source, clauses, selection, found)
        return selection

    def _fields(self) -> dict[int, WrittenField]:
        """Every use of a column of the base, by the offset where it begins; keys stand over `partials`."""
        columns = {output.name: output.sql_type for output in self.base.columns}
        found = find_fields(self.source, self.clauses, columns, self.base.view)
        return {
            at: WrittenField(one.start, one.end, f"partials.{one.sql.removeprefix('events.')}", one.plain)
            for at, one in found.items()
        }

    def _columns(self) -> list[str]:
        """What can be measured."""
        return [output.name for output in self.base.columns if output.aggregate]

    def _example(self, name: str = "") -> str:
        return f"MEASURE({name or self._columns()[0]})"

    def _output(self, field: WrittenField | None) -> Output | None:
        """The base's column that a field is, a field of a struct aside."""
        return next((o for o in self.base.columns if field and field.sql == f"partials.{quote(o.name)}"), None)

    def _having(self, found: dict[int, WrittenField], items: list[Key | Computed]) -> Computed:
        """In HAVING a name that is the base's measure and this view's column is the latter."""
        body = self.clauses.having
        measures = self._measures(body, "_having", found)
        inside = {t.start for t in body for m in measures if m.offset <= t.start <= m.end}
        own = {item.name.lower() for item in items}
        for token in body:
            output = self._output(found.get(token.start))
            if output and output.aggregate and token.start not in inside:
                if output.name.lower() not in own:
                    raise self._unmeasured(token, output.name)
                del found[token.start]
        return read_having(self.source, self.clauses, measures, found, items)

    def _measures(self, body: list[Token], name: str, found: dict[int, WrittenField]) -> list[Measure]:
        """The MEASURE calls of an expression, left to right, as aggregates of that name."""
        calls: list[Measure] = []
        at = 0
        while at < len(body):
            if not is_call(body, at) or body[at].text.lower() != "measure":
                self._refuse_call(body, at)
                at += 1
                continue
            end = closing(body, at + 1)
            output = self._argument(body[at : end + 1], found)
            if end + 1 < len(body) and word(body[end + 1]) in ("filter", "over"):
                hint = f"filter by keys in WHERE, or give {self.base.view} a column with that FILTER"
                raise self.source.refuse(body[end + 1].start, "MEASURE with something after it", FORM, hint)
            alone = at == 0 and end == len(body) - 1 and not name.startswith("_")
            argument = Argument(quote(output.name), True, body[at + 2].start, output.name)
            calls.append(
                Measure(
                    name if alone else f"{name}__{len(calls) + 1}", "measure", (argument,), (), "", "",
                    body[at].start, body[end].end,
                )
            )  # fmt: skip
            at = end + 1
        if calls and not name.startswith("_"):
            self._check_outside(body, calls, found)
        return calls

    def _argument(self, call: list[Token], found: dict[int, WrittenField]) -> Output:
        """The column that is measured."""
        field = found.get(call[2].start) if len(call) > 3 else None
        whole = field is not None and field.end == call[-2].end
        output = self._output(field) if whole else None
        if output is None:
            message = f"{self.source.text[call[0].start : call[-1].end + 1]}: no column of {self.base.view}"
            hint = f"name one column, and compute outside: {', '.join(map(self._example, self._columns()))}"
            raise self.source.refuse(call[0].start, message, FORM, hint)
        if not output.aggregate:
            message = f"MEASURE({output.name}), which is a key of {self.base.view}"
            raise self.source.refuse(call[0].start, message, FORM, f"use {output.name} as it is: a key has no parts")
        return output

    def _check_outside(self, body: list[Token], calls: list[Measure], found: dict[int, WrittenField]) -> None:
        for token in body:
            output = self._output(found.get(token.start))
            if output and output.aggregate and not any(m.offset <= token.start <= m.end for m in calls):
                raise self._unmeasured(token, output.name)

    def _check_scalar(self, body: list[Token], found: dict[int, WrittenField], place: str) -> None:
        """A key or WHERE: keys of the base and scalar functions of them."""
        for at, token in enumerate(body):
            if is_call(body, at) and token.text.lower() == "measure":
                hint = "use HAVING for a condition on what is aggregated"
                raise self.source.refuse(token.start, f"MEASURE in {place}", "the base's keys", hint)
            self._refuse_call(body, at)
            output = self._output(found.get(token.start))
            if output and output.aggregate:
                raise self._unmeasured(token, output.name, place)

    def _unmeasured(self, token: Token, name: str, place: str = "") -> UserError:
        keys = ", ".join(key.name for key in self.base.keys)
        message = f"{name} is no key of {self.base.view} but aggregated there" + (
            f": it cannot be in {place}" if place else ""
        )
        hint = f"write {self._example(name)}" + (" in HAVING" if place == "WHERE" else "")
        return self.source.refuse(token.start, message, f"its keys ({keys}), and MEASURE of its other columns", hint)

    def _refuse_call(self, body: list[Token], at: int) -> None:
        """An aggregate over the base's rows would be over finished values, or count its rows; unnest, twice over."""
        if not is_call(body, at):
            return
        token, name = body[at], body[at].text.lower()
        if name in UNNEST:
            message = f"{name}() in a view over a view"
            raise self.source.refuse(token.start, message, FORM, f"unnest in {self.base.view}, and select that key")
        if name not in NAMES and engine_functions().get(name) != "aggregate":
            return
        end = body[closing(body, at + 1)].end
        said = {t.text.lower() for t in body if token.start < t.start <= end}
        wanted = [column for column in self._columns() if column.lower() in said]
        forms = ", ".join(map(self._example, wanted or self._columns()))
        message = f"{name}() over rows of {self.base.view}, which are aggregated already"
        raise self.source.refuse(token.start, message, FORM, f"write {forms}")
