"""`seamline up --small`: one Spark process runs archive, speed and scheduler, and answers as the roles apart do."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from waiting import wait_until

from seamline.lake import Lake
from seamline.observe.metrics import METRICS
from seamline.operate.template import make_project

STARTED = 180
ENV = {
    **{name: value for name, value in os.environ.items() if not name.startswith("SEAMLINE_PROJECT")},
    "SEAMLINE_SERVING__PORT": "0",
    "SEAMLINE_KAFKA__REST_SECONDS": "1",
}
ORDER = '{"order_id": "%d", "placed_at": "2026-01-01T10:00:00Z", "customer": "ada", "country": "FI", "amount": 12.5}\n'
PROMISES = """
slaProperties:
  - {property: latency, value: 1, unit: d}
  - {property: completeness, value: 90, unit: percent}
"""
LOOKS = 3
SELDOM = {
    "seamline_audit_lines_lost_total",
    "seamline_catalogue_refused_total",
    "seamline_live_evaluations_total",
    "seamline_live_events_total",
    "seamline_lookup_index_bytes",
    "seamline_lookup_index_duration_seconds",
    "seamline_lookups_total",
    "seamline_requests_refused_total",
    "seamline_view_run_begun_timestamp_seconds",
}
"""Metrics that are on a page only where a request was no use, or a run is under way."""


def asks(folder: Path, words: str) -> Any:
    """What a command says as JSON; None where it cannot be said yet."""
    command = [sys.executable, "-m", "seamline", *shlex.split(words)]
    done = subprocess.run(command, cwd=folder, env=ENV, capture_output=True, text=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def runs(folder: Path, words: str) -> str:
    """What a command that ends well says in its last line."""
    command = [sys.executable, "-m", "seamline", *shlex.split(words)]
    done = subprocess.run(command, cwd=folder, env=ENV, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def sends(folder: Path, *numbers: int) -> None:
    events = folder / f"events-{numbers[0]}.jsonl"
    events.write_text("".join(ORDER % number for number in numbers))
    command = [sys.executable, "-m", "seamline", "replay", str(events), "--contract", "orders"]
    subprocess.run(command, cwd=folder, env=ENV, check=True, capture_output=True)


def counted(folder: Path) -> int | None:
    rows = asks(folder, 'query "SELECT sum(orders) AS n FROM orders_by_hour" --format json')
    return int(rows[0]["n"]) if rows and rows[0]["n"] is not None else None


def objects(folder: Path) -> set[str]:
    return {str(item["path"]) for item in Lake.open(str(folder / "lake")).listed("")}


def leases(folder: Path) -> str:
    """What changes with each renewal."""
    return "".join(path.read_text() for path in sorted((folder / "lake" / "leases").rglob("*.json")))


def pages(folder: Path) -> dict[str, list[float]]:
    """What the processes' pages say by metric, as `status` finds them; of a histogram, how many there were."""
    found: dict[str, list[float]] = {}
    for url in asks(folder, "status --json")["metrics"].values():
        for family in text_string_to_metric_families(httpx.get(url, timeout=30).raise_for_status().text):
            for sample in family.samples:
                if not sample.name.endswith(("_bucket", "_sum")):
                    found.setdefault(sample.name.removesuffix("_count"), []).append(sample.value)
    return found


@contextmanager
def up(folder: Path) -> Iterator[psutil.Process]:
    """`seamline up --small` until Ctrl-C; it must end cleanly."""
    with (folder / "up.log").open("ab") as log:
        command = [sys.executable, "-m", "seamline", "up", "--small"]
        running = subprocess.Popen(command, cwd=folder, env=ENV, stderr=log, start_new_session=True)
    try:
        yield psutil.Process(running.pid)
        running.send_signal(signal.SIGINT)
        assert running.wait(90) == 0, (folder / "up.log").read_text()
    finally:
        running.kill()


@pytest.mark.broker
@pytest.mark.spark
@pytest.mark.timeout(900)
def test_one_spark_process_does_it_all_makes_nothing_at_rest_and_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    make_project(folder)
    with (folder / "contracts/orders.yaml").open("a") as text:
        text.write(PROMISES)
    lineage = folder / "lineage.jsonl"
    transport = {"type": "file", "log_file_path": str(lineage), "append": True}
    (folder / "openlineage.yml").write_text(json.dumps({"transport": transport}))
    with up(folder) as process:
        wait_until(lambda: (folder / "up.log").read_text().count(": running") == 2, STARTED, "both roles run")
        sends(folder, 1, 2, 3)
        wait_until(lambda: counted(folder) == 3, STARTED, "three orders are counted")
        status = asks(folder, "status --json")
        assert [(role["role"], role["state"]) for role in status["roles"]] == [
            ("together", "running"), ("serving", "running"),
        ]  # fmt: skip
        wait_until(lambda: asks(folder, "status --json")["views"]["orders_by_hour"]["version"], STARTED, "a version")

        serving = json.loads((folder / ".seamline/serving.json").read_text())["url"]
        httpx.post(f"{serving}/v1/query", json={"sql": "SELECT 1 FROM orders_by_hour"}, timeout=60).raise_for_status()
        wait_until(lambda: pages(folder).get("seamline_lake_bytes"), STARTED, "the lake was listed")
        assert METRICS.keys() - SELDOM - pages(folder).keys() == set()
        said = pages(folder)
        assert said["seamline_records_read_total"] == [3.0]
        assert sorted(said["seamline_records_total"]) == [0.0, 0.0, 3.0]
        assert said["seamline_stream_lag_records"] == [0.0, 0.0]
        assert said["seamline_role_running"] == [1.0, 1.0]
        assert sum(said["seamline_view_state"]) == len(status["views"])
        assert not any(said["seamline_reader_failed"])
        products = 1 + len(status["views"])
        assert said["seamline_sla_missed"] == 2 * products * [0.0]
        assert said["seamline_sla_completeness_ratio"] == products * [1.0]

        java = [child.cmdline() for child in process.children(recursive=True) if child.name() == "java"]
        sparks = [words for words in java if any("SparkSubmit" in word for word in words)]
        assert len(java) == 2, "a broker and one Spark"
        assert len(sparks) == 1
        assert {"-Xms96m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx1g"} <= set(sparks[0])

        before = objects(folder)
        for _ in range(LOOKS):
            renewed = leases(folder)
            wait_until(lambda renewed=renewed: leases(folder) != renewed, 60, "a lease is renewed")
        assert objects(folder) == before
        sends(folder, 4)
        wait_until(lambda: counted(folder) == 4, STARTED, "an order after the rest")
    said = [json.loads(line) for line in lineage.read_text().splitlines()]
    for job in ("archive.main", "speed.main", "batch.orders_by_hour"):
        of = [one for one in said if one["job"]["name"] == job]
        assert [one["eventType"] for one in of][:2] == ["START", "COMPLETE"]
        assert of[0]["run"]["runId"] == of[1]["run"]["runId"]
    told = runs(folder, "up --detach --small")
    assert told.startswith("runs as process ")
    try:
        assert counted(folder) == 4
        assert runs(folder, "up --detach").startswith("runs already, as process ")
        states = asks(folder, "status --json")["roles"]
        assert all(psutil.pid_exists(role["pid"]) for role in states)
    finally:
        assert runs(folder, "down").startswith("stopped")
    assert not any(psutil.pid_exists(role["pid"]) for role in states)
    assert runs(folder, "down") == "nothing runs this project here"
