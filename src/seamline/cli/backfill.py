"""`seamline backfill`: recomputes event dates because an operator says so."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from seamline.cli.backfillwords import OneView, Which, cancelling, history, pausing, status
from seamline.cli.batch import summary
from seamline.console import note, say, show_json, show_table
from seamline.errors import Condition, UserError
from seamline.jobs.asked import DateRange
from seamline.jobs.pace import Allowance, Window
from seamline.jobs.stages import Outcome
from seamline.operate.backfill import Instructions, named, resume, run_backfill
from seamline.operate.backfill_plan import BackfillPlan, check_plan, load_plan, plan_backfill
from seamline.progress import progress
from seamline.schemas.project import load_project
from seamline.schemas.views.cost import bytes_said
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples, group
from seamline.wording import duration

NICENESS = 10
"""Of a backfill's processes on this machine: refreshes come first."""

FromOption = Annotated[
    str | None, typer.Option("--from", metavar="DATE", help="The first event date, as 2026-01-31; default: the first.")
]
ToOption = Annotated[str | None, typer.Option("--to", metavar="DATE", help="The last event date; default: the last.")]
CoresOption = Annotated[
    int | None, typer.Option("--cores", min=1, help="Of Spark's cores, so many at most; default: as refreshes have.")
]
UnitsOption = Annotated[
    float | None, typer.Option("--units-a-minute", min=0.01, help="So many units are begun a minute at most.")
]
WindowOption = Annotated[
    str | None, typer.Option("--window", metavar="HH:MM-HH:MM", help="Units are begun within these hours alone (UTC).")
]


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
    ran = (
        f"seamline backfill run orders_by_hour {dates}",
        "seamline backfill run --plan mend.json --window 22:00-06:00 --cores 1",
    )
    commands.command(name="run", epilog=examples(*ran))(run)
    commands.command(name="status", epilog=examples("seamline backfill status"))(status)
    commands.command(name="pause", epilog=examples("seamline backfill pause orders_by_hour"))(pausing)
    commands.command(name="resume", epilog=examples("seamline backfill resume orders_by_hour"))(resuming)
    commands.command(name="cancel", epilog=examples("seamline backfill cancel orders_by_hour"))(cancelling)
    commands.command(name="promote", epilog=examples("seamline backfill promote orders_by_hour"))(promoting)
    commands.command(name="history", epilog=examples("seamline backfill history orders_by_hour"))(history)
    app.add_typer(commands)


def plan(
    views: Annotated[list[str], typer.Argument(help="The views.", metavar="VIEW...")],
    first: FromOption = None,
    last: ToOption = None,
    definition: Annotated[
        str | None, typer.Option("--definition", metavar="HASH", help="One that waits for its first version, instead.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Save the plan of one view, for 'backfill run --plan'.")
    ] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Say which event dates would be recomputed, why, what that reads, and about how long it takes."""
    if len(views) > 1 and (out is not None or definition is not None):
        raise UserError(
            Condition.INPUT_INVALID,
            f"--out and --definition are of one view, and {len(views)} are named",
            hint="plan them one by one",
        )
    here, asked = load_project(project), _asked(first, last)
    found = [plan_backfill(here, view, asked, definition) for view in views]
    if out is not None:
        out.write_text(found[0].model_dump_json(indent=2) + "\n", encoding="utf-8")
        note(f"saved: 'seamline backfill run --plan {out}' does it, unless what it was made for has changed by then")
    if as_json:
        said = [one.model_dump(mode="json") for one in found]
        show_json(said if len(said) > 1 else said[0])
        return
    for one in found:
        _show(one)


def run(
    view: OneView = None,
    first: FromOption = None,
    last: ToOption = None,
    saved: Annotated[
        Path | None, typer.Option("--plan", metavar="FILE", help="Run a saved plan; refused where it was overtaken.")
    ] = None,
    cores: CoresOption = None,
    units: UnitsOption = None,
    window: WindowOption = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Build the version beside what is served, and only compare both.")
    ] = False,
    skipped: Annotated[
        list[str] | None,
        typer.Option(
            "--skip-unit", metavar="UNIT", help="Leave this unit as it was; answers say so until it is mended."
        ),
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
    order = Instructions(_pace(window, units), cores, shadow, tuple(skipped or ()))
    if saved is not None:
        made = load_plan(saved)
        view, asked = made.view, DateRange.parse(made.asked)
        check_plan(made, plan_backfill(here, view, asked))
    os.nice(NICENESS)
    _tell(run_backfill(here, view or "", asked, order, progress), as_json)


def resuming(
    which: Which = None,
    cores: CoresOption = None,
    units: UnitsOption = None,
    window: WindowOption = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Go on with a backfill that was paused or has died, with the units that are left."""
    here, order = load_project(project), Instructions(_pace(window, units), cores)
    one = resume(here, which)
    os.nice(NICENESS)
    _tell(run_backfill(here, one.view, DateRange.parse(one.asked), order, progress), as_json)


def promoting(which: Which = None, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Serve what 'run --shadow' has built; where the view moved on since, built on what is served now."""
    here = load_project(project)
    one = named(here, which)
    os.nice(NICENESS)
    _tell(run_backfill(here, one.view, DateRange.parse(one.asked), Instructions(), progress), as_json)


def _tell(outcome: Outcome, as_json: bool) -> None:
    """What became of it; of one that is only built, how it compares, too."""
    said = summary(outcome)
    if as_json:
        compared = outcome.audit.model_dump(mode="json") if outcome.version is None else None
        show_json({**said, "compared": compared} if compared else said)
        return
    columns = ("view", "version", "units", "counted", "audit", "result")
    show_table(columns, [[said[column] for column in columns]])
    if outcome.version is None and outcome.counts.read:
        _show_compared(outcome)


def _show_compared(outcome: Outcome) -> None:
    audit = outcome.audit
    if not audit.compared:
        say(f"nothing to compare: {audit.note or 'no version is served'}")
    elif not (audit.drift or audit.explained):
        say(f"compared with what is served, at the same cut: {audit.groups} groups, all equal")
    else:
        rows = [(d.column, d.groups, d.largest, d.explained or "unexplained") for d in (*audit.drift, *audit.explained)]
        show_table(("column", "groups that differ", "such as", "why"), rows)


def _pace(window: str | None, units: float | None) -> Allowance:
    try:
        return Allowance(Window.parse(window) if window else None, units)
    except ValueError as error:
        raise UserError(
            Condition.INPUT_INVALID,
            f"--window {window}",
            detail="two times of day in UTC, as 22:00-06:00",
            hint="give them",
        ) from error


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
    for said in found.gone:
        note(said)
    rows = [(one.unit, one.rows, bytes_said(one.bytes) if one.bytes else "", one.why) for one in found.units]
    show_table(columns, rows, title=found.view)
    say(f"{len(found.units)} event dates, {found.rows} rows, {bytes_said(found.bytes)}: {_about(found)}")
    on = f"built on version {found.version} of definition {found.definition}"
    say(f"{on if found.cut else 'built on none'}; no answer moves before it is published")


def _about(found: BackfillPlan) -> str:
    one = found.estimate
    if one is None:
        return "nothing says how long"
    took = f"about {duration(one.seconds)}" + (f", {duration(one.cpu)} of CPU" if one.cpu is not None else "")
    if not one.runs:
        return f"{took} on one core, as one unit took that was tried just now"
    return f"{took}, as its last {'run' if one.runs == 1 else f'{one.runs} runs'} took"
