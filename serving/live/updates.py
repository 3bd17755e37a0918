"""Events of a live question, and their ids, as server-sent events have them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, Self

from seamline.errors import SeamlineError, TransientError, UserError
from seamline.serving.snapshot import ServedView

BEAT = b":\n\n"
"""A comment: the connection stands."""

_MARK = re.compile(r"(\d{1,19})-([0-9a-f]{16})")


class LiveKind(StrEnum):
    """What an event tells."""

    ANSWER = "answer"
    """All of the answer: what was told before is to be forgotten."""

    CHANGES = "changes"
    """Rows of a view by their keys, to be put in the place of those before; and keys that have no row any more."""

    SAME = "same"
    """There is a newer epoch, and the answer is what it was."""

    FAILED = "failed"
    """It cannot be answered now; an answer follows once it can."""

    END = "end"
    """Nothing follows."""


@dataclass(frozen=True)
class LiveMark:
    """An event's id: the epoch that the state reaches with it, and what else the state depends on."""

    epoch: int
    of: str

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None for what is no id of ours."""
        found = _MARK.fullmatch(text)
        return cls(int(found[1]), found[2]) if found else None

    def __str__(self) -> str:
        return f"{self.epoch}-{self.of}"


@dataclass(frozen=True)
class LiveEvent:
    """One event."""

    kind: LiveKind
    data: bytes
    """JSON, in one line."""

    mark: LiveMark | None = None

    def encoded(self) -> bytes:
        """As it is sent."""
        head = f"event: {self.kind}\n" + (f"id: {self.mark}\n" if self.mark else "")
        return head.encode() + b"data: " + self.data + b"\n\n"


def digest(said: bytes) -> str:
    """What a mark has of it."""
    return sha256(said).hexdigest()[:16]


def standing(view: ServedView) -> str:
    """What a view's state depends on beside its epoch: changes are told between states of one standing."""
    return digest(repr((view.definition.hash, view.definition.text, view.base, view.where, view.erased)).encode())


def as_json(said: Any) -> bytes:
    """In one line."""
    return json.dumps(said, ensure_ascii=False, allow_nan=False).encode()


def failed(error: SeamlineError, kind: LiveKind = LiveKind.FAILED) -> LiveEvent:
    """An error as an event."""
    of = "transient" if isinstance(error, TransientError) else "user" if isinstance(error, UserError) else "terminal"
    return LiveEvent(kind, as_json({**error.to_json(), "kind": of}))


@dataclass(frozen=True)
class ChangedRows:
    """Rows of one view that came or changed, and keys whose rows are gone, as JSON values."""

    columns: tuple[Mapping[str, str], ...]
    keys: tuple[int, ...]
    """Which of the columns."""

    rows: Sequence[Sequence[Any]]
    gone: Sequence[Sequence[Any]]

    @property
    def size(self) -> int:
        """Rows that it holds."""
        return len(self.rows) + len(self.gone)

    def after(self, before: ChangedRows) -> ChangedRows:
        """Both as one, where this one came later."""
        mine = {as_json(self._key(row)) for row in self.rows} | {as_json(key) for key in self.gone}
        rows = [row for row in before.rows if as_json(self._key(row)) not in mine]
        gone = [key for key in before.gone if as_json(key) not in mine]
        return ChangedRows(self.columns, self.keys, [*rows, *self.rows], [*gone, *self.gone])

    def to_json(self) -> dict[str, Any]:
        """As an event says it."""
        names = [self.columns[number]["name"] for number in self.keys]
        return {"columns": self.columns, "keys": names, "rows": self.rows, "gone": self.gone}

    def _key(self, row: Sequence[Any]) -> list[Any]:
        return [row[number] for number in self.keys]
