"""What is logged: an event a line that says what it is about, no secrets, and files that do not grow for ever."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from handmade import ALL, Handmade, rows
from structlog.contextvars import bound_contextvars

from seamline.config import Settings
from seamline.logs import LOG, formatter, human, secrets, start_logging
from seamline.observe.timed import timed

JAAS = 'org.apache.kafka.common.security.scram.ScramLoginModule required username="ada" password="pa55-word-7";'
KAFKA = {"sasl.jaas.config": JAAS, "ssl.key.password": "key-of-ada", "security.protocol": "SASL_SSL"}
Said = Callable[[Callable[[logging.Logger], object]], dict[str, Any]]


@pytest.fixture
def said() -> Said:
    """What the one event of a work says, as JSON."""

    def of(work: Callable[[logging.Logger], object], masked: frozenset[str] = frozenset()) -> dict[str, Any]:
        lines: list[str] = []
        handler = logging.Handler()
        handler.setFormatter(formatter(True, {"role": "speed", "stream": "main"}, masked or SECRETS))
        handler.emit = lambda record: lines.append(handler.format(record))  # type: ignore[method-assign]
        logger = logging.getLogger("seamline.test_logs")
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            work(logger)
        finally:
            logger.removeHandler(handler)
        (line,) = lines
        assert "\n" not in line
        event: dict[str, Any] = json.loads(line)
        return event

    return of


SECRETS = secrets(Settings(kafka={"options": KAFKA}), {"AWS_SECRET_ACCESS_KEY": "aws-key-of-ada", "HOME": "/home/ada"})


def test_an_event_says_when_how_grave_what_and_what_it_is_about(said: Said) -> None:
    def work(log: logging.Logger) -> None:
        with timed("run", {"view": "sales"}, kind="refresh"), bound_contextvars(definition="abc"):
            log.warning("held for %d s", 7)

    event = said(work)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", event.pop("at"))
    assert event == {
        "level": "warning", "event": "held for 7 s", "logger": "seamline.test_logs", "role": "speed", "stream": "main",
        "view": "sales", "kind": "refresh", "definition": "abc",
    }  # fmt: skip


def test_a_traceback_is_part_of_its_line(said: Said) -> None:
    def work(log: logging.Logger) -> None:
        try:
            _ = 1 // 0
        except ZeroDivisionError:
            log.exception("a defect")

    assert said(work)["exception"].splitlines()[-1].startswith("ZeroDivisionError")


@pytest.mark.parametrize("secret", [JAAS, "pa55-word-7", "key-of-ada", "aws-key-of-ada"])
def test_a_secret_is_masked_wherever_it_turns_up(said: Said, secret: str) -> None:
    def in_all(log: logging.Logger) -> None:
        try:
            raise ValueError(f"refused: {secret}")
        except ValueError:
            log.exception("with %s", {"options": secret}, extra={"detail": secret, "told": [secret]})

    event = said(in_all)
    assert "pa55-word-7" not in str(event)
    assert secret not in str(event)
    assert event["detail"] == "***"
    assert "SASL_SSL" in said(lambda log: log.info("SASL_SSL"))["event"], "no secret"


def test_no_query_is_logged_with_its_values(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    from seamline.serving.serving import Serving

    made = Handmade(tmp_path)
    made.epoch(rows(3))
    with caplog.at_level(logging.DEBUG, "seamline"):
        Serving(made.lake, Settings(), made.clock).query(ALL)
    assert caplog.text == ""


CHILD = """
import logging, os, sys
from seamline.config import Settings
from seamline.logs import start_logging
start_logging(Settings(logs={"max_mb": 1, "keep": 2}), role="speed")
log = logging.getLogger("seamline")
for number in range(int(sys.argv[1])):
    log.info("%06d %s", number, "x" * 1000)
"""


def run_child(log: Path, events: int) -> None:
    with log.open("ab") as output:
        command = [sys.executable, "-c", CHILD, str(events)]
        env = {**os.environ, LOG: str(log)}
        subprocess.run(command, stdout=output, stderr=output, env=env, check=True)


def test_a_full_log_is_followed_by_a_new_one_and_the_oldest_goes(tmp_path: Path) -> None:
    log = tmp_path / "speed.log"
    run_child(log, 4500)
    files = [log, tmp_path / "speed.log.1", tmp_path / "speed.log.2"]
    assert sorted(tmp_path.iterdir()) == files
    assert all(file.stat().st_size <= (1 << 20) + 2000 for file in files)
    events = [json.loads(line)["event"][:6] for file in reversed(files) for line in file.read_text().splitlines()]
    assert events == [f"{number:06}" for number in range(4500 - len(events), 4500)], (
        "no event is lost between two files"
    )


def test_what_ends_a_role_is_an_event_too(tmp_path: Path) -> None:
    (tmp_path / "seamline.toml").write_text("[metrics]\nport = 1\n[serving]\nport = 0\n[kafka]\nnonsense = 1\n")
    done = subprocess.run(
        [sys.executable, "-m", "seamline", "run", "serving", "--project", str(tmp_path)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    (event,) = map(json.loads, done.stderr.splitlines())
    assert event["condition"] == "CONFIG_INVALID"
    assert event["role"] == "serving"
    assert event["hint"]
    assert event["runbook"] == "docs/runbooks/CONFIG_INVALID.md"
    assert human(done.stderr.strip()) == event["event"]
    assert event["event"].startswith("[CONFIG_INVALID] ")


def test_a_person_reads_words(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    root = logging.getLogger()
    kept, level = root.handlers[:], root.level
    try:
        start_logging(Settings(logs={"form": "text"}), role="speed")
        logging.getLogger("seamline").info("starts")
    finally:
        logging.captureWarnings(False)
        root.handlers[:] = kept
        root.setLevel(level)
    line = capfd.readouterr().err
    assert re.search(r"\[info +\] starts .*role=speed", line), line


def test_a_line_that_is_no_event_is_told_as_it_stands() -> None:
    assert human('{"event": "starts"}') == "starts"
    assert human("Exception in thread main") == "Exception in thread main"
    assert human("[1]") == "[1]"
