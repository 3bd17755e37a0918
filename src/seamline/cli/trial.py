"""`seamline try`: a SELECT over a file of events, without a project."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from seamline.console import note
from seamline.operate.contractinfer import SAMPLE, rejections
from seamline.operate.trial import Trial, try_file
from seamline.schemas.views.definition import Definition
from seamline.serve_cli.options import examples
from seamline.serve_cli.query import RowFormat, write
from seamline.serving.provenance import Answer, Provenances

DOUBTS = 8
"""Doubts of a drafted contract that are shown."""


def add(app: typer.Typer) -> None:
    """Adds the command."""
    shown = examples(
        'seamline try orders.jsonl.gz "SELECT shop, count(*) AS orders, sum(total) AS total FROM events GROUP BY ALL"',
        'seamline try orders.csv "SELECT * FROM events LIMIT 5" --contract contracts/orders.yaml --format json',
    )
    app.command(name="try", epilog=shown)(trial)


def trial(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines or CSV, plain or packed.")],
    sql: Annotated[
        str, typer.Argument(metavar="SQL", help="One SELECT over the file's contract, or over events; a view's or not.")
    ],
    contract: Annotated[
        Path | None,
        typer.Option("--contract", metavar="FILE", help="Its contract.", show_default="drafted from the file"),
    ] = None,
    form: Annotated[RowFormat, typer.Option("--format", help="How rows are written.")] = RowFormat.TABLE,
) -> None:
    """Ask a file of events, without a project: its contract is drafted, the answer computed here.

    Rows go to stdout; what was rejected, which copies were left out and what is unsure go to stderr.
    """
    found = try_file(file, sql, datetime.now(UTC), contract)
    write(Answer(found.table, Provenances()), form, proof=False)
    for line in _said(found, file, sql):
        note(line)


def _said(found: Trial, file: Path, sql: str) -> list[str]:
    """What the answer rests on."""
    contract, decoded = found.contract, found.decoded
    counted = decoded.records - decoded.unclaimed - decoded.rejected.total() - found.copies
    lines = [f"{counted:,} of {decoded.records:,} records count, as events of {contract.name}"]
    if decoded.rejected:
        lines.append(f"rejected: {rejections(decoded.rejected)}")
    if decoded.unclaimed:
        lines.append(f"not of this contract: {decoded.unclaimed:,}")
    if found.copies:
        lines.append(f"left out as copies, by {contract.event_id} and {contract.event_time}: {found.copies:,}")
    lines += _exactness(found.definition, found.no_view, sql)
    if found.draft is not None:
        sample = f"its first {SAMPLE:,} records" if decoded.records > SAMPLE else "all of its records"
        lines.append(f"contract: drafted from {sample}, event time {contract.event_time}, event id {contract.event_id}")
        doubts = found.draft.doubts
        lines += [f"  {one.field or contract.name}: {one.why}" for one in doubts[:DOUBTS]]
        lines += [f"  and {len(doubts) - DOUBTS} more"] if len(doubts) > DOUBTS else []
        lines.append(f"to keep it: seamline contracts infer {quote(str(file))} --out contracts/{found.draft.name}.yaml")
    return lines


def _exactness(definition: Definition | None, no_view: str, sql: str) -> list[str]:
    """How exact the answer is, and whether it could be a view's."""
    if definition is None:
        approximate = ["approx_ functions are approximate"] if "approx_" in sql.lower() else []
        return [f"asked of the events as it stands, since it is no view's: {no_view}", *approximate]
    inexact = [column for column in definition.columns if column.exactness != "exact"]
    lines = [f"{one.name}: {one.exactness}" + (f", {one.bound}" if one.bound else "") for one in inexact]
    return lines if definition.buckets else [*lines, "a view would need a time bucket among its keys besides"]
