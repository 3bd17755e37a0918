"""Files of events on the command line: how they are named, and what is said of those that a contract rejects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from seamline.console import say, show_table
from seamline.operate.survey import SHOWN, Rejection

EventFilesArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help="JSON lines, CSV or Parquet; plain, .gz, .bz2, .zst, or in a .zip; '-' is standard input.",
    ),
]
FormatOption = Annotated[
    str,
    typer.Option(
        "--format", help="What '-' is, as csv or jsonl.zst; default: JSON lines or Parquet, packed as its bytes tell."
    ),
]


def show_rejections(rejected: Sequence[Rejection], words: str) -> None:
    """How many records, and for which reasons; nothing where there are none."""
    if not rejected:
        return
    say(f"{sum(one.records for one in rejected)} of them {words}:")
    show_table(("records", "reason", "first"), [(one.records, one.reason, one.first) for one in rejected[:SHOWN]])
    if len(rejected) > SHOWN:
        say(f"and {len(rejected) - SHOWN} more reasons")
