"""The one place that renders for people: rich tables and colour on a terminal, plain aligned text anywhere else."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seamline.errors import SeamlineError, TerminalError
from seamline.wording import cell

GAP = 2
"""Spaces between the columns of a plain table."""

LEAST = 8
"""Characters of a cell that are always shown."""


def is_terminal(stream: TextIO | None = None) -> bool:
    """Whether a person is looking at `stream` (stdout unless told)."""
    return bool((stream or sys.stdout).isatty())


def say(text: str = "") -> None:
    """A line of result on stdout; at once, so that a pipe sees it too."""
    print(text, flush=True)


def note(text: str) -> None:
    """A line about what is going on, on stderr: it never mixes with results."""
    print(text, file=sys.stderr, flush=True)


def show_json(value: Any, *, line: bool = False) -> None:
    """For scripts: one JSON document, or `line` of it; instants are ISO 8601, what JSON has no type for is text."""
    print(json.dumps(value, indent=None if line else 2, ensure_ascii=False, default=_jsonable), flush=line)


def show_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "", most: int | None = None
) -> None:
    """A table: rich on a terminal; elsewhere aligned columns that are never cut off, unless it is to be `most` wide."""
    cells = [[cell(value) for value in row] for row in rows]
    if most is not None:
        cells = fitted(columns, cells, most)
    numeric = [all(_is_number(row[i]) for row in cells if row[i]) and bool(cells) for i in range(len(columns))]
    if not is_terminal():
        if title:
            print(title)
        print(plain_table(columns, cells, numeric), flush=True)
        return
    table = Table(title=title or None, title_justify="left", header_style="bold")
    for name, right in zip(columns, numeric, strict=True):
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in cells:
        table.add_row(*map(escape, row))
    Console().print(table)


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]], numeric: Sequence[bool]) -> str:
    """Columns padded to their widest cell and two spaces apart."""
    lines = [list(columns), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]

    def padded(line: Sequence[str]) -> str:
        fitted = (
            text.rjust(width) if right else text.ljust(width)
            for text, width, right in zip(line, widths, numeric, strict=True)
        )
        return "  ".join(fitted).rstrip()

    return "\n".join(padded(line) for line in lines)


def fitted(columns: Sequence[str], rows: Sequence[Sequence[str]], most: int) -> list[list[str]]:
    """The cells, the longest of them shortened in their middle until the table is at most `most` wide; no column gets
    narrower than its name. Pure."""
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    while sum(widths) + GAP * (len(widths) - 1) > most:
        room = [width - max(len(name), LEAST) for width, name in zip(widths, columns, strict=True)]
        widest = max(range(len(widths)), key=lambda i: (room[i] > 0, widths[i]))
        if room[widest] <= 0:
            break
        widths[widest] -= 1
    return [[shortened(text, width) for text, width in zip(row, widths, strict=True)] for row in rows]


def shortened(text: str, width: int) -> str:
    """The text, or its beginning and its end around an ellipsis."""
    if len(text) <= width:
        return text
    end = (width - 1) // 2
    return text[: width - 1 - end] + "…" + text[len(text) - end :]


def show_error(error: SeamlineError) -> None:
    """Message, detail and hint, on stderr; of what an operator has to decide, the runbook too."""
    runbook = error.runbook if isinstance(error, TerminalError) else ""
    if not is_terminal(sys.stderr):
        print(f"error: {error}" + (f"\n  runbook: {runbook}" if runbook else ""), file=sys.stderr)
        return
    console = Console(stderr=True, highlight=False)
    where = f"[bold]{escape(error.where)}[/]: " if error.where else ""
    console.print(f"[bold red]error[/] [red]{escape(f'[{error.condition}]')}[/] {where}{escape(error.message)}")
    for label, text in (("detail", error.detail), ("hint", error.hint), ("runbook", runbook)):
        if text:
            console.print(f"  [dim]{label}:[/] {escape(text)}")


def _is_number(text: str) -> bool:
    try:
        float(text.replace(",", "").rstrip("%"))
    except ValueError:
        return False
    return True


def _jsonable(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    return str(value)
