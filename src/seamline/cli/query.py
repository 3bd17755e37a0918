"""`seamline query`: one SELECT over the views, merged from both layers, in this process: no server is needed."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seamline.cli.console import is_terminal, note, say, show_json, show_table
from seamline.cli.options import HERE, ProjectOption, examples
from seamline.errors import Condition, UserError

if TYPE_CHECKING:
    import pyarrow as pa


class Format(StrEnum):
    """How rows are written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    ARROW = "arrow"


def add(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        name="query",
        epilog=examples(
            'seamline query "SELECT * FROM orders_by_hour ORDER BY hour"',
            'seamline query "SELECT country, MEASURE(customers) FROM orders_by_hour GROUP BY country" --provenance',
            'seamline query "SELECT * FROM orders_by_hour" --as-of 120 --format csv',
        ),
    )(query)


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT over the project's views.")],
    form: Annotated[Format, typer.Option("--format", help="How rows are written.")] = Format.TABLE,
    provenance: Annotated[
        bool,
        typer.Option("--provenance", help="Say what the answer rests on: version, cut, frontier, lag."),
    ] = False,
    as_of: Annotated[
        int | None, typer.Option("--as-of", metavar="EPOCH", help="The answer as it was after that epoch.")
    ] = None,
    project: ProjectOption = HERE,
) -> None:
    """Ask the views. Rows go to stdout; provenance goes below a table, beside JSON rows, else to stderr."""
    from seamline.schemas.project import load_project
    from seamline.serving.snapshot import Serving

    if form is Format.ARROW and is_terminal():
        raise UserError(
            Condition.INPUT_INVALID,
            "Arrow is not for a terminal",
            allowed="--format table, json or csv; or Arrow into a file or a pipe",
            mend="add '> answer.arrow'",
        )
    answer = Serving(load_project(project)).query(sql, as_of=as_of)
    proof = answer.provenance.to_json() if provenance else None
    write(answer.table, form, proof)


def write(table: pa.Table, form: Format, proof: Any = None) -> None:
    """Writes rows to stdout in a format, with the provenance where it does not disturb."""
    if form is Format.JSON:
        rows = table.to_pylist()
        show_json(rows if proof is None else {"rows": rows, "provenance": proof})
        return
    if form is Format.TABLE:
        show_table(table.column_names, zip(*(column.to_pylist() for column in table.columns), strict=True))
        say(f"{table.num_rows} row{'' if table.num_rows == 1 else 's'}")
        if proof is not None:
            say()
            show_proof(proof)
        return
    sys.stdout.flush()
    if form is Format.CSV:
        from pyarrow import csv

        csv.write_csv(table, sys.stdout.buffer)
    else:
        from pyarrow import ipc

        with ipc.new_stream(sys.stdout.buffer, table.schema) as stream:
            stream.write_table(table)
    sys.stdout.buffer.flush()
    if proof is not None:
        import json

        note(json.dumps(proof, default=str))


def show_proof(proof: Any) -> None:
    """The provenance as a table of names and values."""
    show_table(("provenance", ""), list(_flat(proof)))


def _flat(value: Any, name: str = "") -> Any:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(inner, dict) for inner in value):
        for index, inner in enumerate(value):
            yield from _flat(inner, f"{name}.{index}")
    else:
        yield name, ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
