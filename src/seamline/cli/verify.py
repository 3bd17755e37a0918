"""`seamline verify`: what a view serves, against raw."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import pyarrow.parquet as pq
import typer

from seamline.cli.backfill import FromOption, ToOption
from seamline.console import note, say, show_json, show_table
from seamline.entries.verified import Comparison
from seamline.errors import Condition, TerminalError, UserError
from seamline.jobs.asked import DateRange
from seamline.operate.spark_recompute import spark_engine
from seamline.operate.verification import Recompute, Verification, past_comparisons, verify_view
from seamline.progress import progress
from seamline.schemas.project import Project, load_project
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples

SHOWN = 50
"""Differences that are shown; JSON and the file have all."""


def add(app: typer.Typer) -> None:
    """Adds the command."""
    shown = examples(
        "seamline verify orders_by_hour --from 2026-01-01 --to 2026-01-03 --out differences.parquet",
        "seamline verify orders_by_hour --engine spark",
        "seamline verify orders_by_hour --history",
    )
    app.command(name="verify", epilog=shown)(verify)


def verify(
    view: Annotated[str, typer.Argument(help="The view.")],
    first: FromOption = None,
    last: ToOption = None,
    sample: Annotated[
        int | None,
        typer.Option("--sample", min=1, metavar="N", help="Look at N groups, others each time.", show_default="all"),
    ] = None,
    engine: Annotated[
        Literal["duckdb", "spark"], typer.Option("--engine", help="What runs the SELECT; spark: without the kernel.")
    ] = "duckdb",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the differences as Parquet.")] = None,
    history: Annotated[bool, typer.Option("--history", help="Show what was found before, and verify nothing.")] = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Hold what a view serves against its own SELECT over the raw events, at the same cut.

    Looked at is the served batch version: one pass over raw, nothing merged. Ends with 3 where rows differ.
    """
    of = load_project(project)
    if history:
        _show_history(past_comparisons(of, view), as_json)
        return
    dates = DateRange(_day(first, "--from"), _day(last, "--to"))
    with ExitStack() as stack:
        other = stack.enter_context(spark_engine(of)) if engine == "spark" else None
        found = _verified(of, view, dates, sample, other)
    if out is not None:
        pq.write_table(found.rows, out)
        note(f"written: {out}, {found.rows.num_rows:,} differences")
    if as_json:
        show_json({**_told(found.comparison), "view": view, "cut": found.cut, "rows": found.rows.to_pylist()})
    else:
        _show(found)
    if not found.agrees:
        differing = ", ".join(f"{one.column} in {one.groups:,}" for one in found.comparison.drift)
        raise TerminalError(
            Condition.PROOF_FAILED,
            f"view {view} is not what raw says: of {found.comparison.keys:,} groups {differing}",
            detail="the rows of its own SELECT over the raw events below the version's cut",
            hint=f"'seamline batch rebuild {view}' computes it anew, 'seamline views rollback {view}' goes back",
        )


def _verified(of: Project, view: str, dates: DateRange, sample: int | None, other: Recompute | None) -> Verification:
    with progress(f"verify {view}"):
        return verify_view(of, view, dates, sample, other)


def _show(found: Verification) -> None:
    one = found.comparison
    for contract, day in one.gone.items():
        note(f"raw of {contract} is gone before {day}: of earlier event dates nothing was compared")
    for column, why in one.left_out.items():
        note(f"not compared: {column}: {why}")
    if found.rows.num_rows:
        rows = [tuple(row.values()) for row in found.rows.slice(0, SHOWN).to_pylist()]
        show_table(found.rows.column_names, rows)
        more = found.rows.num_rows - SHOWN
        if more > 0:
            note(f"and {more:,} more: --out FILE has all")
    what = f"{one.keys:,} groups of version {one.version}" + (f" in {one.dates}" if one.dates else "")
    differ = "equal" if found.agrees else f"{sum(d.groups for d in one.drift):,} differences"
    say(f"{found.view}: {what}, computed by {one.engine} from raw below {found.cut}: {differ} ({one.seconds} s)")


def _show_history(found: list[Comparison], as_json: bool) -> None:
    if as_json:
        show_json([_told(one) for one in found])
        return
    columns = ("at", "definition", "version", "engine", "dates", "raw from", "sample", "keys", "drift")
    rows = [
        (
            one.at.replace(microsecond=0), one.definition, one.version, one.engine, one.dates or "all",
            ", ".join(f"{day} of {name}" for name, day in sorted(one.gone.items())), one.sample or "all", one.keys,
            ", ".join(f"{d.column} in {d.groups:,}" for d in one.drift) or "equal",
        )
        for one in found
    ]  # fmt: skip
    show_table(columns, rows)


def _told(one: Comparison) -> dict[str, Any]:
    return one.model_dump(mode="json", exclude={"format", "attempt", "kind"})


def _day(text: str | None, option: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise UserError(
            Condition.INPUT_INVALID, f"{option} {text!r}", detail="a date such as 2026-01-31", hint="write it so"
        ) from None
