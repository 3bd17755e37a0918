"""One hierarchy of errors, in the fields that PostgreSQL and problem+json have: a stable condition name, the message
(what was found), the detail (what is allowed), a hint (what to do).

Tests and callers match on `condition`, never on prose. The class says how a caller may react:
`UserError` (correct the input), `TransientError` (try again), `TerminalError` (stop; an operator decides).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Condition(StrEnum):
    """Every condition Seamline raises, by its stable name."""

    # user's files and commands
    CONFIG_INVALID = "CONFIG_INVALID"
    CONTRACT_INVALID = "CONTRACT_INVALID"
    VIEW_INVALID = "VIEW_INVALID"
    VIEW_UNKNOWN = "VIEW_UNKNOWN"
    VIEW_NOT_READY = "VIEW_NOT_READY"
    CONTRACT_UNKNOWN = "CONTRACT_UNKNOWN"
    QUERY_INVALID = "QUERY_INVALID"
    QUERY_REFUSED = "QUERY_REFUSED"
    QUERY_TIMEOUT = "QUERY_TIMEOUT"
    QUERY_LOST = "QUERY_LOST"
    QUERY_UNKNOWN = "QUERY_UNKNOWN"
    SERVING_BUSY = "SERVING_BUSY"
    LIMIT_REACHED = "LIMIT_REACHED"
    EPOCH_NOT_REACHED = "EPOCH_NOT_REACHED"
    INPUT_INVALID = "INPUT_INVALID"
    REQUEST_REFUSED = "REQUEST_REFUSED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    SERVING_UNAVAILABLE = "SERVING_UNAVAILABLE"
    VALUE_OUT_OF_RANGE = "VALUE_OUT_OF_RANGE"
    # the seam and the ledger
    SEAM_HOLE = "SEAM_HOLE"
    SEAM_OVERLAP = "SEAM_OVERLAP"
    OUT_OF_RETENTION = "OUT_OF_RETENTION"
    WRITER_CONFLICT = "WRITER_CONFLICT"
    LEDGER_CONFLICT = "LEDGER_CONFLICT"
    LEDGER_FORMAT = "LEDGER_FORMAT"
    RESERVATION_EXPIRED = "RESERVATION_EXPIRED"
    PLAN_MOVED = "PLAN_MOVED"
    BACKFILL_STOPPED = "BACKFILL_STOPPED"
    UNIT_FAILED = "UNIT_FAILED"
    DRIFT_HELD = "DRIFT_HELD"
    ERASURE_PENDING = "ERASURE_PENDING"
    KERNEL_VERSION = "KERNEL_VERSION"
    KERNEL_FAILED = "KERNEL_FAILED"
    KERNEL_MEMORY = "KERNEL_MEMORY"
    # Kafka
    TOPIC_RECREATED = "TOPIC_RECREATED"
    TOPIC_MISSING = "TOPIC_MISSING"
    TOPIC_COMPACTED = "TOPIC_COMPACTED"
    RECORDS_EXPIRED = "RECORDS_EXPIRED"
    BROKER_UNAVAILABLE = "BROKER_UNAVAILABLE"
    KAFKA_AUTH = "KAFKA_AUTH"
    # the machine
    JAVA_MISSING = "JAVA_MISSING"
    JARS_INVALID = "JARS_INVALID"
    PROCESS_FAILED = "PROCESS_FAILED"
    EXECUTORS_UNFIT = "EXECUTORS_UNFIT"
    PROOF_FAILED = "PROOF_FAILED"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    UNEXPECTED = "UNEXPECTED"


class SeamlineError(Exception):
    """What was found, what is allowed, and what to do. `where` is `file:line:column` or a range.

    `exit_code` is what the CLI ends with.
    """

    exit_code = 1

    def __init__(
        self, condition: Condition, message: str, *, detail: str = "", hint: str = "", where: str = ""
    ) -> None:
        self.condition = condition
        self.message = message
        self.detail = detail
        self.hint = hint
        self.where = where
        super().__init__(condition, message, detail, hint, where)

    @property
    def runbook(self) -> str:
        """The page of the documentation that says what to look at, and what to do."""
        return f"docs/runbooks/{self.condition}.md"

    def but(self, *, message: str | None = None, where: str | None = None) -> Self:
        """The same error with another message or place."""
        return type(self)(
            self.condition,
            self.message if message is None else message,
            detail=self.detail,
            hint=self.hint,
            where=self.where if where is None else where,
        )

    def to_json(self) -> dict[str, str]:
        """As JSON values; `where` only where it is known."""
        body = {"condition": self.condition.value, "message": self.message, "detail": self.detail, "hint": self.hint}
        return body | {"runbook": self.runbook} | ({"where": self.where} if self.where else {})

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.condition, self.message, self.detail, self.hint, self.where))

    def __str__(self) -> str:
        head = f"[{self.condition}] {self.where + ': ' if self.where else ''}{self.message}"
        detail = f"\n  detail: {self.detail}" if self.detail else ""
        hint = f"\n  hint: {self.hint}" if self.hint else ""
        return head + detail + hint


def _rebuild(
    kind: type[SeamlineError], condition: Condition, message: str, detail: str, hint: str, where: str
) -> SeamlineError:
    """Errors cross process boundaries (Spark's workers), so they must pickle."""
    return kind(condition, message, detail=detail, hint=hint, where=where)


class UserError(SeamlineError):
    """The input is wrong; nothing was applied."""

    exit_code = 2


class TransientError(SeamlineError):
    """The world is unavailable for now; the same attempt may succeed later."""

    exit_code = 75


class TerminalError(SeamlineError):
    """Going on could give a wrong number; an operator has to decide."""

    exit_code = 3


class ConflictError(SeamlineError):
    """Another writer was first. Read again and decide again from the start."""

    exit_code = 4
