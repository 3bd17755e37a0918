"""`seamline status`: what needs attention comes first, with the command that helps; it fits 80 columns."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from commands import parse
from lakes import VIEW, Bench, order, orders, project

from seamline.claims import Lease, Stay, claim
from seamline.cli.main import app, execute
from seamline.cli.status import WIDTH, show_counts
from seamline.config import Settings
from seamline.console import fitted, plain_table
from seamline.entries.base import Counts
from seamline.entries.batch import Audit, ColumnDrift
from seamline.frontier import Frontier, Partition
from seamline.history.archive import ArchiveHistory
from seamline.history.batch import BatchHistory
from seamline.machine.supervisor import RoleState, State
from seamline.operate.backfill import UnderWay
from seamline.operate.keeping import Keeping, all_too_short
from seamline.operate.needs import Need, needs
from seamline.serving.serving import Serving
from seamline.serving.status import Status, StreamStatus
from seamline.streaming.kafka import TopicKeeps

NOW = datetime(2026, 5, 1, tzinfo=UTC)
DRIFTED = Audit(compared=True, drift=(ColumnDrift(column="amount", groups=2, largest="1"),))


def asked(folder: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """What `seamline status` says of a project."""
    capsys.readouterr()
    assert execute(["status", "--project", str(folder), *options]) == 0
    return capsys.readouterr().out


def attention(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, Any]]:
    """What needs attention, by what it is about."""
    found = json.loads(asked(folder, capsys, "--json"))["attention"]
    return {need["about"]: need for need in found}


def told(
    lake: Status | None = None, roles: Iterable[RoleState] = (), backfills: Iterable[UnderWay] = ()
) -> dict[str, Need]:
    """The same of a status; every command in it can be given."""
    found = needs(lake or Status({}, {}), tuple(roles), backfills, {}, 1000)
    for need in found:
        program, *words = shlex.split(need.help)
        if program == "seamline":
            parse(app, words)
    return {need.about: need for need in found}


def stream(**more: Any) -> StreamStatus:
    """A stream that keeps up: two partitions, ten records each, both layers at work."""
    reached = Frontier({Partition("orders@id1", n): 10 for n in (0, 1)})
    lease = Lease("x", "here", 1, 0.0, NOW.isoformat())
    known: dict[str, Any] = {
        "name": "main", "frontier": reached, "last_epoch": 1, "committed": NOW, "newest": NOW, "counts": {},
        "archived": reached, "archive_counts": {}, "lag_records": 0, "lag_seconds": 1.0, "archive_lag_records": 0,
        "writers": {"speed": lease, "archive": lease},
    }  # fmt: skip
    return StreamStatus(**{**known, **more})


def test_it_fits_80_columns_whatever_the_names_and_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench = project(tmp_path)
    long = "a_view_whose_name_is_as_long_as_names_of_views_are_where_many_people_work_together"
    (tmp_path / "views" / "long.sql").write_text(VIEW.replace("VIEW sales", f"VIEW {long}"))
    assert execute(["views", "apply", "--project", str(tmp_path)]) == 0
    bench.send(*orders(30), *[b"{}"] * 5)
    bench.both()
    narrow = asked(tmp_path, capsys, "--counts")
    assert max(map(len, narrow.splitlines())) <= WIDTH
    assert long not in narrow
    assert narrow.splitlines()[0] == "needs attention:"
    wide = asked(tmp_path, capsys, "--wide")
    assert long in wide
    assert str(Serving(bench.lake, Settings()).snapshot().view("sales").definition.hash) in wide


def test_a_table_is_fitted_by_its_longest_cells_and_no_name_of_a_column_is_cut() -> None:
    rows = [["x" * 200, "1", "y" * 50], ["z", "22222222222", ""]]
    names = ("name", "a number", "more")
    assert max(map(len, plain_table(names, fitted(names, rows, 80), [False] * 3).splitlines())) == 80
    assert fitted(names, rows, 300) == rows
    kept = fitted(("a column with a long name",), [["w" * 40]], 10)
    assert kept == [["w" * 12 + "…" + "w" * 12]]


def test_both_layers_count_in_terms_that_can_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    speed = {"orders": Counts(read=1000, counted=545, rejected=10, duplicate=445)}
    archive = {"orders": Counts(read=1000, counted=990, rejected=10)}
    show_counts(Status({"main": stream(counts=speed, archive_counts=archive)}, {}), WIDTH)
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line]
    assert lines[0] == ["contract", "layer", "read", "rejected", "valid", "copies", "counted"]
    assert lines[1] == ["orders", "speed", "1000", "10", "990", "445", "545"]
    assert lines[2] == ["orders", "archive", "1000", "10", "990", "kept", "by", "batch"]


def test_nothing_needs_attention_where_all_is_well() -> None:
    roles = [RoleState(name, State.RUNNING, pid=1) for name in ("archive", "speed", "scheduler", "serving")]
    assert told(Status({"main": stream()}, {}), roles) == {}


def test_a_role_that_is_down_is_told_with_its_log_and_none_at_all_with_how_to_start() -> None:
    running = RoleState("speed", State.RUNNING, pid=1)
    failed = RoleState("archive", State.FAILED, reason="an operator has to decide", log="/x/archive.log")
    found = told(roles=[running, failed])
    assert (found["role archive"].fault, found["role archive"].help) == (True, "tail /x/archive.log")
    assert "an operator has to decide" in found["role archive"].found
    dying = replace(failed, state=State.WAITING, reason="ended with 70")
    assert "ended with 70" in told(roles=[running, dying])["role archive"].found
    stopped = [replace(one, state=State.STOPPED, pid=None) for one in (running, failed)]
    assert told(roles=stopped) == {"roles": Need("roles", False, "none runs on this machine", "seamline up")}


def test_a_stream_is_behind_when_records_wait_and_those_read_are_old_or_nobody_reads() -> None:
    def of(**more: Any) -> dict[str, Need]:
        return told(Status({"main": stream(**more)}, {}))

    assert of(lag_records=5000, lag_seconds=3.0) == {}  # a burst
    assert of(lag_records=4, lag_seconds=9000.0) == {}  # the marks of transactions, at rest
    assert "5000 records" in of(lag_records=5000, lag_seconds=61.0)["stream main"].found
    assert of(archive_lag_records=1000) == {}
    assert "archive" in of(archive_lag_records=1001)["stream main"].found
    alone = {"archive": stream().writers["archive"]}
    assert "no speed layer reads" in of(lag_records=1, writers=alone)["stream main"].found
    waits = {**alone, "speed": replace(alone["archive"], waits="BROKER_UNAVAILABLE: away")}
    assert of(writers=waits)["stream main"].help == "seamline doctor"


def test_a_topic_that_may_lose_records_before_they_are_archived_is_told() -> None:
    hour, day = 3600.0, 86_400.0

    def of(seconds: float | None, **more: Any) -> dict[str, Need]:
        keeping = Keeping({"main": {"orders": TopicKeeps(seconds, None)}, "other": {}}, "kafka:9092", Settings())
        short = all_too_short(keeping, [stream(**more)], NOW)
        return {need.about: need for need in needs(Status({}, {}), (), (), {}, 1000, (), short)}

    assert of(None) == of(day) == {}
    advice = of(hour)["topic orders"]
    assert (advice.fault, advice.found) == (
        False, "keeps records for 1 h, less than a day: what no role has read by then is gone",
    )  # fmt: skip
    assert "--bootstrap-server kafka:9092 --alter --topic orders" in advice.help

    def stood(seconds: float, waiting: int) -> dict[str, Need]:
        return of(7 * day, archive_lag_records=waiting, filed=NOW - timedelta(seconds=seconds))

    assert stood(3.4 * day, 100) == {}
    assert stood(30 * day, 4) == {}, "the marks of transactions: nothing waits"
    lost = stood(3.6 * day, 100)["topic orders"]
    assert lost.fault
    assert "keeps records for 7 d, and the archive has filed none for 4 d while records wait" in lost.found


def test_what_is_kept_for_how_long_is_shown_as_it_is_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(tmp_path, "[speed]\nretention_hours = 48\n[batch]\nkeep_versions = 9\n[logs]\nmax_mb = 7\nkeep = 1\n")
    assert json.loads(asked(tmp_path, capsys, "--json"))["retention"] == {
        "kafka": {}, "raw": {}, "raw_as_it_stood_hours": 24, "epochs_hours": 48, "batch_versions": 9,
        "logs": {"max_mb": 7, "keep": 1},
    }  # fmt: skip
    lines = [" ".join(line.split()) for line in asked(tmp_path, capsys).splitlines()]
    assert "Kafka not known" in lines
    assert "epochs 2 d after a batch version covers them" in lines
    assert "logs 2 files of 7 MiB for each process" in lines
    settings = {"main": {"b": TopicKeeps(3600.0, None), "a": TopicKeeps(3600.0, None), "c": TopicKeeps(None, 5 << 20)}}
    assert Keeping(settings, "", Settings()).rows[:2] == [
        ("Kafka: a, b", "1 h"), ("Kafka: c", "for ever, at most 5 MiB a partition"),
    ]  # fmt: skip
    kept = Keeping({}, "", Settings(), {"orders": timedelta(days=400)}, {"orders": date(2026, 1, 2)})
    assert ("raw of orders", "400 days, from 2026-01-02 on") in kept.rows
    assert ("raw of other contracts", "for ever") in kept.rows
    assert kept.to_json()["raw"] == {"orders": {"days": 400, "begins": "2026-01-02", "stays": None}}


def test_why_dates_of_raw_stay_is_shown_beside_how_long_they_are_kept_with_what_helps(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = project(tmp_path)
    path = tmp_path / "contracts/orders.yaml"
    path.write_text(path.read_text() + "  - {property: seamline.rawRetention, value: 400 days}\n")
    why = "batch version 3 of sales (definition abc), which is served, has not read all of it"
    with claim(bench.lake, bench.lake.archive_log("main"), "archive") as writer:
        assert json.loads(asked(tmp_path, capsys, "--json"))["retention"]["raw"]["orders"]["stays"] is None
        writer.tell_stays({"orders": Stay("2026-01-05", why, "seamline batch refresh sales")})
        said = json.loads(asked(tmp_path, capsys, "--json"))["retention"]["raw"]["orders"]
        assert said["stays"] == {"before": "2026-01-05", "why": why, "help": "seamline batch refresh sales"}
        lines = [" ".join(line.split()) for line in asked(tmp_path, capsys, "--wide").splitlines()]
        at = lines.index("raw of orders 400 days")
        assert lines[at + 1 : at + 3] == [f"before 2026-01-05 not gone yet: {why}", "seamline batch refresh sales"]
        writer.tell_stays({"orders": Stay("2026-01-05", why)})
        assert "seamline batch refresh sales" not in asked(tmp_path, capsys, "--wide")
        writer.tell_stays({})
        assert "not gone yet" not in asked(tmp_path, capsys, "--wide")
        writer.tell_stays({"orders": Stay("2026-01-05", why)})
    assert "not gone yet" not in asked(tmp_path, capsys, "--wide"), "nobody looks any more: the archive is down"


def test_when_the_archive_last_filed_is_told_by_its_log_and_imports_do_not_count(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert ArchiveHistory(bench.lake.archive_log("main")).filed is None
    bench.send(*orders(3))
    bench.archive()
    filed = bench.clock()
    bench.wait(hours=5)
    bench.import_file("more", order("x"))
    assert ArchiveHistory(bench.lake.archive_log("main")).filed == filed


def test_a_backfill_that_stands_still_is_told_with_the_word_that_helps() -> None:
    known: dict[str, Any] = {
        "id": "b1", "view": "sales", "asked": "..", "by": "ada", "since": NOW, "done": 2, "units": 3,
        "newest": NOW, "failed": {}, "skipped": (), "version": None, "audit": None,
    }  # fmt: skip

    def of(state: str, **more: Any) -> tuple[bool, str, str]:
        need = told(backfills=[UnderWay(**{**known, "state": state, **more})])["backfill sales .."]
        return need.fault, need.found, need.help

    assert told(backfills=[UnderWay(**known, state="open")]) == {}
    assert of("paused") == (False, "is paused, 2 of 3 units done", "seamline backfill resume b1")
    found = "stopped: unit 2026-01-02 failed (disk full)"
    assert of("failed", failed={"2026-01-02": "disk full"}) == (True, found, "seamline backfill resume b1")
    assert of("built", version=7) == (
        False, "version 7 is built and waits for a look", "seamline backfill promote b1",
    )  # fmt: skip


def test_a_producer_that_begins_to_send_what_is_rejected_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = project(tmp_path)
    bench.send(*orders(300), b"{}")
    bench.both()
    assert "contract orders" not in attention(tmp_path, capsys)  # one of 301
    bench.send(*orders(10, "p"), *[b"{}"] * 9)
    bench.both()
    need = attention(tmp_path, capsys)["contract orders"]
    assert need["found"].startswith("10 of its newest 320 records were rejected (3.1%")
    assert need["help"] == "seamline quarantine show orders"


def test_a_definition_that_waits_and_why_a_pin_and_a_held_version_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = project(tmp_path)
    bench.send(*orders(30))
    bench.both()
    bench.batch.refresh("sales")
    assert "view sales" not in attention(tmp_path, capsys)
    held = hold(bench)
    need = attention(tmp_path, capsys)["view sales"]
    assert (need["fault"], need["help"]) == (True, f"seamline views rollback sales --version {held}")
    bench.apply(VIEW.replace("sum(amount)", "sum(2 * amount)"))
    found = json.loads(asked(tmp_path, capsys, "--json"))["attention"]
    (waits,) = (one for one in found if "waits for its first version" in one["found"])
    assert waits["found"].endswith("no scheduler runs")
    assert execute(["views", "pin", "sales", "--project", str(tmp_path)]) == 0
    found = json.loads(asked(tmp_path, capsys, "--json"))["attention"]
    assert "seamline views unpin sales" in [one["help"] for one in found]
    assert not [one for one in found if "waits" in one["found"]]


def test_a_stream_without_records_answers_with_no_rows_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench = project(tmp_path)
    assert attention(tmp_path, capsys)["view sales"]["help"] == "seamline up"  # no speed layer was ever started
    bench.speed()
    need = attention(tmp_path, capsys)["view sales"]
    assert (need["fault"], "no rows" in need["found"]) == (False, True)
    answer = Serving(bench.lake, Settings()).query("SELECT * FROM sales")
    assert answer.table.num_rows == 0
    assert answer.warnings == ("no record of stream main was read yet, so sales has no rows",)
    bench.send(order("1"))
    bench.speed()
    assert Serving(bench.lake, Settings()).query("SELECT * FROM sales").warnings == ()


def test_watching_needs_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(tmp_path)
    assert execute(["status", "--watch", "--project", str(tmp_path)]) == 2
    assert "--watch needs a terminal" in capsys.readouterr().err


def hold(bench: Bench) -> int:
    """Puts a newer version of what is served, whose audit found drift; returns its number."""
    batch: BatchHistory = bench.versions()
    number, newest = max(batch.versions.items())
    batch.log.put(batch.number + 1, newest.model_copy(update={"audit": DRIFTED, "run": "held", "base": number}))
    return batch.number + 1
