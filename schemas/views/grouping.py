"""GROUP BY as it is written out: it may say nothing else than what the keys are."""

from __future__ import annotations

from seamline.errors import UserError
from seamline.schemas.views.clauses import ALLOWED_SELECT, Clauses
from seamline.schemas.views.expressions import render
from seamline.schemas.views.selection import Key, Selection
from seamline.schemas.views.source import Source, WrittenField
from seamline.sql import Token


def check_grouping(source: Source, clauses: Clauses, selection: Selection, fields: dict[int, WrittenField]) -> None:
    """An explicit GROUP BY must name exactly the keys, by position, name or expression. Raises VIEW_INVALID."""
    if selection.keys and not clauses.grouped:
        raise source.refuse(selection.keys[0].offset, "keys without GROUP BY", ALLOWED_SELECT, "add GROUP BY ALL")
    if not clauses.group:
        return
    missing = list(selection.keys)
    for part in clauses.group:
        if not part:
            hint = "remove a comma, or use GROUP BY ALL"
            raise source.refuse(clauses.table.start, "an empty place in GROUP BY", ALLOWED_SELECT, hint)
        key = _grouped_key(source, part, selection, fields)
        missing = [other for other in missing if other.sql != key.sql]
    for key in missing:
        raise source.refuse(key.offset, f"{key.name!r} is not in GROUP BY", "every key", "use GROUP BY ALL")


def _grouped_key(source: Source, part: list[Token], selection: Selection, fields: dict[int, WrittenField]) -> Key:
    token = part[0]
    text = render(source, part, fields)
    for position, item in enumerate(selection.items, 1):
        if isinstance(item, Key) and (text == item.sql or (len(part) == 1 and text == str(position))):
            return item
        named = len(part) == 1 and token.start not in fields and token.text.lower() == item.name.lower()
        if isinstance(item, Key) and named:
            return item
    raise _no_key(source, token, source.text[token.start : part[-1].end + 1], selection)


def _no_key(source: Source, token: Token, said: str, selection: Selection) -> UserError:
    message, hint = f"GROUP BY {said} is no key in the select list", "select it with a name, or use GROUP BY ALL"
    alike = next((item for item in selection.items if item.name.lower() == said.lower()), None)
    if isinstance(alike, Key):
        message = f"GROUP BY {said} is the field here, not the key of that name"
        hint = "use GROUP BY ALL, or rename the key"
    elif alike is not None:
        message, hint = f"GROUP BY {said}, which aggregates", "leave it out, or use GROUP BY ALL"
    others = [key.name for key in selection.keys if key is not alike]
    return source.refuse(token.start, message, ", ".join(others) or "no keys", hint)
