"""The command `seamline`: its commands by name."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import ClassVar

import typer

from seamline.cli.lazy import LazyCommand, LazyGroup
from seamline.private import keep_others_out
from seamline.serve_cli.boundary import run_command
from seamline.serve_cli.options import MARKUP, RUN, DebugOption, VersionOption, examples


class Seamline(LazyGroup):
    """Every command; a test holds the lines to the commands' own help."""

    parts: ClassVar[Mapping[str, LazyCommand]] = {
        "init": LazyCommand(
            "init", "Make a new project: seamline.toml, contracts/, views/ and tests/, with commented examples."
        ),
        "schema": LazyCommand(
            "schema", "Print a JSON Schema for editors, or refresh those that stand in the project's .schemas folder."
        ),
        "up": LazyCommand(
            "up",
            "Run a whole project here: broker (unless one is configured), archive, speed, scheduler and serving.",
        ),
        "down": LazyCommand(
            "down",
            "Stop the project that runs on this machine, in the background or in a terminal, and wait until all is "
            "gone.",
        ),
        "run": LazyCommand(
            "run",
            "Run one role in the foreground until SIGTERM or Ctrl-C. It logs to stderr; an exit code says why "
            "it ended.",
        ),
        "replay": LazyCommand(
            "replay",
            "Send files of events to a contract's topic, keyed by the contract's key. The topic is made if it "
            "is missing.",
        ),
        "import": LazyCommand(
            "imports",
            "Take files of events into the archive, without Kafka. They are served from the next batch version on.",
        ),
        "try": LazyCommand(
            "trial", "Ask a file of events, without a project: its contract is drafted, the answer computed here."
        ),
        "query": LazyCommand(
            "query",
            "Ask the views. Rows go to stdout, warnings to stderr; provenance goes below a table, beside JSON "
            "rows, else to stderr.",
            room="seamline.serve_cli",
        ),
        "tokens": LazyCommand(
            "tokens",
            "Tokens: who may ask the serving role, over HTTP and as a Postgres client, and which views.",
            room="seamline.serve_cli",
        ),
        "status": LazyCommand(
            "status",
            "Show what needs attention, how far each stream is, what each view is served from, and how the roles are.",
        ),
        "catalog": LazyCommand(
            "catalog",
            "Show the data products: owner, description, service levels and how they are kept, columns, and lineage.",
        ),
        "prepare": LazyCommand(
            "prepare",
            "Fetch the jars, and lay out what Java loads, so that starts are fast. Does what is missing alone.",
        ),
        "doctor": LazyCommand("doctor", "Check the machine and the project. Ends with 2 where something is at fault."),
        "demo": LazyCommand(
            "demo",
            "Replay two hours of GitHub events through the whole loop, with mess and a kill, and prove the "
            "answers exact.",
        ),
        "views": LazyCommand("views", "The project's views."),
        "contracts": LazyCommand("contracts", "The project's contracts."),
        "topics": LazyCommand("topics", "The topics that streams read, and have left."),
        "batch": LazyCommand("batch", "Make batch versions."),
        "quarantine": LazyCommand("quarantine", "Rejected records: why, since when, and their bytes."),
        "why": LazyCommand(
            "viewwhy",
            "Say why a row says what it says: exactly the events that count in it, the copies left out, the row "
            "computed again.",
        ),
        "changes": LazyCommand(
            "viewchanges",
            "Say why a view's counts and sums changed between two epochs: each difference, divided by cause.",
        ),
        "verify": LazyCommand(
            "verify", "Hold what a view serves against its own SELECT over the raw events, at the same cut."
        ),
        "publish": LazyCommand(
            "publishing",
            "Publish a view: its versions as a Delta table, its changes as upserts in a topic; both say where they "
            "were cut.",
        ),
        "backfill": LazyCommand("backfill", "Recompute event dates of a view, whatever has changed of them."),
        "forget": LazyCommand(
            "forget",
            "Take the records of a person out of raw, versions and epochs, for good. Later copies do not count.",
        ),
        "schedule": LazyCommand(
            "schedule", "The jobs that run by the clock: when they ran, what failed, and one of them now."
        ),
    }


app = typer.Typer(
    name="seamline",
    cls=Seamline,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=MARKUP,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples("seamline init shop && seamline up --project shop"),
)


@app.callback()
def seamline(debug: DebugOption = False, version: VersionOption = False) -> None:
    """Define a view once, in SQL; it is kept exact from both sides, by a batch layer and a speed layer."""
    RUN.debug = debug


def main(arguments: list[str] | None = None) -> None:
    """Runs one command and ends the process with its exit code."""
    keep_others_out()
    sys.exit(execute(sys.argv[1:] if arguments is None else arguments))


def execute(arguments: list[str]) -> int:
    """Runs one command; returns its exit code. No exception leaves."""
    return run_command(app, "seamline", arguments)
