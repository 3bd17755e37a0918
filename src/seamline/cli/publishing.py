"""`seamline publish`: a view for readers outside."""

from __future__ import annotations

import json
import threading
from typing import Annotated, Any

import typer

from seamline.console import note, say, show_json
from seamline.errors import Condition, UserError
from seamline.operate.publishing import Outlets, Publication, follow_view, outlets, publish_view
from seamline.progress import progress
from seamline.schemas.project import load_project
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples
from seamline.signals import stopping


def add(app: typer.Typer) -> None:
    """Adds the command."""
    shown = examples(
        "seamline publish orders_by_hour",
        "seamline publish orders_by_hour --follow --topic shop.orders",
        "seamline publish orders_by_hour --purge",
        "seamline publish orders_by_hour --delta-only --table s3://reports/orders_by_hour --json",
    )
    app.command(name="publish", epilog=shown)(publish)


def publish(
    view: Annotated[str, typer.Argument(help="The view.")],
    table: Annotated[
        str | None,
        typer.Option(
            "--table",
            metavar="URI",
            help="The Delta table of its versions.",
            show_default="the view's publish.table, else published/VIEW",
        ),
    ] = None,
    topic: Annotated[
        str | None,
        typer.Option(
            "--topic",
            metavar="NAME",
            help="The topic of its changes.",
            show_default="the view's publish.topic, else PROJECT.VIEW",
        ),
    ] = None,
    delta_only: Annotated[bool, typer.Option("--delta-only", help="The table alone: no broker is needed.")] = False,
    follow: Annotated[
        bool,
        typer.Option("--follow/--once", help="Go on until Ctrl-C as things move, or end after one look."),
    ] = False,
    every: Annotated[float, typer.Option("--every", min=0.05, help="Seconds between two looks, with --follow.")] = 1.0,
    compare: Annotated[
        bool, typer.Option("--compare", help="Compare every group with what is published, whatever has moved.")
    ] = False,
    purge: Annotated[
        bool,
        typer.Option("--purge", help="And take away at once what was published before, forgotten keys among it."),
    ] = False,
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Publish a view: its versions as a Delta table, its changes as upserts in a topic; both say where they were cut.

    Whoever reads both has what Seamline answers, without Seamline. Run again it goes on where it was.
    """
    if delta_only and topic is not None:
        raise UserError(
            Condition.INPUT_INVALID, "--delta-only with --topic", detail="one of the two", hint="leave one of them out"
        )
    if purge and follow:
        raise UserError(
            Condition.INPUT_INVALID, "--purge with --follow", detail="one of the two", hint="purge by a run of its own"
        )
    of = load_project(project)
    to = outlets(of, view, table, topic, delta_only=delta_only)
    if not follow:
        found = publish_view(of, view, to, compare=compare, purge=purge, show=progress)
        show_json(_told(found, to)) if as_json else _show(found, to)
        return
    stop = threading.Event()
    with stopping(stop):
        follow_view(of, view, to, every, stop, lambda one: _line(one, to, as_json), note)


def _line(found: Publication, to: Outlets, as_json: bool) -> None:
    """While it follows: a line for each look that has published something."""
    if as_json:
        say(json.dumps(_told(found, to)))
    else:
        _show(found, to)


def _show(found: Publication, to: Outlets) -> None:
    mark, written, marker = found.mark, found.table, found.marker
    if written is None:
        say(f"{mark.view}: no batch version yet, so no table")
    else:
        done = "stood already" if written.rows is None else f"written, {written.rows:,} rows"
        where = f"commit {written.base.version} of {to.table}"
        say(f"{mark.view}: version {mark.version} {done}: {where}, cut at {mark.cut}")
    if marker is not None:
        sent = f"{marker.rows:,} rows and {marker.gone:,} tombstones sent" if found.sent else "nothing new"
        say(f"{mark.view}: topic {to.topic}: {sent}; transaction {marker.sequence} reaches {marker.reached}")
    if found.purged is not None:
        gone = f"{found.purged.files:,} files of former versions" if written is not None else "no table"
        rows = "" if found.purged.rows_before is None else f"; all that topic {to.topic} held before that transaction"
        say(f"{mark.view}: taken away: {gone}{rows}")


def _told(found: Publication, to: Outlets) -> dict[str, Any]:
    said: dict[str, Any] = {**found.mark.to_json(), "table": None, "topic": None}
    if (written := found.table) is not None:
        said["table"] = {"uri": to.table, "version": written.base.version, "rows_written": written.rows}
    if (marker := found.marker) is not None:
        reached = {"reached": marker.reached.to_json(), "epoch": marker.epoch, "sequence": marker.sequence}
        sent = {"sent": found.sent, "compared": found.compared, "rows": marker.rows, "gone": marker.gone}
        said["topic"] = {"name": to.topic, **reached, **sent}
    if found.purged is not None:
        said["purged"] = {"table_files": found.purged.files, "rows_before": found.purged.rows_before}
    return said
