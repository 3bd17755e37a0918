"""`seamline views test`: the project's tests of its views."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from seamline.console import note, say, show_json, show_table
from seamline.errors import Condition, TerminalError
from seamline.operate.viewtest import CaseResult, TestedViews, run_view_tests, said_of
from seamline.schemas.project import load_project
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples


def add(commands: typer.Typer) -> None:
    """Adds the command."""
    shown = examples("seamline views test", "seamline views test orders_by_hour")
    commands.command(name="test", epilog=shown)(run_tests)


def run_tests(
    views: Annotated[
        list[str] | None, typer.Argument(metavar="VIEW", help="The views.", show_default="all that have tests")
    ] = None,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Run the tests of views in tests/: their events through both layers, cut and ordered in many ways.

    Needs no lake, broker or Spark. Ends with 3 where rows are other than expected.
    """
    found = run_view_tests(load_project(Path(project)), views or [])
    if as_json:
        show_json({"cases": [_told(one) for one in found.cases], "untested": list(found.untested)})
    else:
        _show(found)
    if not found.hold:
        wrong = sum(not one.holds for one in found.cases)
        raise TerminalError(
            Condition.PROOF_FAILED,
            f"{wrong} of {len(found.cases)} cases {'does' if wrong == 1 else 'do'} not hold",
            detail="the rows that tests/ expects, however the records are read",
            hint="correct the view, or the rows that are expected",
        )


def _show(found: TestedViews) -> None:
    for one in found.cases:
        case, mark = one.case, "holds" if one.holds else "DIFFERS"
        say(f"{case.where}: {case.view}, {case.name}: {mark} ({len(case.sent)} records, read in {one.readings} ways)")
        for line in one.counted:
            say(f"  {line}")
        if one.differing is not None:
            say(f"  the smallest split that shows it: {said_of(one.differing.reading)}")
            columns = one.differing.columns
            show_table(("", *columns), [(side, *(row[c] for c in columns)) for side, row in one.differing.rows])
    if found.untested:
        note(f"no tests: {', '.join(found.untested)}")


def _told(one: CaseResult) -> dict[str, Any]:
    case, differing = one.case, one.differing
    return {
        "view": case.view,
        "case": case.name,
        "where": case.where,
        "holds": one.holds,
        "records": len(case.sent),
        "readings": one.readings,
        "counted": list(one.counted),
        "differing": None
        if differing is None
        else {
            "split": said_of(differing.reading),
            "order": [number + 1 for number in differing.reading.order],
            "cut": differing.reading.cut,
            "epochs": list(differing.reading.ends),
            "rows": [{"side": side, **row} for side, row in differing.rows],
        },
    }
