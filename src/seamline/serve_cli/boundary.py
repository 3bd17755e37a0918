"""The one boundary that turns errors into messages and exit codes.

Exit codes (docs/cli.md): 0 done, 2 the input is wrong, 3 an operator has to decide, 4 another writer was first,
70 a defect, 75 try again later, 130 interrupted.
"""

from __future__ import annotations

import errno
import sys
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from seamline.console import note, show_error
from seamline.errors import Condition, SeamlineError, TerminalError
from seamline.logged import log_error
from seamline.observe.lineage import LINEAGE
from seamline.observe.traces import TRACES
from seamline.private import made, own_folder
from seamline.serve_cli.options import RUN, Invocation

DEFECT = 70
UNWRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)
INTERRUPTED = 130


def run_command(app: Callable[..., object], program: str, arguments: Sequence[str]) -> int:
    """Runs one command of a program; returns its exit code. No exception leaves, whatever the command raises."""
    RUN.__dict__.update(Invocation().__dict__)
    try:
        with TRACES.sending(), LINEAGE.sending():
            app(list(arguments), prog_name=program)
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
    if not log_error(error):
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
