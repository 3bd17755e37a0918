"""What a client of the wire is told: SQLSTATE, message, detail, hint and place, from this project's own errors."""

from __future__ import annotations

from seamline.errors import Condition, SeamlineError


class WireError(Exception):
    """One ErrorResponse (or, as a value, a NoticeResponse)."""

    def __init__(
        self,
        sqlstate: str,
        message: str,
        *,
        detail: str = "",
        hint: str = "",
        position: int = 0,
        severity: str = "ERROR",
    ) -> None:
        super().__init__(sqlstate, message)
        self.sqlstate = sqlstate
        self.message = message
        self.detail = detail
        self.hint = hint

        self.position = position
        """A character of the statement, from 1; 0 where there is none."""

        self.severity = severity
        """FATAL ends the connection."""

    def at(self, position: int) -> WireError:
        """The same error at another place."""
        return WireError(
            self.sqlstate, self.message, detail=self.detail, hint=self.hint, position=position, severity=self.severity
        )


def fatal(sqlstate: str, message: str, *, detail: str = "", hint: str = "") -> WireError:
    """What ends a connection."""
    return WireError(sqlstate, message, detail=detail, hint=hint, severity="FATAL")


SQLSTATES: dict[Condition, str] = {
    Condition.UNAUTHENTICATED: "28000",
    Condition.QUERY_INVALID: "42601",
    Condition.QUERY_REFUSED: "0A000",
    Condition.QUERY_TIMEOUT: "57014",
    Condition.VIEW_UNKNOWN: "42P01",
    Condition.VIEW_NOT_READY: "55000",
    Condition.INPUT_INVALID: "22023",
    Condition.REQUEST_REFUSED: "42501",
    Condition.VALUE_OUT_OF_RANGE: "22003",
    Condition.SEAM_HOLE: "XX001",
    Condition.SEAM_OVERLAP: "XX001",
    Condition.OUT_OF_RETENTION: "72000",
    Condition.ERASURE_PENDING: "55000",
    Condition.KERNEL_VERSION: "55000",
    Condition.KERNEL_MEMORY: "53200",
    Condition.SERVING_BUSY: "53300",
    Condition.LIMIT_REACHED: "53300",
    Condition.EPOCH_NOT_REACHED: "55000",
    Condition.QUERY_LOST: "57P02",
    Condition.STORE_UNAVAILABLE: "58030",
}
"""Other conditions are XX000, an internal error."""

_CLOSER: tuple[tuple[Condition, str, str], ...] = (
    (Condition.QUERY_INVALID, "no view is named", "42P01"),
    (Condition.QUERY_INVALID, "Table with name", "42P01"),
    (Condition.QUERY_INVALID, "Binder Error: Referenced column", "42703"),
    (Condition.QUERY_INVALID, "Referenced column", "42703"),
    (Condition.QUERY_INVALID, "Conversion Error", "22P02"),
    (Condition.QUERY_INVALID, "Invalid Input Error: Failed to cast", "22P02"),
    (Condition.QUERY_INVALID, "Out of Range Error", "22003"),
)
"""Where PostgreSQL tells more than one case of a condition apart: how its message begins."""


def told(error: SeamlineError, sql: str = "") -> WireError:
    """An error of this project as a client of PostgreSQL knows it; the condition stands before the message. `sql` is
    the statement in which its place, line:column, is to be found."""
    state = SQLSTATES.get(error.condition, "XX000")
    for condition, beginning, closer in _CLOSER:
        if error.condition is condition and error.message.startswith(beginning):
            state = closer
            break
    line, _, column = error.where.partition(":")
    placed = line.isdigit() and column.isdigit()
    said = error.message if placed or not error.where else f"{error.where}: {error.message}"
    return WireError(
        state, f"[{error.condition}] {said}", detail=error.detail, hint=error.hint,
        position=_position(sql, int(line), int(column)) if placed else 0,
    )  # fmt: skip


def _position(sql: str, line: int, column: int) -> int:
    """The character, from 1, of line:column; 0 where the text has no such place."""
    lines = sql.split("\n")
    return sum(len(one) + 1 for one in lines[: line - 1]) + column if line <= len(lines) else 0
