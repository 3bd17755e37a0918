"""DuckDB's errors in the words of the system: the message, the detail, a hint, and where in the query."""

from __future__ import annotations

import duckdb

from seamline.errors import Condition, SeamlineError, TerminalError, TransientError, UserError

MEMORY = "kernel.memory"
"""What is allowed where a query needs more memory."""


def undefined(view: str, error: duckdb.Error) -> SeamlineError:
    """A view's own statement failed: a file is out of reach, or there is a defect."""
    if isinstance(error, duckdb.IOException):
        return TransientError(Condition.STORE_UNAVAILABLE, f"view {view}: {error}", hint="ask again")
    return TerminalError(Condition.KERNEL_FAILED, f"view {view}: {type(error).__name__}: {error}")


def said(error: Exception, seconds: float, before: int = 0) -> SeamlineError:
    """DuckDB's error in the words of a query that stands `before` lines down."""
    text = str(error)
    first = text.splitlines()[0] if text else type(error).__name__
    if isinstance(error, duckdb.InterruptException) or "INTERRUPT" in first:
        return UserError(
            Condition.QUERY_TIMEOUT, f"the query ran longer than {seconds:g} s",
            hint="narrow it (a filter on the time bucket is pushed down), or raise serving.query_seconds",
        )  # fmt: skip
    if "VALUE_OUT_OF_RANGE" in text:
        return UserError(
            Condition.VALUE_OUT_OF_RANGE, first, detail="values inside their column's type",
            hint="leave that group or that column out; docs/views.md says which ranges sums have",
        )  # fmt: skip
    if isinstance(error, duckdb.OutOfMemoryException) or "Out of Memory" in first:
        return UserError(
            Condition.QUERY_REFUSED, f"the query needs more memory: {first}", detail=MEMORY,
            hint="narrow the query, or raise kernel.memory",
        )  # fmt: skip
    if isinstance(error, duckdb.IOException) or first.startswith("IO Error"):
        return TransientError(Condition.STORE_UNAVAILABLE, first, hint="ask again")
    if isinstance(error, duckdb.InternalException | duckdb.FatalException):
        return TerminalError(Condition.KERNEL_FAILED, first)
    told, _, shown = text.partition("\n\nLINE ")
    hint = " ".join(told.splitlines()[1:])
    return UserError(Condition.QUERY_INVALID, first, hint=hint or "correct the query", where=_caret(shown, before))


def _caret(shown: str, before: int) -> str:
    """`line:column` from `1: SELECT …` and the caret under it; the line alone where DuckDB shortened it."""
    head, _, line = shown.partition(": ")
    text, _, marks = line.partition("\n")
    if not head.isdigit() or "^" not in marks:
        return ""
    number = int(head) - before
    column = marks.index("^") - len(f"LINE {head}: ") + 1
    return str(number) if text.startswith("...") else f"{number}:{column}"
