"""`seamline quarantine`: rejected records, why, since when, and their bytes."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from seamline.console import note, say, show_json, show_table
from seamline.errors import Condition, UserError
from seamline.operate.quarantine import Rejects, Sought, counted, records, rejects, trend
from seamline.operate.retry import retry
from seamline.operate.survey import SHOWN
from seamline.progress import progress
from seamline.schemas.contracts.types import parse_instant
from seamline.schemas.project import Project, load_project
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples, group

OneContract = Annotated[str | None, typer.Argument(help="One contract; default: all.", show_default=False)]
OneReason = Annotated[str | None, typer.Option("--reason", help="Only reasons that begin so, as 'missing: id'.")]
OneField = Annotated[str | None, typer.Option("--field", help="Only reasons that name this field, or one inside it.")]
Since = Annotated[
    str | None, typer.Option("--from", metavar="TIME", help="Only Kafka timestamps from then on, as 2026-01-31T08:00Z.")
]
Until = Annotated[str | None, typer.Option("--to", metavar="TIME", help="Only Kafka timestamps before then.")]
Unmasked = Annotated[
    bool, typer.Option("--unmasked", help="Show what contracts hide, too: fields with a classification.")
]


def add(app: typer.Typer) -> None:
    """Adds the group."""
    commands = group("quarantine", "Rejected records: why, since when, and their bytes.", "seamline quarantine list")
    commands.callback(invoke_without_command=True)(quarantine)
    listed = examples("seamline quarantine list orders", "seamline quarantine list --field amount --from 2026-01-31")
    commands.command(name="list", epilog=listed)(list_rejects)
    shown = examples("seamline quarantine show orders --reason 'wrong type'", "seamline quarantine show --json")
    commands.command(name="show", epilog=shown)(show)
    commands.command(name="export", epilog=examples("seamline quarantine export orders --out bad.jsonl"))(export)
    commands.command(name="trend", epilog=examples("seamline quarantine trend orders"))(hours)
    commands.command(name="retry", epilog=examples("seamline quarantine retry --contract orders"))(retry_rejected)
    app.add_typer(commands)


def quarantine(context: typer.Context, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Rejected records: why, since when, and their bytes."""
    if context.invoked_subcommand is None:
        list_rejects(project=project, as_json=as_json)


def list_rejects(
    contract: OneContract = None,
    reason: OneReason = None,
    field: OneField = None,
    since: Since = None,
    until: Until = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Count rejected records by contract, reason and field, the most first.

    What a mended contract has accepted since is no part of it.
    """
    here, sought = load_project(project), _sought(contract, reason, field, since, until)
    found = rejects(here, sought)
    if sought == Sought(contract):
        _say_counted(here, found, contract)
    if as_json:
        show_json([asdict(one) for one in found])
    elif not found:
        say("no record is rejected")
    else:
        show_table(tuple(asdict(found[0])), [tuple(asdict(one).values()) for one in found])


def _sought(
    contract: str | None, reason: str | None, field: str | None, since: str | None, until: str | None
) -> Sought:
    return Sought(contract, reason, field, _instant(since, "--from"), _instant(until, "--to"))


def _instant(text: str | None, option: str) -> datetime | None:
    found = parse_instant(text) if text else None
    if text is not None and found is None:
        raise UserError(
            Condition.INPUT_INVALID,
            f"{option} {text!r}",
            detail="a date or a time, in UTC unless it says otherwise: 2026-01-31, 2026-01-31T08:00Z",
            hint="write it so",
        )
    return found


def _say_counted(project: Project, found: list[Rejects], contract: str | None) -> None:
    """Law 3's counts, where they are others."""
    standing = dict.fromkeys((one.contract for one in found), 0)
    for one in found:
        standing[one.contract] += one.records
    for name, rejected in counted(project).items():
        if contract in (None, name) and rejected != standing.get(name, 0):
            note(
                f"{name}: counted as rejected were {rejected}; since then its event time, event id or discriminator"
                f" changed, and of all its records {standing.get(name, 0)} are rejected now"
            )


def show(
    contract: OneContract = None,
    reason: OneReason = None,
    field: OneField = None,
    since: Since = None,
    until: Until = None,
    most: Annotated[int, typer.Option("--limit", min=1, help="At most so many records.")] = 10,
    unmasked: Unmasked = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Show rejected records, the newest of each contract first: where they stand, why, and their bytes.

    Values of fields with a classification are masked (***), and so is what such a contract does not know.
    """
    sought = _sought(contract, reason, field, since, until)
    found = list(islice(records(load_project(project), sought, most, unmasked=unmasked), most))
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
        if any(one.masked for one in found):
            note("*** is masked by a contract's classification; --unmasked shows it")


def export(
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="A new file of JSON lines.")],
    contract: OneContract = None,
    reason: OneReason = None,
    field: OneField = None,
    since: Since = None,
    until: Until = None,
    unmasked: Unmasked = False,
    project: ProjectOption = HERE,
) -> None:
    """Write rejected records to a file, a JSON object a line: a value that is no UTF-8 as value_base64.

    Masked as `show` masks them, and then said so: "masked": true.
    """
    here, sought, written, hidden = load_project(project), _sought(contract, reason, field, since, until), 0, 0
    total = sum(one.records for one in rejects(here, sought))
    try:
        with out.open("x", encoding="utf-8") as file, progress(f"export to {out}", total) as advance:
            for one in records(here, sought, unmasked=unmasked):
                file.write(one.line() + "\n")
                written += 1
                hidden += one.masked
                advance()
    except OSError as error:
        raise UserError(
            Condition.INPUT_INVALID, f"{out}: {error.strerror}", detail="a new file", hint="choose another name"
        ) from error
    masked = f", {hidden} of them masked (--unmasked writes them as they are)" if hidden else ""
    note(f"{written} records written to {out}{masked}")


def hours(
    contract: OneContract = None,
    reason: OneReason = None,
    field: OneField = None,
    since: Since = None,
    until: Until = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Count rejected records by the hour of Kafka's timestamps."""
    found = trend(load_project(project), _sought(contract, reason, field, since, until))
    if as_json:
        show_json(found)
    elif not found:
        say("no record is rejected")
    else:
        columns = ("hour", "contract", "reason", "records")
        show_table(columns, [tuple(one[column] for column in columns) for one in found])


def retry_rejected(
    contract: Annotated[str, typer.Option("--contract", help="The contract that was mended.")],
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """File what a mended contract accepts under its dates, at once, and say which views have it when.

    The running archive does it, or this command where none runs. What is rejected still stays as it is.
    """
    done = retry(load_project(project), contract, show=progress)
    if as_json:
        show_json(asdict(done))
        return
    by = "by the running archive" if done.filed.by_role else "by this command"
    say(f"{done.filed.accepted} records accepted and filed {by}")
    left = sum(one.records for one in done.left)
    say(f"{left} records rejected still" + (":" if left else ""))
    if done.left:
        show_table(("records", "reason"), [(one.records, one.reason) for one in done.left[:SHOWN]])
    for view in done.views:
        say(f"{view.view}: {view.when}")
