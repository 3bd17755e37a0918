"""The HTTP role, through a real server on a free port."""

from __future__ import annotations

import csv
import io
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pytest
import uvicorn
from handmade import ALL, Handmade, rows
from pyarrow import ipc
from servingrole import ADDRESS, address_of, begun
from waiting import wait_until

from seamline.config import Settings
from seamline.errors import UserError
from seamline.serving.follower import Follower
from seamline.serving.http.app import create_app
from seamline.serving.provenance import check_json
from seamline.serving.role import listen


class Role:
    """A running server over a handmade lake."""

    def __init__(self, made: Handmade, query_seconds: int = 1, **gate: Any) -> None:
        self.made = made
        settings = Settings(serving={"poll_ms": 5, "query_seconds": query_seconds})
        self.follower = Follower(made.lake, settings, made.clock)
        self.server = uvicorn.Server(uvicorn.Config(create_app(self.follower, **gate), log_level="warning"))
        self.socket = listen("127.0.0.1", 0)
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.socket.getsockname()[1]}", timeout=30)
        self.thread = threading.Thread(target=self.server.run, args=([self.socket],), daemon=True)
        self.thread.start()

    def query(self, sql: str, **body: Any) -> httpx.Response:
        return self.client.post("/v1/query", json={"sql": sql, **body})

    def reached(self, offset: int) -> None:
        """Waits until answers reach an offset."""

        def there() -> bool:
            said = self.query("SELECT 1 FROM sales LIMIT 0").json()
            return bool(said.get("provenance", {}).get("sales", {}).get("reached") == {"orders@id1": {"0": offset}})

        wait_until(there, 10, f"an answer up to offset {offset}")

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join()
        self.follower.stop()


@contextmanager
def running_role(folder: Path, **gate: Any) -> Iterator[Role]:
    made = Handmade(folder)
    made.epoch(rows(20))
    running = Role(made, **gate)
    running.follower.start()
    wait_until(lambda: running.client.get("/healthz").status_code == 200, 60, "the role is ready")
    yield running
    running.stop()


@pytest.fixture
def role(tmp_path: Path) -> Iterator[Role]:
    with running_role(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Role]:
    """For tests that only ask."""
    with running_role(tmp_path_factory.mktemp("reading")) as running:
        yield running


def test_it_is_healthy_only_once_a_snapshot_is_loaded(tmp_path: Path) -> None:
    running = Role(Handmade(tmp_path))
    wait_until(lambda: running.server.started, 60, "the server listens")
    early = running.client.get("/healthz")
    assert (early.status_code, early.json()["ready"]) == (503, False)
    refused = running.query(ALL)
    assert (refused.status_code, refused.json()["condition"]) == (503, "VIEW_NOT_READY")
    assert refused.headers["Retry-After"] == "1"
    running.follower.start()
    wait_until(lambda: running.client.get("/healthz").json()["ready"], 60, "the snapshot is loaded")
    running.stop()


def test_answers_follow_the_ledger_and_carry_their_proof(role: Role) -> None:
    role.made.epoch(rows(20, 20))
    role.made.version(role.made.sent[:20], cut=20)
    role.reached(40)
    wait_until(lambda: role.query(ALL).json()["provenance"]["sales"]["version"] == 1, 60, "the version is served")
    said = role.query("SELECT hour, shop, orders, amount FROM sales ORDER BY ALL").json()
    check_json(said["provenance"]["sales"])
    assert [c["name"] for c in said["columns"]] == ["hour", "shop", "orders", "amount"]
    truth = role.made.truth(role.made.sent)
    assert said["rows"] == [
        [t["hour"].isoformat().replace("+00:00", "Z"), t["shop"], t["orders"], str(t["amount"])] for t in truth
    ]


def test_get_and_post_answer_alike_in_every_format(reading: Role) -> None:
    sql = "SELECT shop, sum(orders) AS orders, max(latest) AS latest FROM sales GROUP BY shop ORDER BY shop"
    as_json = reading.client.get("/v1/query", params={"sql": sql}).json()
    assert as_json["rows"] == reading.query(sql).json()["rows"]
    as_csv = reading.query(sql, format="csv")
    read = list(csv.reader(io.StringIO(as_csv.text)))
    assert read[0] == ["shop", "orders", "latest"]
    assert read[1:] == [[str(v) for v in row] for row in as_json["rows"]]
    assert json.loads(as_csv.headers["Seamline-Provenance"])["sales"]["epochs"]["count"] == 1
    as_arrow = ipc.open_stream(reading.query(sql, format="arrow").content).read_all()
    assert as_arrow.column("shop").to_pylist() == [row[0] for row in as_json["rows"]]
    check_json(json.loads(as_arrow.schema.metadata[b"seamline.provenance"])["sales"])


def test_measures_and_warnings_in_every_format(reading: Role) -> None:
    measured = reading.query("SELECT shop, MEASURE(mean) FROM sales GROUP BY shop ORDER BY shop")
    assert measured.json()["warnings"] == []
    assert measured.json()["rows"] == [["shop0", 9.0], ["shop1", 10.0], ["shop2", 9.5]]
    wrong = "SELECT sum(amounts) AS n FROM sales"
    (said,) = reading.query(wrong).json()["warnings"]
    assert "MEASURE(amounts)" in said
    as_csv = reading.query(wrong, format="csv")
    assert json.loads(as_csv.headers["Seamline-Warnings"]) == [said]
    assert "Seamline-Warnings" not in reading.query(ALL, format="csv").headers
    as_arrow = ipc.open_stream(reading.query(wrong, format="arrow").content).read_all()
    assert json.loads(as_arrow.schema.metadata[b"seamline.warnings"]) == [said]
    refused = reading.query("SELECT MEASURE(hour) FROM sales")
    assert (refused.status_code, refused.json()["where"]) == (400, "1:8")


def test_as_of_a_past_epoch(role: Role) -> None:
    role.made.epoch(rows(5, 20))
    role.reached(25)
    count = "SELECT sum(orders)::INT AS n FROM sales"
    assert role.query(count).json()["rows"] == [[25]]
    assert role.query(count, as_of=1).json()["rows"] == [[20]]
    gone = role.query(count, as_of=9)
    assert (gone.status_code, gone.json()["condition"]) == (410, "OUT_OF_RETENTION")


@pytest.mark.parametrize(
    ("body", "status", "condition"),
    [
        ({"sql": "SELECT * FROM nope"}, 400, "QUERY_INVALID"),
        ({"sql": "DROP VIEW sales"}, 400, "QUERY_REFUSED"),
        ({"sql": "SELECT count(*) FROM range(10000000000) a(i), range(1000) b(j) WHERE i*j%7=3"}, 504, "QUERY_TIMEOUT"),
        ({"sql": ALL, "format": "xml"}, 400, "INPUT_INVALID"),
        ({"sql": ALL, "as_of": "soon"}, 400, "INPUT_INVALID"),
        ({"sql": ALL, "colour": "red"}, 400, "INPUT_INVALID"),
        ({}, 400, "INPUT_INVALID"),
    ],
)
def test_errors_are_json_with_a_hint(reading: Role, body: dict[str, Any], status: int, condition: str) -> None:
    refused = reading.client.post("/v1/query", json=body)
    assert (refused.status_code, refused.json()["condition"]) == (status, condition)
    assert {"condition", "message", "detail", "hint"} <= set(refused.json())


def test_an_unknown_path_says_which_there_are(reading: Role) -> None:
    refused = reading.client.get("/v2/query")
    assert (refused.status_code, refused.json()["condition"]) == (404, "INPUT_INVALID")
    assert "/v1/query" in refused.json()["detail"]


def test_a_hole_is_a_conflict_and_never_a_number(role: Role) -> None:
    role.made.version(role.made.sent, cut=20)
    role.made.epoch(rows(5, 20), start=30)
    wait_until(lambda: role.query(ALL).status_code == 409, 60, "the hole is seen")
    refused = role.query(ALL).json()
    assert (refused["condition"], refused["where"]) == ("SEAM_HOLE", "(orders/0:20] to (orders/0:30]")
    assert role.client.get("/v1/status").json()["views"]["sales"]["state"] == "hole"


def test_status_tells_of_streams_and_views(reading: Role) -> None:
    said = reading.client.get("/v1/status").json()
    assert said["streams"]["main"]["last_epoch"] == 1
    assert said["streams"]["main"]["balanced"] is True
    assert said["views"]["sales"]["state"] == "ready"


def test_an_entry_that_cannot_be_read_is_told_and_answers_stay(role: Role) -> None:
    import obstore

    log = role.made.lake.speed_log("main")
    obstore.put(role.made.lake.store, log.path(2), b'{"format": 99}')
    wait_until(lambda: "failing" in role.client.get("/healthz").json(), 60, "the failure is told")
    assert role.client.get("/healthz").json()["failing"]["condition"] == "LEDGER_FORMAT"
    assert role.query(ALL).status_code == 200


def test_a_port_that_is_taken_is_a_users_error() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(UserError, match="cannot listen"):
        listen("127.0.0.1", taken.getsockname()[1])


def test_the_role_writes_its_address_and_ends_cleanly_on_sigterm(tmp_path: Path) -> None:
    process = begun(tmp_path, port=0)
    try:
        url = address_of(tmp_path, process)["url"]
        wait_until(lambda: httpx.get(f"{url}/healthz", timeout=30).status_code == 200, 30, "the role is ready")
        assert httpx.post(f"{url}/v1/query", json={"sql": "SELECT 1 AS x"}, timeout=30).json()["rows"] == [[1]]
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=20)
    assert (process.returncode, said.decode()) == (0, "")
    assert not (tmp_path / ADDRESS).exists()


def test_who_follows_is_told_that_the_role_ends_and_does_not_keep_it(tmp_path: Path) -> None:
    process = begun(tmp_path, port=0)
    try:
        url = address_of(tmp_path, process)["url"]
        wait_until(lambda: httpx.get(f"{url}/healthz", timeout=30).status_code == 200, 30, "the role is ready")
        with httpx.stream("GET", f"{url}/v1/live", params={"sql": "SELECT 1 AS x"}, timeout=30) as live:
            lines = live.iter_lines()
            assert next(line for line in lines if line.startswith("event:")) == "event: answer"
            process.send_signal(signal.SIGTERM)
            assert [line for line in lines if line.startswith("event:")][-1] == "event: end"
    finally:
        process.terminate()
        _, said = process.communicate(timeout=20)
    assert (process.returncode, said.decode()) == (0, "")


def test_arrow_keeps_types(reading: Role) -> None:
    table = ipc.open_stream(reading.query(ALL, format="arrow").content).read_all()
    assert (
        table.schema.field("hour").type == pa.timestamp("us", "Etc/UTC") or table.schema.field("hour").type.tz == "UTC"
    )
    assert table.schema.field("amount").type == pa.decimal128(38, 0)


@pytest.mark.parametrize("path", ["/healthz", "/v1/views", "/v1/nothing", "/openapi.json"])
def test_nobody_keeps_an_answer_or_takes_it_for_something_else(reading: Role, path: str) -> None:
    answer = reading.client.get(path)
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
