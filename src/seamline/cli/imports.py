"""`seamline import`: files of events straight into the archive."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from seamline.advance import Advance
from seamline.cli.options import HERE, JsonOption, ProjectOption, examples
from seamline.cli.survey import check_files
from seamline.console import note, show_json, show_table
from seamline.operate.events import EventFile
from seamline.progress import progress
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.contract import Contract
from seamline.schemas.project import Project, load_project
from seamline.streaming.imports import import_events


def add(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        name="import",
        epilog=examples(
            "seamline import 2025.jsonl.gz --contract orders",
            "seamline import january.csv february.csv --contract orders --json",
        ),
    )(import_)


def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="JSON lines or CSV; plain, .gz or .bz2.")],
    contract: Annotated[str, typer.Option("--contract", help="The contract of these events.")],
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Take files of events into the archive, without Kafka. They are served from the next batch version on.

    A file is known by its content: one that was imported before is not taken again.
    """
    loaded = load_project(project)
    wanted = loaded.contract(contract)
    check_files(files, wanted)
    done: list[dict[str, Any]] = []
    for path in files:
        with progress(f"import {path.name}", path.stat().st_size * 2) as advance:
            taken = import_events(loaded, contract, lambda path=path, by=advance: values(path, wanted, by))  # type: ignore[misc]
        done.append({"file": str(path), "already": taken.already, **taken.counts.model_dump(), "source": taken.source})
    if as_json:
        show_json(done)
        return
    columns = ("file", "read", "counted", "rejected", "result")
    results = ["imported before: nothing done" if one["already"] else "imported" for one in done]
    show_table(columns, [(*(one[c] for c in columns[:-1]), word) for one, word in zip(done, results, strict=True)])
    if not all(one["already"] for one in done):
        note(_next(loaded, contract))


def _next(project: Project, contract: str) -> str:
    """What makes imported events part of an answer."""
    served = [state for state in Catalogue(project.lake).states.values() if state.served]
    if any(contract in record.contracts for state in served for record in state.definitions):
        return "they are served from the next batch version on: 'seamline batch refresh' makes it"
    return f"no view of {contract} is applied yet: 'seamline views apply', then 'seamline batch refresh', serves them"


def values(path: Path, contract: Contract, advance: Advance) -> Iterator[bytes]:
    """The records of one file, from the first on; tells the bytes read. An import reads twice: hash, then rows."""
    with EventFile(path) as file:
        before = 0
        for number, value in enumerate(file.values(contract)):
            yield value
            if number % 1000 == 0:
                advance(file.done - before, f"{number} records")
                before = file.done
        advance(file.done - before)
