"""The names in a SELECT: which of them are fields, and what its columns are called."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from seamline.errors import UserError
from seamline.kernel import quote
from seamline.schemas.views.calls import is_bare
from seamline.schemas.views.clauses import ALLOWED_SELECT, Clauses
from seamline.schemas.views.language import CHANGING_WORDS, close
from seamline.schemas.views.selection import Computed, Key
from seamline.schemas.views.source import Source, WrittenField, is_word, word
from seamline.sql import Token


def find_fields(
    source: Source, clauses: Clauses, fields: Mapping[str, str], owner: str = "the contract"
) -> dict[int, WrittenField]:
    """Every use of a field, by the offset where it begins. Raises VIEW_INVALID for one that the `owner` has not."""
    by_name = {name.lower(): name for name in fields}
    aliases = _aliases(clauses)
    own = {token.start for part in clauses.group for token in part if len(part) == 1}
    own |= {token.start for token in clauses.having}
    found: dict[int, WrittenField] = {}
    for start, end, said in clauses.columns:
        names = said[1:] if said[0].lower() == clauses.alias.lower() and len(said) > 1 else said
        name = by_name.get(names[0].lower())
        if name is None:
            if start in own and names[0].lower() in aliases:
                continue
            if names[0].lower().startswith(CHANGING_WORDS):
                continue  # current_date and the like, which are refused as what they are
            raise _unknown_field(source, start, names[0], by_name, aliases, owner)
        path = "".join(f".{quote(part.lower())}" for part in names[1:])
        found[start] = WrittenField(start, end, f"events.{quote(name)}{path}", not path)
    return found


def _aliases(clauses: Clauses) -> dict[str, bool]:
    """The names after AS, and whether their own expressions use a field of that name."""
    return {
        item[-1].text.lower(): any(token.text.lower() == item[-1].text.lower() for token in item[:-2])
        for item in clauses.items
        if len(item) > 2 and word(item[-2]) == "as"
    }


def _unknown_field(
    source: Source, at: int, name: str, by_name: Mapping[str, str], aliases: Mapping[str, bool], owner: str
) -> UserError:
    if aliases.get(name.lower()) is False:
        hint = f"{name!r} is a column of the view: write its expression out here"
    else:
        hint = close(name, by_name.values()) or f"add it to {owner}, or correct the name"
    return source.refuse(at, f"unknown field {name!r}", ", ".join(by_name.values()), hint)


def named(source: Source, tokens: list[Token], fields: dict[int, WrittenField]) -> tuple[list[Token], str]:
    """One item of the select list: its expression and its name. Raises VIEW_INVALID."""
    if not tokens:
        raise source.refuse(0, "an empty place in the select list", ALLOWED_SELECT, "remove a comma")
    if "*" in (tokens[0].sign, tokens[-1].sign):
        hint = "name the columns that events are grouped by"
        raise source.refuse(tokens[0].start, "SELECT * is not an aggregate view", ALLOWED_SELECT, hint)
    return alias_of(source, tokens, fields)


def alias_of(source: Source, tokens: list[Token], fields: dict[int, WrittenField]) -> tuple[list[Token], str]:
    """The expression and its name: after AS, or a field's own. Raises VIEW_INVALID where it has neither."""
    if len(tokens) > 2 and word(tokens[-2]) == "as" and is_word(tokens[-1]):
        last = tokens[-1]
        return tokens[:-2], last.text if word(last) == "" else word(last)
    if is_bare(tokens, fields):
        path = fields[tokens[0].start].sql.split('"')
        return tokens, path[-2]
    raise source.refuse(
        tokens[0].start, "an expression without a name", "expression AS name", "add AS and a name after it"
    )


def check_names(source: Source, items: Iterable[Key | Computed]) -> None:
    """Raises VIEW_INVALID for names that are Seamline's own, and for one that stands twice."""
    seen: set[str] = set()
    for item in items:
        if item.name.startswith("_") or "__" in item.name:
            hint = "choose a name without leading or double underscores"
            raise source.refuse(item.offset, f"name {item.name!r} is kept for Seamline", "other names", hint)
        if not item.name.replace("_", "").isalnum():
            raise source.refuse(item.offset, f"name {item.name!r}", "letters, digits and single underscores")
        if item.name.lower() in seen:
            raise source.refuse(item.offset, f"column {item.name!r} twice", "each name once", "rename one of them")
        seen.add(item.name.lower())
