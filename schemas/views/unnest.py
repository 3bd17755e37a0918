"""A key over the elements of an array: `unnest(tags) AS tag` counts an event once for each.

DuckDB refuses UNNEST beside GROUP BY, so a view with such a key reads from a subselect that unnests: there each event
has a row for each element, with all its own fields, and the element as a column of a name that no field can have.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from seamline.kernel import quote
from seamline.schemas.views.calls import Argument, condition, is_bare
from seamline.schemas.views.clauses import closing
from seamline.schemas.views.source import Source, WrittenField, is_call
from seamline.sql import Token

ELEMENT = "_element"
UNNEST = ("unnest", "unlist")
_ALLOWED = "one key such as unnest(tags) AS tag"


@dataclass(frozen=True)
class Unnested:
    """The array that is unnested."""

    array: Argument

    places: tuple[tuple[int, int], ...]
    """The first and last character of every place where it is written."""

    @property
    def sql(self) -> str:
        """The array, with try semantics: one that fails has no elements."""
        return self.array.sql if self.array.bare else f"TRY({self.array.sql})"

    @property
    def fields(self) -> dict[int, WrittenField]:
        """What stands for the element in the statements."""
        return {start: WrittenField(start, end, f"events.{quote(ELEMENT)}", True) for start, end in self.places}

    def over(self, events: str) -> str:
        """A SELECT of the events, a row for each element, from `events` and what may follow it."""
        return f"SELECT *, unnest({self.sql}) AS {quote(ELEMENT)}\n  FROM {events}"


def read_unnest(
    source: Source, keys: Iterable[list[Token]], group: Iterable[list[Token]], fields: dict[int, WrittenField]
) -> Unnested | None:
    """The unnest of the keys' expressions, or None. Raises VIEW_INVALID where there are two."""
    found = [(body, at) for body in keys for at in _calls(body)]
    if not found:
        return None
    if len(found) > 1:
        body, at = found[1]
        message = "a second unnest(): each element of one would be counted with each of the other"
        raise source.refuse(body[at].start, message, _ALLOWED, "make a view for each")
    places = found + [(body, at) for body in group for at in _calls(body)]
    arrays = [_array(source, body, at, fields) for body, at in places]
    for (body, at), array in zip(places, arrays, strict=True):
        if array.sql != arrays[0].sql:
            raise source.refuse(body[at].start, "unnest() of another array in GROUP BY", _ALLOWED, "use GROUP BY ALL")
    return Unnested(arrays[0], tuple((body[at].start, body[closing(body, at + 1)].end) for body, at in places))


def _calls(body: list[Token]) -> list[int]:
    return [at for at, token in enumerate(body) if is_call(body, at) and token.text.lower() in UNNEST]


def _array(source: Source, body: list[Token], at: int, fields: dict[int, WrittenField]) -> Argument:
    inside = body[at + 2 : closing(body, at + 1)]
    if not inside:
        raise source.refuse(body[at].start, "unnest() of nothing", _ALLOWED, "name the array")
    sql = condition(source, inside, fields)
    text = source.text[inside[0].start : inside[-1].end + 1]
    return Argument(sql, is_bare(inside, fields), inside[0].start, text)
