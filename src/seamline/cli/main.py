"""The command `seamline`: its commands by name, and the one boundary that turns errors into messages and exit codes.

Exit codes (docs/cli.md): 0 done, 2 the input is wrong, 3 an operator has to decide, 4 another writer was first,
70 a defect, 75 try again later, 130 interrupted.
"""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from seamline import __version__
from seamline.cli.lazy import LazyCommand, LazyGroup
from seamline.cli.options import MARKUP, RUN, Invocation, examples
from seamline.console import note, show_error
from seamline.errors import Condition, SeamlineError, TerminalError
from seamline.private import keep_others_out, made, own_folder

DEFECT = 70
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
INTERRUPTED = 130


class Seamline(LazyGroup):
    """Every command; a test holds the lines to the commands' own help."""

    parts: ClassVar[Mapping[str, LazyCommand]] = {
        "init": LazyCommand(
            "init", "Make a new project: seamline.toml, contracts/ and views/, with commented examples."
        ),
        "up": LazyCommand(
            "up",
            "Run a whole project here: broker (unless one is configured), archive, speed, scheduler and serving.",
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
        "query": LazyCommand(
            "query",
            "Ask the views. Rows go to stdout, warnings to stderr; provenance goes below a table, beside JSON "
            "rows, else to stderr.",
        ),
        "status": LazyCommand(
            "status", "Show how far each stream is, what each view is served from, and how the roles are."
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


def _version(wanted: bool) -> None:
    if wanted:
        print(f"seamline {__version__}")
        raise typer.Exit


@app.callback()
def seamline(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of any error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Define a view once, in SQL; it is kept exact from both sides, by a batch layer and a speed layer."""
    RUN.debug = debug


def main(arguments: list[str] | None = None) -> None:
    """Runs one command and ends the process with its exit code."""
    keep_others_out()
    sys.exit(execute(sys.argv[1:] if arguments is None else arguments))


def execute(arguments: list[str]) -> int:
    """Runs one command; returns its exit code. No exception leaves, whatever the command raises."""
    RUN.__dict__.update(Invocation().__dict__)
    try:
        app(arguments, prog_name="seamline")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the boundary: what nobody foresaw becomes one line and a log
        return _told(error)
    return 0


def _told(error: Exception) -> int:
    if isinstance(error, OSError) and error.errno in UNWRITABLE:
        error = not_writable(error)
    if not isinstance(error, SeamlineError):
        return _defect(error)
    if RUN.debug:
        traceback.print_exc()
    show_error(error)
    return error.exit_code


def not_writable(error: OSError) -> TerminalError:
    """What to say where the machine does not let this user write, or read."""
    return TerminalError(
        Condition.STORE_UNAVAILABLE,
        f"{error.strerror}: {error.filename or 'a file'}",
        detail="files and folders that this user may read and write",
        hint="correct its owner or mode, or mount it writable; 'query' and 'status' need no more than to read",
    )


def _defect(error: Exception) -> int:
    if RUN.debug:
        traceback.print_exc()
    log = _log_of(error)
    note(f"error: unexpected {type(error).__name__}: {' '.join(str(error).split())[:300]} (details: {log})")
    return DEFECT


def _log_of(error: Exception) -> Path:
    """Writes the traceback beside the project's other logs, else into the temporary folder."""
    name = f"error-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.log"
    text = "".join(traceback.format_exception(error))
    state = (RUN.project or Path()) / ".seamline"
    for kept in (True, False):
        try:
            path = (made(state / "logs") if kept and state.is_dir() else own_folder()) / name
            path.write_text(f"{sys.argv}\n{text}", encoding="utf-8")
        except (OSError, SeamlineError):
            continue
        return path.absolute()
    return Path("(no log could be written)")
