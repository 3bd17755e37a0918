"""What DuckDB itself says of SQL text over no rows: the types of its columns, or why it would not run."""

from __future__ import annotations

import duckdb

from seamline.errors import UserError
from seamline.kernel import kernel
from seamline.schemas.views.source import Source


def types_of(source: Source, offset: int, select: str) -> dict[str, str]:
    """The columns and types of a SELECT. Raises VIEW_INVALID with DuckDB's reason where it does not bind."""
    try:
        return kernel().describe(select)
    except duckdb.Error as error:
        raise _refused(source, offset, error) from error


def _refused(source: Source, offset: int, error: duckdb.Error) -> UserError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    reason = lines[0].split("Error: ", 1)[-1]
    hints = " ".join(line for line in lines[1:] if line.startswith(("Candidate", "Did you mean")))
    return source.refuse(offset, reason, hints, "correct the expression or its types")
