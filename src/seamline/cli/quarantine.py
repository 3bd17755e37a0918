"""`seamline quarantine`: rejected records, why, since when, and their bytes."""

from __future__ import annotations

from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from seamline.console import note, say, show_json, show_table
from seamline.errors import Condition, UserError
from seamline.operate.quarantine import records, rejects, trend
from seamline.schemas.project import load_project
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples, group

OneContract = Annotated[str | None, typer.Argument(help="One contract; default: all.", show_default=False)]
OneReason = Annotated[str | None, typer.Option("--reason", help="Only reasons that begin so, as 'missing: id'.")]


def add(app: typer.Typer) -> None:
    """Adds the group."""
    commands = group("quarantine", "Rejected records: why, since when, and their bytes.", "seamline quarantine list")
    commands.callback(invoke_without_command=True)(quarantine)
    commands.command(name="list", epilog=examples("seamline quarantine list orders"))(list_rejects)
    shown = examples("seamline quarantine show orders --reason 'wrong type'", "seamline quarantine show --json")
    commands.command(name="show", epilog=shown)(show)
    commands.command(name="export", epilog=examples("seamline quarantine export orders --out bad.jsonl"))(export)
    commands.command(name="trend", epilog=examples("seamline quarantine trend orders"))(hours)
    app.add_typer(commands)


def quarantine(context: typer.Context, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Rejected records: why, since when, and their bytes."""
    if context.invoked_subcommand is None:
        list_rejects(None, project, as_json)


def list_rejects(contract: OneContract = None, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Count rejected records by contract and reason, the most first.

    What a mended contract has accepted since is no part of it.
    """
    found = rejects(load_project(project), contract)
    if as_json:
        show_json([asdict(one) for one in found])
    elif not found:
        say("no record is rejected")
    else:
        show_table(tuple(asdict(found[0])), [tuple(asdict(one).values()) for one in found])


def show(
    contract: OneContract = None,
    reason: OneReason = None,
    most: Annotated[int, typer.Option("--limit", min=1, help="At most so many records.")] = 10,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Show rejected records, the newest of each contract first: where they stand, why, and their bytes."""
    found = list(islice(records(load_project(project), contract, reason, most), most))
    if as_json:
        show_json([{**asdict(one), "value": one.words} for one in found])
    elif not found:
        say("no such record is rejected")
    else:
        rows = [
            (one.contract, f"{one.topic}/{one.partition}:{one.offset}", one.timestamp, one.reason, one.words)
            for one in found
        ]
        show_table(("contract", "position", "timestamp", "reason", "value"), rows)


def export(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="A new file of JSON lines.")],
    contract: OneContract = None,
    reason: OneReason = None,
    project: ProjectOption = HERE,
) -> None:
    """Write rejected records to a file, a JSON object a line: a value that is no UTF-8 as value_base64."""
    here, written = load_project(project), 0
    found = records(here, contract, reason, None)
    try:
        with out.open("x", encoding="utf-8") as file:
            for one in found:
                file.write(one.line() + "\n")
                written += 1
    except OSError as error:
        raise UserError(
            Condition.INPUT_INVALID, f"{out}: {error.strerror}", detail="a new file", hint="choose another name"
        ) from error
    note(f"{written} records written to {out}")


def hours(contract: OneContract = None, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Count rejected records by the hour of Kafka's timestamps."""
    found = trend(load_project(project), contract)
    if as_json:
        show_json(found)
    elif not found:
        say("no record is rejected")
    else:
        columns = ("hour", "contract", "reason", "records")
        show_table(columns, [tuple(one[column] for column in columns) for one in found])
