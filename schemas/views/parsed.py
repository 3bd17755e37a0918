"""A view's statement taken apart into header and clauses, before any name in it is looked up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from seamline.schemas.views.clauses import Clauses, read_clauses
from seamline.schemas.views.headers import Header, read_header
from seamline.schemas.views.source import Source
from seamline.schemas.views.unions import Branch, read_union
from seamline.sql import Token


@dataclass(frozen=True)
class ParsedView:
    """One view statement as written and as it was taken apart."""

    source: Source
    header: Header = field(compare=False, repr=False)

    select: list[Token] = field(compare=False, repr=False)
    """The tokens of its SELECT, a union after FROM as one."""

    branches: tuple[Branch, ...] = field(compare=False, repr=False)
    """The union's; none where FROM names one contract or view."""

    clauses: Clauses = field(compare=False, repr=False)

    @property
    def name(self) -> str:
        """The view's name."""
        return self.header.name

    @property
    def text(self) -> str:
        """All of the statement."""
        return self.source.text

    @property
    def properties(self) -> dict[str, str]:
        """Its TBLPROPERTIES."""
        return self.header.properties

    @property
    def tables(self) -> tuple[Token, ...]:
        """What it reads: every name after FROM."""
        return tuple(branch.clauses.table for branch in self.branches) or (self.clauses.table,)

    @property
    def contracts(self) -> Mapping[str, int]:
        """The names after FROM, and the characters of `text` where they stand."""
        return {table.text: table.start for table in self.tables}


def parse(source: Source) -> ParsedView:
    """One statement taken apart. Raises VIEW_INVALID for everything that a view cannot have, whatever it reads."""
    header = read_header(source, source.tokens())
    select, branches = read_union(source, header.select)
    return ParsedView(source, header, select, branches, read_clauses(source, select))
