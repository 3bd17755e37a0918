"""`seamline backfill status`, `history`, and an operator's words to what is under way."""

from __future__ import annotations

from typing import Annotated

import typer

from seamline.console import say, show_json, show_table
from seamline.entries.backfills import Backfill
from seamline.jobs.asked import DateRange
from seamline.operate.backfill import UnderWay, cancel, past, pause, under_way
from seamline.schemas.project import load_project
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption

OneView = Annotated[str | None, typer.Argument(help="The view.", show_default=False)]
Which = Annotated[
    str | None,
    typer.Argument(help="Its id, or its view; default: the only one.", show_default=False, metavar="BACKFILL"),
]


def pausing(which: Which = None, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Let a backfill end after the units it is at; what is done stays done, for as long as it is paused."""
    one = pause(load_project(project), which)
    _said(one, f"paused: 'seamline backfill resume {one.id}' goes on", as_json)


def cancelling(which: Which = None, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Give a backfill up: nothing of it is served, and what it has made is swept."""
    one = cancel(load_project(project), which)
    _said(one, "cancelled", as_json)


def status(project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Show the backfills that have not led to a version that is served, and what keeps them."""
    found = under_way(load_project(project))
    if as_json:
        show_json([one.model_dump(mode="json") for one in found])
    elif not found:
        say("no backfill is under way")
    else:
        rows = [(one.id, one.view, one.asked, one.state, _done(one), one.newest, one.by) for one in found]
        show_table(("id", "view", "dates", "state", "units done", "the last", "by"), rows)
        for one in found:
            _show_kept(one)


def history(view: OneView = None, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """List the versions that backfills made and that still stand, and those that were cancelled, the newest first."""
    found = past(load_project(project), view)
    if as_json:
        show_json([one.model_dump(mode="json") for one in found])
    elif not found:
        say("no version that stands was made by a backfill")
    else:
        rows = [
            (
                one.view, one.asked, one.version, one.at, one.by, one.units, one.counted,
                {None: "", True: "equal", False: "differs"}[one.clean],
                "served" if one.served else "cancelled" if one.version is None else "", ", ".join(one.skipped),
            )
            for one in found
        ]  # fmt: skip
        columns = ("view", "dates", "version", "at", "by", "units", "counted", "audit", "", "left out")
        show_table(columns, rows)


def _said(one: Backfill, became: str, as_json: bool) -> None:
    if as_json:
        show_json(one.model_dump(mode="json"))
    else:
        say(f"backfill {one.id} of {one.view} {one.asked}: {became}")


def _done(one: UnderWay) -> str:
    return f"{one.done} of {one.units}" if one.units is not None else str(one.done)


def _show_kept(one: UnderWay) -> None:
    for unit, why in sorted(one.failed.items()):
        say(f"{one.id}: {unit} failed: {why}")
    if one.failed:
        say(
            f"{one.id}: once that is mended, or with --skip-unit UNIT: seamline backfill run {one.view} {_options(one)}"
        )
    if one.version is not None:
        say(f"{one.id}: version {one.version} is built and not served: 'seamline backfill promote {one.id}' serves it")


def _options(one: UnderWay) -> str:
    dates = DateRange.parse(one.asked)
    found = (("--from", dates.first), ("--to", dates.last))
    return " ".join(f"{option} {day}" for option, day in found if day)
