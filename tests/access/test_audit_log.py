"""The audit log: what is kept, what is masked, and that nobody waits for it."""

from __future__ import annotations

import errno
import json
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import wait_until

from seamline.observe.meters import METERS
from seamline.serving.access.auditlog import AuditLog, masked_sql, text_of
from seamline.tokentext import token_of


@contextmanager
def kept(folder: Path, *, masked: bool = False, most: int = 1 << 20, keep: int = 3, **more: Any) -> Iterator[AuditLog]:
    log = AuditLog(folder / "logs" / "audit.jsonl", masked=masked, most=most, keep=keep, **more)
    yield log
    log.close()


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def lost() -> float:
    name = "seamline_audit_lines_lost_total"
    return sum(METERS.registry.get_sample_value(name, {"reason": why}) or 0.0 for why in ("unwritable", "behind"))


def test_each_line_is_an_object_and_only_its_owner_reads_them(tmp_path: Path) -> None:
    with kept(tmp_path) as log:
        log.put({"who": "grafana", "sql": "SELECT 'Zoë'\n", "outcome": "ok"})
        log.put({"who": None, "outcome": "UNAUTHENTICATED"})
    path = tmp_path / "logs" / "audit.jsonl"
    assert lines(path)[0] == {"who": "grafana", "sql": "SELECT 'Zoë'\n", "outcome": "ok"}
    assert len(lines(path)) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_full_files_are_kept_by_number_and_the_oldest_goes(tmp_path: Path) -> None:
    with kept(tmp_path, most=200, keep=2) as log:
        for number in range(40):
            log.put({"number": number, "pad": "x" * 50})
    files = sorted((tmp_path / "logs").iterdir())
    assert [file.name for file in files] == ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]
    numbers = [one["number"] for file in reversed(files) for one in lines(file)]
    assert numbers == list(range(40 - len(numbers), 40))
    assert all(file.stat().st_size <= 200 for file in files)


def test_a_file_that_was_taken_away_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "audit.jsonl"
    with kept(tmp_path) as log:
        log.put({"number": 1})
        wait_until(path.exists, 10, "the first line")
        path.rename(tmp_path / "elsewhere")
        log.put({"number": 2})
    assert lines(path) == [{"number": 2}]


def test_a_full_disk_is_counted_told_and_passes(tmp_path: Path) -> None:
    """The disk: a link to the device that is always full, and then to one that is not."""
    folder = tmp_path / "logs"
    folder.mkdir()
    path = folder / "audit.jsonl"
    path.symlink_to("/dev/full")
    before = lost()
    with kept(tmp_path) as log:
        log.put({"number": 1})
        log.put({"number": 2})
        wait_until(lambda: lost() == before + 2, 10, "both are counted")
        assert str(errno.ENOSPC) in log.failure
        path.unlink()
        log.put({"number": 3})
        wait_until(lambda: not log.failure, 10, "it is written again")
    assert lines(path) == [{"number": 3}]


def test_nobody_waits_where_more_comes_than_can_be_written(tmp_path: Path) -> None:
    before, most = lost(), 4
    with kept(tmp_path, waiting=most) as log:
        for number in range(100_000):
            log.put({"number": number})
        wait_until(lambda: lost() > before, 10, "some are counted as lost")
    found = [one["number"] for one in lines(tmp_path / "logs" / "audit.jsonl")]
    assert len(found) + lost() - before == 100_000
    assert found == sorted(found)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=3), st.integers(100, 10**30))
def test_no_literal_can_be_read_where_they_are_masked(text: str, number: int) -> None:
    secret = f"q{number}q{text}q{number}q"
    for literal in (quoted(secret), f"$x${secret.replace('$', '')}$x$", f"E{quoted(secret.replace(chr(92), ''))}"):
        shown = masked_sql(f'SELECT "shöp", {literal}, {number} FROM sales WHERE x = {literal} -- {number}\n AND y')
        assert str(number) not in shown
        assert '"shöp"' in shown
        assert "FROM sales WHERE x =" in shown
        assert shown.endswith("AND y") or "$" in text or "\n" in text


@pytest.mark.parametrize(
    ("sql", "shown"),
    [
        ("SELECT 'a''b', 1.5e3, 0x1F, DATE '2024-01-01' FROM t", "SELECT ?, ?, ?, DATE ? FROM t"),
        ("SELECT 1 /* 'x' */ + 2", "SELECT ?  + ?"),
        ("SELECT 'never closed 1234", "SELECT ?"),
        ('SELECT $1, $name, "a\'b" FROM t', 'SELECT $1, $name, "a\'b" FROM t'),
        ("SELECT 0b1101, 0xdeadbeef AS x, 1_000, x'AB', 12 a", "SELECT ?, ? AS x, ?, ?, ? a"),
        ("", ""),
        ("\ud800", "(no Unicode text)"),
    ],
)
def test_what_is_masked(sql: str, shown: str) -> None:
    assert masked_sql(sql) == shown


def test_masked_lines_hold_no_values_and_no_line_holds_a_token() -> None:
    token = token_of(bytes(32))
    line = {"sql": f"SELECT '{token}', 'ada'", "parameters": {"who": "ada"}, "message": "no 'ada'", "outcome": "ok"}
    assert json.loads(text_of(line, masked=True)) == {"sql": "SELECT ?, ?", "parameters": {"who": "?"}, "outcome": "ok"}
    assert json.loads(text_of({"parameters": ("ada", 2)}, masked=True)) == {"parameters": ["?", "?"]}
    assert json.loads(text_of(line, masked=False))["sql"] == "SELECT 'seam_***', 'ada'"
