"""Live updates as a Python program has them: from the events of a role, or of a feed in this process."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from seamline.connection import LiveUpdate
from seamline.errors import Condition, SeamlineError, TerminalError, TransientError, UserError
from seamline.serving.provenance import check_json

KINDS: dict[str, type[SeamlineError]] = {"transient": TransientError, "user": UserError, "terminal": TerminalError}


def check_asked(sql: str | None, view: str | None) -> None:
    """Raises INPUT_INVALID where not one of both is asked."""
    if (sql is None) == (view is None):
        raise UserError(Condition.INPUT_INVALID, "what is to be followed", detail="sql, or else view", hint="give one")


def update_of(kind: str, data: bytes | str, mark: str) -> LiveUpdate:
    """An event as a value. Raises the error of one that says that nothing follows, SEAM_HOLE or SEAM_OVERLAP as
    `check_json` does."""
    said: dict[str, Any] = json.loads(data)
    if kind in ("failed", "end"):
        error = _error(said)
        if kind == "end":
            raise error
        return LiveUpdate(kind, None, mark, error=error)
    for one in said["provenance"].values():
        check_json(one)
    return LiveUpdate(
        kind, said["epoch"], mark, tuple(one["name"] for one in said.get("columns", ())), tuple(said.get("keys", ())),
        tuple(map(tuple, said.get("rows", ()))), tuple(map(tuple, said.get("gone", ()))), said["provenance"],
        tuple(said.get("warnings", ())),
    )  # fmt: skip


def events(lines: Iterable[str]) -> Iterator[tuple[str, str, str]]:
    """Kind, data and id of each event of a stream; comments are left out."""
    said: dict[str, str] = {}
    for line in lines:
        if not line:
            if "event" in said:
                yield said["event"], said["data"], said.get("id", "")
            said = {}
            continue
        name, _, value = line.partition(":")
        if name:
            said[name] = value.removeprefix(" ")


def _error(said: dict[str, Any]) -> SeamlineError:
    condition = said["condition"]
    known = condition in Condition.__members__
    return KINDS[said["kind"]](
        Condition(condition) if known else Condition.UNEXPECTED, said["message"], detail=said["detail"],
        hint=said["hint"], where=said.get("where", ""),
    )  # fmt: skip
