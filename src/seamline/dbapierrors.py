"""The errors of PEP 249, and which of them an error of ours is."""

from __future__ import annotations

from seamline.errors import Condition, SeamlineError, TerminalError, TransientError


class Warning(Exception):  # noqa: A001, N818 - PEP 249's name
    """Raised for nothing: what to beware of in an answer stands in a cursor's `warnings`."""


class Error(Exception):
    """Of what was asked, or of the world. Where an error of ours is its cause, it is the error's `__cause__`."""

    def __init__(self, message: str = "", condition: Condition | None = None) -> None:
        """condition: its stable name, which `__cause__` has too."""
        super().__init__(message)
        self.condition = condition


class InterfaceError(Error):
    """A cursor or connection that cannot do it now: it is closed, or nothing was asked."""


class DatabaseError(Error):
    """Whatever was answered by an error."""


class DataError(DatabaseError):
    """A value out of range."""


class OperationalError(DatabaseError):
    """The world's: not ready, away, busy, too slow, not allowed."""


class IntegrityError(DatabaseError):
    """Raised for nothing: nothing is written."""


class InternalError(DatabaseError):
    """What was served cannot be trusted, such as a chain with a hole: an operator decides."""


class ProgrammingError(DatabaseError):
    """The statement or its values are wrong."""


class NotSupportedError(DatabaseError):
    """What is no SELECT over views and listed functions."""


KINDS: dict[Condition, type[DatabaseError]] = {
    Condition.QUERY_INVALID: ProgrammingError,
    Condition.VIEW_UNKNOWN: ProgrammingError,
    Condition.INPUT_INVALID: ProgrammingError,
    Condition.QUERY_REFUSED: NotSupportedError,
    Condition.VALUE_OUT_OF_RANGE: DataError,
    Condition.UNEXPECTED: InternalError,
}
"""Where the condition tells; else its class does."""


def translated(error: SeamlineError) -> DatabaseError:
    """The error of PEP 249 for one of ours; the text is the same."""
    kind = KINDS.get(error.condition)
    if kind is None or isinstance(error, TransientError):
        kind = InternalError if isinstance(error, TerminalError) else OperationalError
    return kind(str(error), error.condition)
