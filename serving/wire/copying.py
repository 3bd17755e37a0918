"""COPY … TO STDOUT: what it asks for, and how its answer is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pyarrow as pa

from seamline.kernel import quote
from seamline.serving.wire import rows
from seamline.serving.wire.cut import Statement, closing, name_of, statements, syntax_error
from seamline.serving.wire.failing import WireError
from seamline.serving.wire.kinds import WireType
from seamline.serving.wire.rows import WireColumn
from seamline.sql import Token


@dataclass(frozen=True)
class Copy:
    """A COPY: its query, and the options."""

    query: Statement
    format: str = "text"
    delimiter: str = ""
    null: str | None = None
    header: bool = False
    quote: str = '"'
    every: bool = False
    """Whether every value is quoted."""

    def __post_init__(self) -> None:
        said = self.delimiter or self.between
        if self.format == "binary" and (self.delimiter or self.null is not None or self.header):
            raise WireError("42601", "cannot specify DELIMITER, NULL or HEADER in BINARY mode")
        if len(said) != 1 or ord(said) > 126 or said in "\r\n" or (said == self.quote and self.format == "csv"):
            raise WireError("22023", "COPY delimiter must be a single one-byte character")
        if self.null is not None and any(one in self.null for one in ("\r", "\n", said)):
            raise WireError("22023", "COPY null representation cannot use newline, carriage return or the delimiter")

    @property
    def between(self) -> str:
        """What stands between two values."""
        return self.delimiter or ("," if self.format == "csv" else "\t")

    def begun(self, columns: tuple[WireColumn, ...]) -> bytes:
        """What is written before the first row."""
        if self.format == "binary":
            return rows.COPY_HEAD
        names = [one.name.encode() for one in columns]
        if not self.header:
            return b""
        if self.format == "csv":
            return rows.csv_line(names, self.between.encode(), self._null, self.quote.encode(), every=False)
        return self.between.encode().join(names) + b"\n"

    def written(self, batch: pa.RecordBatch, kinds: list[WireType]) -> Iterator[bytes]:
        """The rows of a batch."""
        delimiter = self.between.encode()
        if self.format == "binary":
            return rows.copy_binary(batch, kinds)
        if self.format == "csv":
            return rows.copy_csv(batch, kinds, delimiter, self._null, self.quote.encode(), self.every)
        return rows.copy_text(batch, kinds, delimiter, self._null)

    @property
    def ended(self) -> bytes:
        """What is written after the last row."""
        return rows.COPY_TAIL if self.format == "binary" else b""

    @property
    def _null(self) -> bytes:
        return (self.null if self.null is not None else "" if self.format == "csv" else "\\N").encode()


def read_copy(statement: Statement) -> Copy:
    """A COPY statement. Raises WireError: 25006 for one that would write, 42501 for one to a file."""
    found, words = statement.tokens, statement.words
    query, at = _source(statement)
    if at >= len(found):
        raise syntax_error(statement)
    if words[at] == "FROM":
        raise WireError("25006", "cannot execute COPY FROM in a read-only transaction")
    if words[at] != "TO":
        raise syntax_error(statement, found[at])
    if at + 1 >= len(found) or words[at + 1] != "STDOUT":
        raise WireError("42501", "COPY to a file or a program", hint="COPY … TO STDOUT, or psql's \\copy")
    return _options(Copy(query), statement, at + 2)


def _source(statement: Statement) -> tuple[Statement, int]:
    """The query, and the number of the token after it."""
    found = statement.tokens
    if len(found) < 2:
        raise syntax_error(statement)
    if found[1].sign == "(":
        if (closes := closing(found, 1)) < 3:
            raise syntax_error(statement)
        inside = statement.text[found[2].start : found[closes - 1].end + 1]
        return statements(inside)[0], closes + 1
    at, names = 1, list[Token]()
    while at < len(found) and found[at].kind in ("word", "name"):
        names.append(found[at])
        if at + 1 < len(found) and found[at + 1].sign == ".":
            at += 2
            continue
        at += 1
        break
    if not names:
        raise syntax_error(statement, found[1])
    columns = "*"
    if at < len(found) and found[at].sign == "(":
        if (closes := closing(found, at)) < 0:
            raise syntax_error(statement)
        columns = statement.text[found[at].end + 1 : found[closes].start]
        at = closes + 1
    table = ".".join(quote(name_of(one)) for one in names)
    return statements(f"SELECT {columns} FROM {table}")[0], at


def _options(made: Copy, statement: Statement, at: int) -> Copy:
    found, words = statement.tokens, statement.words
    at += at < len(found) and words[at] == "WITH"
    if at < len(found) and found[at].sign == "(":
        at += 1
    while at < len(found):
        word = words[at]
        if found[at].sign in ("(", ")", ","):
            at += 1
            continue
        if word not in _OPTIONS:
            raise WireError("42601", f'option "{word.lower()}" not recognized', position=found[at].start + 1)
        value = at + 1
        value += value < len(found) and words[value] == "AS"
        made, taken = _OPTIONS[word](made, found[value] if value < len(found) else None)
        at = value + 1 if taken else at + 1
    return made


def _said(token: Token | None) -> str:
    return token.text if token is not None and token.kind in ("string", "word", "name", "literal") else ""


def _format(made: Copy, token: Token | None) -> tuple[Copy, bool]:
    said = _said(token).lower()
    if said not in ("text", "csv", "binary"):
        raise WireError("22023", f'COPY format "{said}" not recognized')
    return replace(made, format=said), True


def _header(made: Copy, token: Token | None) -> tuple[Copy, bool]:
    said = _said(token).lower()
    known = said in ("true", "on", "1", "false", "off", "0")
    return replace(made, header=not known or said in ("true", "on", "1")), known


def _character(token: Token | None) -> str:
    said = token.text if token is not None else ""
    return "\t" if said.lower() in ("e'\\t'", "\\t") else said


def _encoding(made: Copy, token: Token | None) -> tuple[Copy, bool]:
    if _said(token).upper().replace("-", "") not in ("UTF8", "UNICODE"):
        raise WireError("0A000", f"encoding {_said(token)}", detail="UTF8")
    return made, True


_OPTIONS: dict[str, Callable[[Copy, Token | None], tuple[Copy, bool]]] = {
    "FORMAT": _format,
    "HEADER": _header,
    "CSV": lambda made, token: (replace(made, format="csv"), False),
    "BINARY": lambda made, token: (replace(made, format="binary"), False),
    "DELIMITER": lambda made, token: (replace(made, delimiter=_character(token)), True),
    "NULL": lambda made, token: (replace(made, null=token.text if token else ""), True),
    "QUOTE": lambda made, token: (replace(made, quote=_character(token)), True),
    "FORCE_QUOTE": lambda made, token: (replace(made, every=True), True),
    "ENCODING": _encoding,
}
"""By its word: the COPY with it, and whether the word's value was taken."""
