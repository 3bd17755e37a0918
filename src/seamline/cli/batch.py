"""`seamline batch`: makes batch versions now, in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from seamline.console import say, show_json, show_table
from seamline.jobs.steps import Outcome
from seamline.operate.batch import make_versions
from seamline.progress import progress
from seamline.schemas.project import load_project
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples, group

ViewArgument = Annotated[str | None, typer.Argument(help="One view; default: all.")]


def add(app: typer.Typer) -> None:
    """Adds the group."""
    commands = group("batch", "Make batch versions.", "seamline batch refresh", no_args_is_help=True)
    shown = examples("seamline batch refresh", "seamline batch refresh orders_by_hour")
    commands.command(name="refresh", epilog=shown)(refresh)
    commands.command(name="rebuild", epilog=examples("seamline batch rebuild orders_by_hour"))(rebuild)
    app.add_typer(commands)


def refresh(view: ViewArgument = None, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Recompute the event dates that changed since the last version, audit, and publish."""
    run(project, view, as_json, whole=False)


def rebuild(view: ViewArgument = None, project: ProjectOption = HERE, as_json: JsonOption = False) -> None:
    """Recompute everything from the archive, audit, and publish."""
    run(project, view, as_json, whole=True)


def run(folder: Path, view: str | None, as_json: bool, *, whole: bool) -> None:
    """Makes versions and shows what became of each."""
    outcomes = make_versions(load_project(folder), view, whole=whole, show=progress)
    if as_json:
        show_json([summary(outcome) for outcome in outcomes])
    elif not outcomes:
        say("no view was applied yet: run 'seamline views apply'")
    else:
        columns = ("view", "version", "definition", "units", "counted", "audit", "result")
        show_table(columns, [[summary(outcome)[column] for column in columns] for outcome in outcomes])


def summary(outcome: Outcome) -> dict[str, Any]:
    """What a run did, for a table and for scripts."""
    made = outcome.version is not None
    audit = "equal" if outcome.audit.clean else "; ".join(f"{d.column} differs" for d in outcome.audit.drift)
    return {
        "view": outcome.view,
        "version": outcome.version,
        "definition": outcome.definition or None,
        "units": outcome.units if made else None,
        "counted": outcome.counts.counted if made else None,
        "audit": (audit if outcome.audit.compared else "nothing to compare") if made else None,
        "result": outcome.reason,
        "cut": outcome.cut.to_json() if made else None,
    }
