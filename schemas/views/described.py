"""What a view's header says of its columns, held against the columns that its SELECT has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from seamline.errors import UserError
from seamline.schemas.views.definition import Column, Output
from seamline.schemas.views.headers import Header
from seamline.schemas.views.language import close
from seamline.schemas.views.properties import SORT, sort_names
from seamline.schemas.views.source import Source


def commented(source: Source, header: Header, outputs: Sequence[Output]) -> tuple[Output, ...]:
    """The view's columns with their comments. Raises VIEW_INVALID for a listed column that the SELECT does not have."""
    names = {output.name.lower(): output.name for output in outputs}
    for name in header.columns:
        if name.lower() not in names:
            raise _unknown(source, header.places[name], name, list(names.values()), "the SELECT has no such column")
    comments = {name.lower(): comment for name, comment in header.columns.items()}
    return tuple(replace(output, comment=comments.get(output.name.lower(), "")) for output in outputs)


def check_sort(source: Source, header: Header, keys: Sequence[Column], outputs: Sequence[Output]) -> None:
    """Raises VIEW_INVALID for a `serving.sort` that names more than keys: only those stand in the files as shown."""
    names = {key.name.lower(): key.name for key in keys}
    others = {output.name.lower() for output in outputs} - set(names)
    seen: set[str] = set()
    for name in sort_names(header.properties):
        at = header.places[SORT]
        if name.lower() in others:
            message = f"{SORT}: column {name!r} is finished only when it is asked for, so files cannot be ordered by it"
            raise source.refuse(
                at, message, ", ".join(names.values()) or "(the view has no keys)", "name keys of the view"
            )
        if name.lower() not in names:
            raise _unknown(source, at, name, list(names.values()), f"{SORT}: the view has no such key")
        if name.lower() in seen:
            raise source.refuse(at, f"{SORT}: {name!r} twice", "each once", "remove one of them")
        seen.add(name.lower())


def _unknown(source: Source, at: int, name: str, known: list[str], why: str) -> UserError:
    hint = close(name, known) or "name one of these, or remove it"
    return source.refuse(at, f"unknown column {name!r}: {why}", ", ".join(known) or "(there are none)", hint)
