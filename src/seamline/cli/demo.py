"""`seamline demo`: the demonstration and its proof."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from seamline.demo.demo import show
from seamline.serve_cli.options import examples


def add(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(name="demo", epilog=examples("seamline demo", "seamline demo --keep --folder /tmp/demo"))(demo)


def demo(
    folder: Annotated[Path, typer.Option(help="Where the demo's project is made; emptied first.")] = Path("build/demo"),
    seed: Annotated[int, typer.Option(help="Seed of the mess.")] = 7,
    rate: Annotated[int, typer.Option(help="Live records a second.")] = 700,
    keep: Annotated[bool, typer.Option("--keep", help="Leave everything running at the end.")] = False,
) -> None:
    """Replay two hours of GitHub events through the whole loop, with mess and a kill, and prove the answers exact."""
    show(folder, seed, rate, keep=keep)
