"""`seamline backfill`: recomputes event dates because an operator says so."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from seamline.cli.batch import summary
from seamline.console import note, say, show_json, show_table
from seamline.errors import Condition, UserError
from seamline.jobs.asked import DateRange
from seamline.operate.backfill import (
    BackfillPlan,
    check_plan,
    load_plan,
    past,
    plan_backfill,
    run_backfill,
    under_way,
)
from seamline.progress import progress
from seamline.schemas.project import load_project
from seamline.schemas.views.cost import bytes_said
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples, group
from seamline.wording import duration

OneView = Annotated[str | None, typer.Argument(help="The view.", show_default=False)]
FromOption = Annotated[
    str | None, typer.Option("--from", metavar="DATE", help="The first event date, as 2026-01-31; default: the first.")
]
ToOption = Annotated[str | None, typer.Option("--to", metavar="DATE", help="The last event date; default: the last.")]


def add(app: typer.Typer) -> None:
    """Adds the group."""
    about = "Recompute event dates of a view, whatever has changed of them."
    commands = group("backfill", about, "seamline backfill plan orders_by_hour", no_args_is_help=True)
    dates = "--from 2026-01-01 --to 2026-01-03"
    planned = (
        f"seamline backfill plan orders_by_hour {dates}",
        "seamline backfill plan orders_by_hour --out mend.json",
    )
    commands.command(name="plan", epilog=examples(*planned))(plan)
    ran = (f"seamline backfill run orders_by_hour {dates}", "seamline backfill run --plan mend.json")
    commands.command(name="run", epilog=examples(*ran))(run)
    commands.command(name="status", epilog=examples("seamline backfill status"))(status)
    commands.command(name="history", epilog=examples("seamline backfill history orders_by_hour"))(history)
    app.add_typer(commands)


def plan(
    view: Annotated[str, typer.Argument(help="The view.")],
    first: FromOption = None,
    last: ToOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Save the plan, for 'backfill run --plan'.")
    ] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Say which event dates would be recomputed, why, what that reads, and about how long it takes."""
    found = plan_backfill(load_project(project), view, _asked(first, last))
    if out is not None:
        out.write_text(found.model_dump_json(indent=2) + "\n", encoding="utf-8")
        note(f"saved: 'seamline backfill run --plan {out}' does it, unless what it was made for has changed by then")
    if as_json:
        show_json(found.model_dump(mode="json"))
    else:
        _show(found)


def run(
    view: OneView = None,
    first: FromOption = None,
    last: ToOption = None,
    saved: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="Run a saved plan; refused where it was overtaken.")
    ] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Recompute event dates, audit, and publish in one entry. Killed and run again, it goes on with the units left."""
    if (view is None) == (saved is None) or (saved is not None and (first or last)):
        raise UserError(
            Condition.INPUT_INVALID,
            "which dates to recompute is not clear",
            detail="a view, with --from and --to where only some dates are meant; or --plan FILE alone",
            hint="'seamline backfill run --help' has an example of each",
        )
    here, asked = load_project(project), _asked(first, last)
    if saved is not None:
        made = load_plan(saved)
        view, asked = made.view, DateRange.parse(made.asked)
        check_plan(made, plan_backfill(here, view, asked))
    outcome = run_backfill(here, view or "", asked, progress)
    if as_json:
        show_json(summary(outcome))
    else:
        columns = ("view", "version", "units", "counted", "audit", "result")
        show_table(columns, [[summary(outcome)[column] for column in columns]])


def status(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Show the backfills that were begun and have not led to a version yet."""
    found = under_way(load_project(project))
    if as_json:
        show_json([one.model_dump() for one in found])
    elif not found:
        say("no backfill is under way")
    else:
        rows = [(one.view, one.asked, one.done, one.since, one.until) for one in found]
        show_table(("view", "dates", "units done", "since", "reserved until"), rows)


def history(view: OneView = None, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """List the versions that backfills made and that still stand, the newest first."""
    found = past(load_project(project), view)
    if as_json:
        show_json([one.model_dump() for one in found])
    elif not found:
        say("no version that stands was made by a backfill")
    else:
        rows = [
            (one.view, one.asked, one.version, one.at, one.units, one.counted, "equal" if one.clean else "differs",
             "served" if one.served else "")
            for one in found
        ]  # fmt: skip
        show_table(("view", "dates", "version", "at", "units", "counted", "audit", ""), rows)


def _asked(first: str | None, last: str | None) -> DateRange:
    found = DateRange(_date(first, "--from"), _date(last, "--to"))
    if found.first and found.last and found.last < found.first:
        raise UserError(
            Condition.INPUT_INVALID,
            f"no date is in {found.name}",
            detail="--from is at or before --to; both are included",
            hint="give them the other way round",
        )
    return found


def _date(text: str | None, option: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise UserError(
            Condition.INPUT_INVALID, f"{option} {text}", detail="a date, as 2026-01-31", hint="give one"
        ) from error


def _show(found: BackfillPlan) -> None:
    if not found.units:
        say(f"{found.view}: nothing to do: {found.reason}")
        return
    columns = ("unit", "rows", "bytes", "why")
    rows = [(one.unit, one.rows, bytes_said(one.bytes) if one.bytes else "", one.why) for one in found.units]
    show_table(columns, rows)
    took = "no run of this definition says how long" if found.seconds is None else _about(found)
    say(f"{len(found.units)} event dates, {found.rows} rows, {bytes_said(found.bytes)}: {took}")
    say(f"built on version {found.version} of definition {found.definition}; no answer moves before it is published")


def _about(found: BackfillPlan) -> str:
    runs = "its last run" if found.runs == 1 else f"its last {found.runs} runs"
    return f"about {duration(found.seconds or 0)}, as {runs} took"
