"""SQL as DuckDB itself reads it: a text's tokens, and its tree. There is no other reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import duckdb

from seamline.kernel import kernel, literal

Node: TypeAlias = dict[str, Any]
"""A node of DuckDB's tree."""

TREE = "SELECT json_serialize_sql(?, skip_null := true, skip_empty := true)"
"""Gives the tree of a text as JSON."""

NOWHERE = 2**63
"""A node's `query_location` from here on is none."""

_SPACES = dict.fromkeys([0xA0, *range(0x2000, 0x200C), 0x202F, 0x205F, 0x2060, 0x3000, 0xFEFF], " ")
"""What DuckDB's parser takes for a space, and its tokenizer does not."""
_BLANK = " \t\n\v\f\r"

_KINDS = {
    duckdb.token_type.identifier: "word",
    duckdb.token_type.keyword: "word",
    duckdb.token_type.operator: "sign",
    duckdb.token_type.comment: "comment",
}


@dataclass(frozen=True, slots=True)
class Token:
    """One token: its text, and its first and last character. A `word` is a keyword or a name without quotes, a `name`
    one in quotes and a `string` one in single quotes (the text of both is what is inside), a `literal` a number or
    another form of string, a `sign` an operator or bracket, and there is the `comment`."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def sign(self) -> str:
        """An operator or bracket, else ''."""
        return self.text if self.kind == "sign" else ""


def tokens(text: str) -> list[Token]:
    """A text's tokens, behind what DuckDB's parser would refuse too: one whose quote is missing goes to the end."""
    spaced = text.translate(_SPACES)
    data, found = spaced.encode(), duckdb.tokenize(spaced)
    start = len(data[: found[0][0]].decode()) if found else 0
    made: list[Token] = []
    for (at, kind), end in zip(found, [*(at for at, _ in found[1:]), len(data)], strict=False):
        piece = data[at:end].decode()
        if piece:  # a `$` before no name is told twice
            made.append(_token(_KINDS.get(kind, "literal"), text[start : start + len(piece.rstrip(_BLANK))], start))
        start += len(piece)
    return made


def _token(kind: str, raw: str, start: int) -> Token:
    end = start + len(raw) - 1
    if raw[0] in "\"'":
        return Token("name" if raw[0] == '"' else "string", raw[1:-1].replace(raw[0] * 2, raw[0]), start, end)
    return Token(kind, raw, start, end)


def tree(text: str, start: int = 0) -> Node:
    """The tree of a text's statements; or `error`, `error_message` and, where DuckDB tells it, `position`.

    Places are characters of the text in which this one stands from `start` on; what has none lacks it. Raises
    RecursionError where the text is nested too deeply.
    """
    found: Node = json.loads(kernel().run(TREE.replace("?", literal(text))).column(0)[0].as_py())
    if "expression depth" in found.get("error_message", ""):
        raise RecursionError(found["error_message"])
    data = text.encode()
    for node in nodes(found):
        for key in {"query_location", "position"} & node.keys():
            if (at := int(node.pop(key))) < NOWHERE:
                node[key] = start + len(data[:at].decode(errors="ignore"))
    return found


def nodes(tree: Node) -> Iterator[Node]:
    """A tree's nodes, each before those below it."""
    todo: list[Any] = [tree]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            yield one
            todo.extend(reversed(one.values()))
        elif isinstance(one, list):
            todo.extend(reversed(one))
