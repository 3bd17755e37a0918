"""The audit log: who asked what, how long it took, what came of it; one JSON object a line.

Writing never holds up who asks: lines go through a bounded queue to a thread. What cannot be written, since the disk is
full or the queue is, is counted, and /healthz says so; answers go on.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import queue
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from seamline.clock import system_clock
from seamline.config import Settings
from seamline.logs import shift
from seamline.observe.meters import METERS
from seamline.private import made
from seamline.sql import tokens
from seamline.tokentext import without_tokens

FILE = "audit.jsonl"
LOST = "seamline_audit_lines_lost_total"
WAITING = 10_000
"""Lines that may wait to be written."""

LONGEST = 100_000
"""Characters of a query that are kept: all that one may have."""

MASKED_KINDS = ("string", "literal", "comment")

Line: TypeAlias = Mapping[str, Any]

_log = logging.getLogger("seamline.serving")


class AuditLog:
    """Lines on their way to a file. `masked`: without the values that stand in queries, parameters and errors."""

    def __init__(self, path: Path, *, masked: bool, most: int, keep: int, waiting: int = WAITING) -> None:
        """`most`: bytes of the file after which a new one is begun, `keep`: full ones that are kept."""
        self._masked = masked
        self._lines: queue.Queue[Line | None] = queue.Queue(waiting)
        self._file = Appended(path, most, keep)
        self.failure = ""
        self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()

    def put(self, line: Line) -> None:
        """Keeps one line, soon. It has what it is about; `sql`, `parameters` and `message` may be masked."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            METERS.count(LOST, reason="behind")

    def not_let_in(self, door: str, client: str, request: str, outcome: str, message: str) -> None:
        """Keeps a line for who came without a token that holds, or with one where it must not stand."""
        asked = {"door": door, "client": client, "request": request}
        self.put({"at": system_clock().isoformat(), "who": None, **asked, "outcome": outcome, "message": message})

    def close(self) -> None:
        """Ends it, once what waits is written."""
        self._lines.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._file.add(text_of(line, masked=self._masked))
                self.failure = ""
            except Exception as error:  # noqa: BLE001 - the thread must outlive a full disk, and whatever else
                METERS.count(LOST, reason="unwritable")
                if not self.failure:
                    _log.error("the audit log cannot be written: %s", error)
                self.failure = str(error)


class Appended:
    """A file that lines are added to, open to its owner alone. Each line opens it: so it may be taken away at any time,
    and nothing of it is half written."""

    def __init__(self, path: Path, most: int, keep: int) -> None:
        self._path, self._most, self._keep = path, most, keep

    def add(self, text: str) -> None:
        """Adds a line, or nothing of it. Raises OSError."""
        data = text.encode() + b"\n"
        size = self._path.stat().st_size if self._path.exists() else 0
        if size and size + len(data) > self._most:
            shift(self._path, self._keep)
        handle = os.open(made(self._path.parent) / self._path.name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            before = os.fstat(handle).st_size
            if (written := os.write(handle, data)) < len(data):
                os.ftruncate(handle, before)
                raise OSError(errno.ENOSPC, f"{written} of {len(data)} bytes could be written", str(self._path))
        finally:
            os.close(handle)


def audit_log(state: Path, settings: Settings) -> AuditLog | None:
    """A project's, in its state folder; None where it keeps none."""
    kind, logs = settings.serving.audit, settings.logs
    if kind == "off":
        return None
    return AuditLog(state / "logs" / FILE, masked=kind == "masked", most=logs.max_mb << 20, keep=logs.keep)


def text_of(line: Line, *, masked: bool) -> str:
    """A line as it is kept. No token can be read in it, masked or not."""
    said = dict(line)
    if (sql := said.get("sql")) is not None:
        said["sql"] = masked_sql(sql[:LONGEST]) if masked else sql[:LONGEST]
    if masked:
        said.pop("message", None)  # the condition says why; the words may quote values
        if "parameters" in said:
            said["parameters"] = masked_values(said["parameters"])
    return without_tokens(json.dumps(said, default=str))


def masked_sql(sql: str) -> str:
    """A query with `?` for each literal in it, as DuckDB's tokenizer knows them, and without its comments."""
    try:
        found = tokens(sql)
    except UnicodeEncodeError:
        return "(no Unicode text)"
    pieces, at, hidden = list[str](), 0, False
    for before, token in zip([None, *found], found, strict=False):
        adjoins = before is not None and before.end + 1 == token.start
        is_parameter = before is not None and adjoins and before.sign == "$"  # $1
        is_rest = adjoins and hidden and token.kind == "word"  # of 0x1F, which is told in two
        hidden = (token.kind in MASKED_KINDS and not is_parameter) or is_rest
        if hidden:
            shown = "" if token.kind == "comment" or is_rest else "?"
            pieces += [sql[at : token.start], shown]
            at = token.end + 1
    return "".join([*pieces, sql[at:]])


def masked_values(given: Sequence[Any] | Mapping[str, Any]) -> Any:
    """As many, or of the same names."""
    return dict.fromkeys(given, "?") if isinstance(given, Mapping) else ["?"] * len(given)
