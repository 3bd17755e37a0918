"""Options that several commands share, and the run's own: whether to show tracebacks, and whose project it is."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from seamline import __version__


@dataclass
class Invocation:
    """What this run of the command line was told; one process, one run."""

    debug: bool = False
    project: Path | None = None


MARKUP: Literal["rich"] | None = "rich" if sys.stdout.isatty() else None
"""How help is drawn: boxes and colours for a terminal only."""

RUN = Invocation()
HERE = Path()


def _version(context: typer.Context, wanted: bool) -> None:
    if wanted:
        print(f"{context.info_name} {__version__}")
        raise typer.Exit


def _remember(folder: Path) -> Path:
    """A group's option holds for its commands: `seamline views --project shop list`."""
    if folder == HERE and RUN.project is not None:
        return RUN.project
    RUN.project = folder
    return folder


DebugOption = Annotated[bool, typer.Option("--debug", help="Show the traceback of any error.")]
VersionOption = Annotated[bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)]
ProjectOption = Annotated[
    Path,
    typer.Option(
        "--project",
        metavar="DIR",
        help="The project's folder: the one that holds seamline.toml.",
        envvar="SEAMLINE_PROJECT",
        callback=_remember,
        show_default="the current folder",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document, for scripts.")]
StreamOption = Annotated[str, typer.Option("--stream", help="The stream to work on.")]


def group(name: str, about: str, *shown: str, **more: Any) -> typer.Typer:
    """A command that holds commands."""
    return typer.Typer(name=name, help=about, epilog=examples(*shown), rich_markup_mode=MARKUP, **more)


def examples(*commands: str) -> str:
    """The epilogue of a command's help: one example a line."""
    head = "Example:" if len(commands) == 1 else "Examples:"
    if MARKUP is None:
        return "\n".join(["\b", head, *(f"  {command}" for command in commands)])
    return "\n\n".join([head, *commands])
