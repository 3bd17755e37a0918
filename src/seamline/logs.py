"""What a process logs: an event a line on stderr, as JSON or for people, and into a new file where its own is full, was
deleted or moved away.

Whoever logs uses Python's own loggers. What an event is about (role, stream, view, …) is bound around the work
(`structlog.contextvars`) and not said again by each. Values that settings or the environment hold as secrets are
masked wherever they turn up.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TextIO

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from seamline.config import LogsSection, Settings
from seamline.private import made
from seamline.tokentext import without_tokens

LOG = "SEAMLINE_LOG"
"""The variable that tells a child where its output goes."""

MASK = "***"
SECRET = re.compile(r"passw|secret|token|jaas|credential|(access|account|api|private).?key", re.IGNORECASE)
"""Names of settings and variables whose values nobody may read in a log."""

QUOTED = re.compile(r'"([^"]+)"')
SHORTEST = 6
"""Characters of a secret: shorter ones would mask ordinary words."""


class Lasting(logging.StreamHandler[TextIO]):
    """A handler whose file may be deleted, or moved away, while it is written to, and is when it is full."""

    def __init__(self, stream: TextIO, settings: LogsSection, *, as_json: bool) -> None:
        super().__init__(stream)
        self.as_json = as_json
        self._settings = settings

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line; where the log is full or gone, into a new one."""
        rotate_log(self._settings.max_mb << 20, self._settings.keep)
        restore_log()
        super().emit(record)


def start_logging(settings: Settings | None = None, **about: str) -> None:
    """One event a line, in UTC; chatty libraries only from warnings on. `about`: what every event of this process says.

    settings: of the project, once they are read.
    """
    section = LogsSection() if settings is None else settings.logs  # type: ignore[call-arg]
    as_json = section.form == "json" or (section.form == "auto" and not sys.stderr.isatty())
    handler = Lasting(sys.stderr, section, as_json=as_json)
    handler.setFormatter(formatter(as_json, about, secrets(settings, os.environ)))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    logging.getLogger("seamline").setLevel(logging.INFO)
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    logging.getLogger("kafka").setLevel(logging.CRITICAL)  # it says each try; what it comes to, we say ourselves
    threading.excepthook = _uncaught


def formatter(as_json: bool, about: Mapping[str, str], masked: Iterable[str]) -> logging.Formatter:
    """Makes a line of an event: JSON, or what a person reads."""
    chain: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        _with(about),
    ]
    plain = structlog.dev.plain_traceback
    ends: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        _without(masked),
        _ordered,
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=plain, timestamp_key="at", pad_event_to=0
        ),
    ]
    return structlog.stdlib.ProcessorFormatter(processors=ends, foreign_pre_chain=chain)


def secrets(settings: Settings | None, environment: Mapping[str, str]) -> frozenset[str]:
    """Values that must not be read in a log: those of settings and variables that are called so, and what stands in
    quotes in them (a JAAS line holds a password)."""
    named = [*environment.items()]
    if settings is not None:
        named += [*settings.kafka.options.items(), *settings.spark.conf.items()]
    values = {value for name, value in named if SECRET.search(name)}
    values |= {part for value in values for part in QUOTED.findall(value)}
    return frozenset(value for value in values if len(value) >= SHORTEST)


def human(line: str) -> str:
    """A line of a log as a person reads it: of JSON, the event."""
    try:
        return str(json.loads(line)["event"])
    except (ValueError, TypeError, LookupError):
        return line


def rotate_log(most: int, keep: int) -> None:
    """For a child whose log is full: it is moved to `<log>.1`, that to `<log>.2`, …, and the oldest goes."""
    named = os.environ.get(LOG)
    if named is None or os.fstat(2).st_size < most or not _is_output(Path(named)):
        return
    shift(Path(named), keep)


def shift(log: Path, keep: int) -> None:
    """Moves a full file to `<log>.1`, that to `<log>.2`, …, `keep` of them; the oldest goes."""
    files = [log, *(Path(f"{log}.{number}") for number in range(1, keep + 1))]
    if not keep:
        files[0].unlink()
    for older, newer in zip(files[:0:-1], files[-2::-1], strict=True):
        if newer.exists():
            newer.replace(older)


def restore_log() -> None:
    """For a child: where its log was deleted or moved away, what it writes from here on goes to a new one."""
    named = os.environ.get(LOG)
    if named is None or _is_output(Path(named)):
        return
    made(Path(named).parent)
    handle = os.open(named, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)


def _is_output(log: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(2), log.stat())
    except FileNotFoundError:
        return False


def _with(about: Mapping[str, str]) -> Processor:
    def add(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        return {**about, **event}

    return add


def _without(masked: Iterable[str]) -> Processor:
    longest_first = sorted(masked, key=len, reverse=True)

    def clean(value: Any) -> Any:
        if not isinstance(value, str):
            return value if isinstance(value, (int, float, bool, type(None))) else clean(str(value))
        value = without_tokens(value)
        for one in longest_first:
            value = value.replace(one, MASK)
        return value

    def mask(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        return {key: clean(value) for key, value in event.items()}

    return mask


def _ordered(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """When, how grave and what come first."""
    first = ("at", "level", "event")
    return {**{key: event[key] for key in first if key in event}, **{k: v for k, v in event.items() if k not in first}}


def _uncaught(given: threading.ExceptHookArgs) -> None:
    """A thread that ends by an exception is an event as any other."""
    if given.exc_value is not None:
        told = (given.exc_type, given.exc_value, given.exc_traceback)
        logging.getLogger("seamline").error("thread %s ended", given.thread and given.thread.name, exc_info=told)
