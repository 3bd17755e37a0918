"""The command `seamline-serve`: for a machine that answers queries and computes nothing."""

from __future__ import annotations

import logging
import sys

import typer

from seamline.logs import start_logging
from seamline.observe.page import metrics_page
from seamline.private import keep_others_out
from seamline.schemas.project import load_project
from seamline.serve_cli import query, tokens
from seamline.serve_cli.boundary import run_command
from seamline.serve_cli.options import HERE, MARKUP, RUN, DebugOption, ProjectOption, VersionOption, examples
from seamline.serving.role import run_serving

PROGRAM = "seamline-serve"

app = typer.Typer(
    name=PROGRAM,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=MARKUP,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(f"{PROGRAM} run --project /srv/shop"),
)
query.add(app, PROGRAM)
tokens.add(app, PROGRAM)


@app.callback()
def serve(debug: DebugOption = False, version: VersionOption = False) -> None:
    """Answer from a project's lake, merged from both sides, with serving alone installed."""
    RUN.debug = debug


@app.command(epilog=examples(f"{PROGRAM} run --project /srv/shop"))
def run(project: ProjectOption = HERE) -> None:
    """Answer over HTTP until SIGTERM or Ctrl-C, as `seamline run serving` does. It logs to stderr; an exit code says
    why it ended."""
    start_logging(role="serving")
    loaded = load_project(project)
    start_logging(loaded.settings, role="serving")
    log = logging.getLogger("seamline")
    log.info("serving starts, project %s", loaded.folder)
    with metrics_page(loaded.settings.metrics, loaded.state, "serving"):
        run_serving(loaded)
    log.info("serving ended")


def main(arguments: list[str] | None = None) -> None:
    """Runs one command and ends the process with its exit code."""
    keep_others_out()
    sys.exit(run_command(app, PROGRAM, sys.argv[1:] if arguments is None else arguments))
