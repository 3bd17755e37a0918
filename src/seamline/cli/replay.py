"""`seamline replay`: files of events into a contract's topic."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from seamline.cli.files import EventFilesArgument, FormatOption, show_rejections
from seamline.console import note, say, show_json
from seamline.operate.replay import replay_files
from seamline.progress import progress
from seamline.schemas.project import load_project
from seamline.serve_cli.options import HERE, JsonOption, ProjectOption, examples


def add(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        name="replay",
        epilog=examples(
            "seamline replay orders.jsonl --contract orders",
            "seamline replay may.csv.gz june.csv.gz --contract orders --rate 500 --shift-to-now",
            "zcat orders.csv.gz | seamline replay - --format csv --contract orders",
        ),
    )(replay)


def replay(
    files: EventFilesArgument,
    contract: Annotated[str, typer.Option("--contract", help="The contract of these events; it names topic and key.")],
    rate: Annotated[float, typer.Option("--rate", min=0, help="Records a second; 0 is as fast as it can.")] = 0,
    shift_to_now: Annotated[
        bool, typer.Option("--shift-to-now", help="Move all event times, so that the newest is now.")
    ] = False,
    kind: FormatOption = "",
    project: ProjectOption = HERE,
    as_json: JsonOption = False,
) -> None:
    """Send files of events to a contract's topic, keyed by the contract's key. The topic is made if it is missing."""
    loaded = load_project(project)
    done = replay_files(
        loaded, files, loaded.contract(contract), rate, shift_to_now=shift_to_now, kind=kind, show=progress, say=note
    )
    if as_json:
        show_json(asdict(done))
        return
    say(f"{done.sent} records sent to {done.topic} in {done.seconds:.1f} s")
    show_rejections(done.rejected, "will be rejected")
