"""`seamline import`: files of events straight into the archive."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from seamline.cli.files import EventFilesArgument, FormatOption, show_rejections
from seamline.console import note, show_json, show_table
from seamline.operate.imports import import_files, is_viewed
from seamline.progress import progress
from seamline.schemas.project import load_project
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples


def add(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        name="import",
        epilog=examples(
            "seamline import 2025.jsonl.gz --contract orders",
            "seamline import january.csv february.csv --contract orders --json",
            "seamline import orders.parquet months.zip --contract orders",
        ),
    )(import_)


def import_(
    files: EventFilesArgument,
    contract: Annotated[str, typer.Option("--contract", help="The contract of these events.")],
    kind: FormatOption = "",
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Take files of events into the archive, without Kafka. They are served from the next batch version on.

    A file is known by its content: one that was imported before is not taken again.
    """
    loaded = load_project(project)
    done = import_files(loaded, files, loaded.contract(contract), kind=kind, show=progress, say=note)
    rows = [
        {
            "file": one.file, "already": one.already, **one.counts.model_dump(), "source": one.source,
            "reasons": [asdict(of) for of in one.rejected],
        }
        for one in done
    ]  # fmt: skip
    if as_json:
        show_json(rows)
        return
    columns = ("file", "read", "counted", "rejected")
    results = ["imported before: nothing done" if one.already else "imported" for one in done]
    show_table(
        (*columns, "result"), [(*(row[c] for c in columns), word) for row, word in zip(rows, results, strict=True)]
    )
    show_rejections([one for taken in done for one in taken.rejected], "are rejected")
    if all(one.already for one in done):
        return
    if is_viewed(loaded, contract):
        note("they are served from the next batch version on: 'seamline batch refresh' makes it")
        return
    note(f"no view of {contract} is applied yet: 'seamline views apply', then 'seamline batch refresh', serves them")
