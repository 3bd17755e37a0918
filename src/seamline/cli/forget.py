"""`seamline forget`: records of a person are taken out of everything that holds them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from seamline.console import note, say, show_json, show_table
from seamline.errors import Condition, UserError
from seamline.jobs.forgetting import Looked, check_gone
from seamline.operate.forget import (
    ForgetRequest,
    kept_by_kafka,
    look_for,
    parse_where,
    pursue,
    read_ids,
    request,
    requests,
)
from seamline.operate.valuesearch import where_held
from seamline.progress import progress
from seamline.schemas.project import Project, load_project
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples, group

ABOUT = "Take the records of a person out of raw, versions and epochs, for good. Later copies do not count."
SHOWN = (
    "seamline forget --contract orders --where \"customer = 'alice'\" --dry-run",
    "seamline forget --contract orders --ids ids.txt --yes",
)


def add(app: typer.Typer) -> None:
    """Adds the group."""
    commands = group("forget", ABOUT, *SHOWN, invoke_without_command=True)
    commands.callback()(forget)
    commands.command(name="run", epilog=examples("seamline forget run"))(run)
    commands.command(name="list", epilog=examples("seamline forget list --json"))(list_requests)
    commands.command(
        name="check", epilog=examples("seamline forget check --contract orders --where \"customer = 'alice'\"")
    )(check)
    commands.command(name="status", epilog=examples("seamline forget status"))(status)
    app.add_typer(commands)


def forget(
    context: typer.Context,
    contract: Annotated[str | None, typer.Option("--contract", help="The contract of the records.")] = None,
    where: Annotated[
        str | None, typer.Option("--where", metavar="CONDITION", help="field = value, or field IN (value, …).")
    ] = None,
    ids: Annotated[Path | None, typer.Option("--ids", metavar="FILE", help="Event ids instead, one a line.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many records there are, and when.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    withhold: Annotated[
        bool, typer.Option("--withhold", help="Views of the contract refuse to answer until they are without them.")
    ] = False,
    drop_gone: Annotated[
        bool, typer.Option("--drop-gone", help="What views hold of dates whose raw is gone goes too, whole.")
    ] = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Take the records of a person out of raw, versions and epochs, for good. Later copies do not count."""
    if context.invoked_subcommand is not None:
        return
    field, values = _sought(where if contract else None, ids if contract else None)
    here = load_project(project)
    looked = look_for(here, contract or "", field, values)
    if as_json:
        note(_summary(looked))
    else:
        _preview(looked)
    if not dry_run:
        check_gone(looked, drop_gone=drop_gone)
    if dry_run or not (looked.found.rows.num_rows or drop_gone):
        if as_json:
            show_json(_found(looked))
        return
    if not yes and not typer.confirm("This cannot be undone. Forget them?", err=True):
        note("nothing was done")
        raise typer.Exit(1)
    stream = looked.asked.contract.stream
    number = request(here, looked, withhold=withhold, drop_gone=drop_gone)
    note(f"request {number} of stream {stream} stands: whatever happens now, it is gone on with")
    _go_on(here, stream)
    _show([one for one in requests(here) if (one.stream, one.number) == (stream, number)], here, as_json)


def run(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Go on with what is asked, where 'seamline up' does not run: each part that no role does is done here."""
    here = load_project(project)
    for stream in here.streams:
        _go_on(here, stream)
    _show(requests(here), here, as_json)


def list_requests(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """List what was asked, and how far each is."""
    here = load_project(project)
    found = requests(here)
    if as_json:
        show_json([_said(one) for one in found])
    elif not found:
        say("nothing was asked to be forgotten")
    else:
        columns = ("stream", "request", "contract", "field", "at", "records", "state")
        rows = [(o.stream, o.number, o.contract, o.field, o.at, o.records, o.state) for o in found]
        show_table(columns, rows)


def status(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Show the receipt of each request: what went when, what waits for what, and what Kafka still keeps."""
    here = load_project(project)
    _show(requests(here), here, as_json)


def check(
    contract: Annotated[str, typer.Option("--contract", help="The contract of the records.")],
    where: Annotated[
        str | None, typer.Option("--where", metavar="CONDITION", help="field = value, or field IN (value, …).")
    ] = None,
    ids: Annotated[Path | None, typer.Option("--ids", metavar="FILE", help="Event ids instead, one a line.")] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Decode all that stands in the lake and in this machine's logs, and list what holds one of the values.

    Ends with 1 where something does. What Kafka keeps, 'forget status' says.
    """
    here = load_project(project)
    held = where_held(here, contract, *_sought(where, ids), show=progress)
    if as_json:
        show_json([asdict(one) for one in held])
    elif held:
        show_table(("object", "where"), [(one.path, one.where) for one in held])
    else:
        say("no object and no log holds them")
    if held:
        raise typer.Exit(1)


def _sought(where: str | None, ids: Path | None) -> tuple[str, list[str]]:
    """A field ('': the event id) and its values. Raises INPUT_INVALID."""
    if (where is None) == (ids is None):
        raise UserError(
            Condition.INPUT_INVALID,
            "which records is not clear",
            detail="--contract NAME, and one of --where CONDITION and --ids FILE",
            hint="'seamline forget --help' has an example of each",
        )
    return parse_where(where) if where is not None else ("", read_ids(ids or Path()))


def _go_on(here: Project, stream: str) -> None:
    why = pursue(here, stream, progress)
    if why:
        note(f"it waits: {why}; 'seamline forget run' goes on, and so do the roles of 'seamline up'")


def _preview(looked: Looked) -> None:
    found = looked.found
    say(_summary(looked))
    if found.days:
        show_table(("event date", "records"), sorted(found.days.items()))


def _summary(looked: Looked) -> str:
    counts = looked.found.counts
    first = looked.archive.first_date(looked.asked.contract.name)
    gone = (
        f"; raw is gone before {first}, and what views hold of those dates goes with --drop-gone alone" if first else ""
    )
    return (
        f"{counts.read} records of {looked.asked.contract.name}: {counts.counted} count, {counts.rejected} are rejected"
        + gone
    )


def _found(looked: Looked) -> dict[str, Any]:
    found = looked.found
    return {
        "contract": looked.asked.contract.name, "field": looked.asked.field, "records": found.counts.read,
        "counted": found.counts.counted, "rejected": found.counts.rejected,
        "days": {day.isoformat(): number for day, number in found.days.items()},
        "raw_begins": _iso(looked.archive.first_date(looked.asked.contract.name)),
    }  # fmt: skip


def _iso(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _said(one: ForgetRequest) -> dict[str, Any]:
    days = {day.isoformat(): number for day, number in one.days.items()}
    return {**asdict(one), "days": days, "until": one.until.to_json()}


def _show(found: list[ForgetRequest], here: Project, as_json: bool) -> None:
    kept = {(one.stream, one.number): kept_by_kafka(here, one) for one in found}
    if as_json:
        show_json([{**_said(one), "kafka": kept[one.stream, one.number]} for one in found])
        return
    if not found:
        say("nothing was asked to be forgotten")
    for one in found:
        _receipt(one, kept[one.stream, one.number])


def _receipt(one: ForgetRequest, kept: dict[str, tuple[int, int]] | None) -> None:
    say(f"request {one.number} of stream {one.stream}: {one.records} records of {one.contract}, by {one.field}, "
        f"asked {one.at.isoformat(timespec='seconds')}")  # fmt: skip
    say(f"  {one.state}" + (f" since {one.since.isoformat(timespec='seconds')}" if one.since else ""))
    for table, (before, after) in one.raw.items():
        say(f"  {table}: version {after} is the first without them, {before} was the last with them")
    for definition, number in one.versions.items():
        say(f"  definition {definition}: batch versions below {number} are withdrawn")
    if one.epochs:
        say(f"  epochs up to {one.epochs}: their ids alone are left")
    if one.removed_from is not None:
        say(f"  what held them is removed from {one.removed_from.isoformat(timespec='seconds')} on")
    if kept is None:
        say("  Kafka does not answer, so what it keeps is not known")
    for place, (first, last) in (kept or {}).items():
        say(f"  Kafka keeps {place} from offset {first}: records below {last} may be among them until its retention")
