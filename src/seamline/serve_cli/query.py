"""`seamline query`: one SELECT over the views, merged from both layers, in this process: no server is needed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from enum import StrEnum
from functools import partial
from typing import Annotated

import typer

from seamline.console import is_terminal, note, say, show_json, show_table
from seamline.errors import Condition, UserError
from seamline.schemas.project import load_project
from seamline.serve_cli.options import HERE, ProjectOption, examples
from seamline.serve_cli.querywatch import answers, show_answers
from seamline.serving.encode import FORMATS, cell, distinct, rows
from seamline.serving.provenance import Answer, Provenance
from seamline.serving.serving import Serving
from seamline.wording import duration


class RowFormat(StrEnum):
    """How rows are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"


def add(app: typer.Typer, program: str = "seamline") -> None:
    """Adds the command to those of a program."""
    app.command(
        name="query",
        epilog=examples(
            f'{program} query "SELECT * FROM orders_by_hour ORDER BY hour"',
            f'{program} query "SELECT country, sum(revenue) FROM orders_by_hour GROUP BY country" --provenance',
            f'{program} query "SELECT country, MEASURE(buyers) FROM orders_by_hour GROUP BY country"',
            f'{program} query "SELECT * FROM orders_by_hour" --as-of 120 --format csv',
            f'{program} query "SELECT country, sum(orders) FROM orders_by_hour GROUP BY country" --watch',
        ),
    )(query)


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT over the project's views.")],
    form: Annotated[RowFormat, typer.Option("--format", help="How rows are written.")] = RowFormat.TABLE,
    provenance: Annotated[
        bool,
        typer.Option("--provenance", help="Say what the answer rests on: version, cut, frontier, lag."),
    ] = False,
    as_of: Annotated[
        int | None, typer.Option("--as-of", metavar="EPOCH", help="The answer as it was after that epoch.")
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Ask again whenever something is new, until Ctrl-C: a line of JSON each.")
    ] = False,
    project: ProjectOption = HERE,
) -> None:
    """Ask the views. Rows go to stdout, warnings to stderr; provenance goes below a table, beside JSON rows, else to
    stderr."""
    _keep_off_terminal(form)
    loaded = load_project(project)
    serving = Serving(loaded.lake, loaded.settings)
    if watch:
        _check_watched(form, as_of)
        pause = loaded.settings.serving.pace(loaded.lake.uri).poll
        show_answers(answers(serving, sql, pause), partial(_write_again, form=form, proof=provenance))
        return
    answer = serving.query(sql, as_of=as_of)
    for one in answer.provenance.values():
        one.check()
    for warning in answer.warnings:
        note(f"warning: {warning}")
    write(answer, form, proof=provenance)


def _check_watched(form: RowFormat, as_of: int | None) -> None:
    if as_of is not None or form not in (RowFormat.TABLE, RowFormat.JSON):
        raise UserError(
            Condition.INPUT_INVALID,
            "--watch with --as-of" if as_of is not None else f"--watch with --format {form.value}",
            detail="the newest answer, as a table or as JSON",
            hint="leave the other option out",
        )


def _write_again(answer: Answer, *, form: RowFormat, proof: bool) -> None:
    """One answer of many: as JSON it is one line."""
    for one in answer.provenance.values():
        one.check()
    if form is RowFormat.TABLE:
        write(answer, form, proof=proof)
    else:
        show_json(_as_json(answer, proof=proof), line=True)


def _as_json(answer: Answer, *, proof: bool) -> object:
    names = distinct(answer.table.column_names)
    found = [dict(zip(names, row, strict=True)) for row in rows(answer.table)]
    said = {"provenance": answer.provenance.to_json(), "warnings": list(answer.warnings)}
    return {"rows": found, **said} if proof else found


def write(answer: Answer, form: RowFormat, *, proof: bool) -> None:
    """Writes an answer to stdout, with its provenance where it does not disturb."""
    names = answer.table.column_names
    if form is RowFormat.TABLE:
        lines = answer.table.num_rows
        show_table(names, ([*map(cell, row)] for row in rows(answer.table)))
        say(f"{lines} row{'' if lines == 1 else 's'}")
        for one in answer.provenance.values() if proof else ():
            say()
            show_table(("provenance", one.view), list(_summary(one)))
    elif form is RowFormat.JSON:
        show_json(_as_json(answer, proof=proof))
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(FORMATS[form].encode(answer))
        sys.stdout.buffer.flush()
        if proof:
            note(json.dumps(answer.provenance.to_json()))


def _keep_off_terminal(form: RowFormat) -> None:
    if form is RowFormat.ARROW and is_terminal():
        raise UserError(
            Condition.INPUT_INVALID,
            "Arrow is not for a terminal",
            detail="--format table, json or csv; or Arrow into a file or a pipe",
            hint="add '> answer.arrow'",
        )


def _summary(proof: Provenance) -> Iterator[tuple[str, object]]:
    """One view's proof for a person: the chain in a few lines."""
    yield "definition", proof.definition
    yield "batch version", "none yet: from the stream's first record on" if proof.version is None else proof.version
    yield "cut", proof.cut
    spans = f"epochs {proof.epochs[0]} to {proof.epochs[1]}, no hole, no overlap" if proof.epochs else "no epoch"
    yield "after the cut", spans
    yield "reached", proof.reached
    if proof.lag_seconds is not None:
        yield "newest record", f"{duration(max(0.0, proof.lag_seconds))} ago"
    for column in proof.columns:
        if column.exactness != "exact":
            yield column.name, f"{column.exactness}: {column.bound}" if column.bound else column.exactness
