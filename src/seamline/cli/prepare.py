"""`seamline prepare`: what a machine has once and keeps, made before it is needed."""

from __future__ import annotations

import typer

from seamline.console import note, say
from seamline.machine.jars import ensure_jars, shown_progress
from seamline.operate.class_training import ensure_archives
from seamline.serve_cli.options import examples


def add(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(name="prepare", epilog=examples("seamline prepare"))(prepare)


def prepare() -> None:
    """Fetch the jars, and lay out what Java loads, so that starts are fast. Does what is missing alone."""
    with shown_progress() as watch:
        say(f"jars verified in {ensure_jars(watch)}")
    note("classes: one run of a broker and Spark, some 25 s where they are missing…")
    for archive in ensure_archives():
        say(f"classes laid out in {archive}")
