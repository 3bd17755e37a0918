"""OpenLineage's events of runs, as a file and a server get them; and that no run waits or fails for them."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import UUID

import jsonschema
import pytest
from lakes import DAY, Bench, orders
from places import ROOT
from topics_simulation import World
from waiting import wait_until

from seamline.errors import Condition, SeamlineError, TerminalError, UserError
from seamline.history.backfills import BackfillHistory
from seamline.history.batch import BatchHistory
from seamline.jobs.asked import DateRange
from seamline.jobs.pace import Allowance
from seamline.jobs.stepwise import Allowed
from seamline.jobs.unit import UnitResult, UnitTask
from seamline.jobs.words import Words
from seamline.observe.lineage import LINEAGE, LineageDataset, LineageJob, is_wanted
from seamline.schemas.datasets import names_in, topic, view
from seamline.schemas.project import load_project
from seamline.schemas.views.project_views import compile_all

URI, WHEN = {"type": "string", "pattern": "^[a-z]+:"}, {"type": "string", "format": "date-time"}
FACETS = {
    "type": "object",
    "additionalProperties": {
        "type": "object",
        "required": ["_producer", "_schemaURL"],
        "properties": {"_producer": URI, "_schemaURL": URI},
    },
}
NAMED = {
    "type": "object",
    "required": ["namespace", "name"],
    "properties": {
        "namespace": {"type": "string", "minLength": 1},
        "name": {"type": "string", "minLength": 1},
        "facets": FACETS,
    },
}
RUN = {
    "type": "object",
    "required": ["runId"],
    "properties": {"runId": {"type": "string", "format": "uuid"}, "facets": FACETS},
}
EVENT = {
    "type": "object",
    "required": ["eventTime", "producer", "schemaURL", "run", "job"],
    "properties": {
        "eventTime": WHEN,
        "producer": URI,
        "schemaURL": {"const": "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"},
        "eventType": {"enum": ["START", "RUNNING", "COMPLETE", "ABORT", "FAIL", "OTHER"]},
        "run": RUN,
        "job": NAMED,
        "inputs": {"type": "array", "items": NAMED},
        "outputs": {"type": "array", "items": NAMED},
    },
}
"""What OpenLineage 2-0-2 asks of an event of a run, in short."""

PARENT = "01930000-0000-7000-8000-000000000001"


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """What OpenLineage's client adds to the environment, its address under another name, goes with the test."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the client's file transport has written, in order, each held against the schema."""
    file = tmp_path / "events.jsonl"
    for name, value in (("TYPE", "file"), ("LOG_FILE_PATH", str(file)), ("APPEND", "true")):
        monkeypatch.setenv(f"OPENLINEAGE__TRANSPORT__{name}", value)

    def read() -> list[dict[str, Any]]:
        found = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
        for one in found:
            jsonschema.validate(one, EVENT, format_checker=jsonschema.FormatChecker())
        return found

    return read


def made(folder: Path) -> Bench:
    bench = Bench(folder)
    bench.send(*orders(6))
    bench.both()
    return bench


def origins(dataset: dict[str, Any]) -> dict[str, set[tuple[str, str, str]]]:
    fields = dataset["facets"]["columnLineage"]["fields"]
    return {
        column: {(f["name"], f["field"], f["transformations"][0]["subtype"]) for f in said["inputFields"]}
        for column, said in fields.items()
    }


def test_a_run_is_told_as_it_begins_and_ends_with_what_it_reads_and_makes(tmp_path: Path, told: Any) -> None:
    bench = made(tmp_path / "lake")
    with LINEAGE.sending():
        bench.batch.refresh("sales")
        bench.batch.refresh("sales")
    first, last = told()
    assert [first["eventType"], last["eventType"]] == ["START", "COMPLETE"], "a run with nothing to do is none"
    (reserved,) = BatchHistory(bench.lake.batch_log(str(bench.served[0]))).reserved.values()
    job = LineageJob(bench.lake.uri, "batch.sales", "BATCH")
    assert first["run"]["runId"] == last["run"]["runId"] == job.run(f"{bench.served[0]}/{reserved.run}")
    assert UUID(first["run"]["runId"]).version == 5
    assert first["job"]["name"] == "batch.sales"
    assert first["job"]["namespace"] == bench.lake.uri
    assert first["job"]["facets"]["jobType"]["processingType"] == "BATCH"

    (raw,), (sales,) = last["inputs"], last["outputs"]
    table = f"{bench.lake.uri}/raw/orders-{bench.contract.layout}"
    assert (raw["namespace"], raw["name"]) == ("file", table)
    fields = [(f["name"], f["type"]) for f in raw["facets"]["schema"]["fields"]]
    assert fields == [(f.name, f.sql_type) for f in bench.contract.fields]
    assert (sales["namespace"], sales["name"]) == (bench.lake.uri, "sales")
    assert origins(sales) == {
        "hour": {(table, "placed", "TRANSFORMATION")},
        "shop": {(table, "shop", "IDENTITY")},
        "amount": {(table, "amount", "AGGREGATION")},
        "weight": {(table, "weight", "AGGREGATION")},
        "ids": {(table, "id", "AGGREGATION")},
        "latest": {(table, "placed", "AGGREGATION")},
    }, "count(*) is made of no column"


def test_a_run_that_fails_says_its_condition_and_one_that_is_stopped_is_no_failure(tmp_path: Path, told: Any) -> None:
    bench = made(tmp_path / "lake")
    bench.send(*orders(2, "p", DAY + timedelta(days=1)))
    bench.both()
    bench.batch.refresh("sales")

    def fails(_: list[UnitTask]) -> Iterable[UnitResult]:
        raise TerminalError(Condition.KERNEL_FAILED, "it holds 'secret-shop'")

    words = Words(bench.lake, "sales", bench.clock, "ann")

    def the_open() -> str:
        return next(iter(BackfillHistory(bench.lake.backfill_log("sales")).open))

    def pauses(by: timedelta) -> None:
        bench.clock.advance(by)
        words.pause(the_open())

    with LINEAGE.sending():
        with pytest.raises(TerminalError):
            replace(bench.batch, runner=fails).rebuild("sales")
        with pytest.raises(SeamlineError) as stopped:
            bench.batch.backfill("sales", DateRange(), Allowed(Allowance(units_a_minute=1), wait=pauses))
        assert stopped.value.condition is Condition.BACKFILL_STOPPED
        words.resume(the_open())
        bench.batch.backfill("sales", DateRange())
    said = [(one["eventType"], one["run"]["runId"]) for one in told()]
    assert [state for state, _ in said] == ["START", "FAIL", "START", "ABORT", "START", "COMPLETE"]
    assert len({run for _, run in said}) == 2, "a backfill that is gone on with is one run"
    failed = told()[1]["run"]["facets"]["errorMessage"]
    assert (failed["message"], failed["programmingLanguage"]) == ("KERNEL_FAILED", "PYTHON")
    assert "secret" not in json.dumps(told())


class Endpoint(ThreadingHTTPServer):
    """Keeps what is posted to it; while `hangs`, it takes requests and answers none."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.hangs, self.asked, self.over = False, threading.Event(), threading.Event()
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        assert self.path == "/api/v1/lineage"
        self.server.asked.set()
        if self.server.hangs:
            self.server.over.wait(30)
        self.server.events.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(201)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    for name in ("OPENLINEAGE__TRANSPORT__TRANSPORTS__DEFAULT_HTTP__TYPE", "…_URL"):  # the client leaves them behind
        monkeypatch.delenv(name.replace("…", "OPENLINEAGE__TRANSPORT__TRANSPORTS__DEFAULT_HTTP_"), raising=False)
    monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{server.server_port}")
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_server_gets_them_in_order_with_what_has_started_the_run(
    tmp_path: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "nights")
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", f"airflow/shop.refresh/{PARENT}")
    bench = made(tmp_path)
    with LINEAGE.sending():
        bench.batch.refresh("sales")
    assert [one["eventType"] for one in endpoint.events] == ["START", "COMPLETE"]
    for one in endpoint.events:
        jsonschema.validate(one, EVENT, format_checker=jsonschema.FormatChecker())
        assert one["job"]["namespace"] == "nights"
        assert one["outputs"][0]["namespace"] == bench.lake.uri, "a view is found wherever its jobs belong"
        parent = one["run"]["facets"]["parent"]
        assert parent["run"]["runId"] == PARENT
        assert (parent["job"]["namespace"], parent["job"]["name"]) == ("airflow", "shop.refresh")


def test_an_endpoint_that_does_not_answer_holds_up_no_run_and_a_parent_that_is_none_is_said(
    tmp_path: Path, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENLINEAGE_PARENT_ID", "nobody")
    endpoint.hangs = True
    bench = made(tmp_path)
    with caplog.at_level(logging.WARNING):
        with LINEAGE.sending(patience=0.2):
            assert endpoint.asked.is_set() is False
            assert bench.batch.refresh("sales").version is not None
            assert endpoint.asked.wait(30)
            began = time.monotonic()
        assert time.monotonic() - began < 3
    assert "could not be sent in time" in caplog.text
    assert "is no 'namespace/job/run id'" in caplog.text
    assert endpoint.events == []
    endpoint.hangs = False
    endpoint.over.set()
    wait_until(lambda: len(endpoint.events) == 2, 30, "what was left is sent while its process lives")


def test_an_endpoint_that_is_not_there_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    config = tmp_path / "openlineage.yml"
    config.write_text("transport: {type: http, url: 'http://127.0.0.1:9', retry: {total: 0}}")
    monkeypatch.setenv("OPENLINEAGE_CONFIG", str(config))
    bench = made(tmp_path / "lake")
    with caplog.at_level(logging.WARNING, "seamline"), LINEAGE.sending():
        assert bench.batch.refresh("sales").version is not None
    said = [record.message.split(" as lineage")[0] for record in caplog.records if record.name.startswith("seamline")]
    assert said == ["START of batch.sales could not be sent", "COMPLETE of batch.sales could not be sent"]


def test_columns_are_made_of_those_that_their_expressions_name_and_of_no_texts() -> None:
    assert names_in("time_bucket(interval '1 hour', events.\"happened\")") == ["happened"]
    assert names_in('concat(events."a b", \'events."c"\', events."d""e"."f")') == ["a b", 'd"e']
    assert names_in('measure("views") / partials."hour"') == ["views", "hour"]
    assert names_in("count(*)") == []


def test_views_over_unions_and_over_views_are_made_of_their_columns() -> None:
    project = load_project(ROOT / "examples/social")
    compiled = compile_all(project.views, project.contracts)

    def of(name: str) -> dict[str, set[tuple[str, str, str]]]:
        one = compiled[name]
        found = view(project.lake, one.definition, one.contracts, lambda c: topic(c, "kafka:9092, other:9092"))
        return {column: {(o.name, o.column, o.how) for o in made} for column, made in found.origins.items()}

    union = of("actions_by_hour")
    contracts = {contract.name: contract.topic for contract in compiled["actions_by_hour"].contracts}
    assert union["members"] == {(topic_, "member", "AGGREGATION") for topic_ in contracts.values()}
    assert union["mean_length"] == {(contracts["posts"], "length", "AGGREGATION")}
    assert "kind" not in union, "it is a constant of each contract"
    assert of("page_days")["day"] == {("page_activity", "hour", "TRANSFORMATION")}
    assert of("page_days")["page"] == {("page_activity", "page", "IDENTITY")}
    assert of("page_days")["hours"] == {("page_activity", "milliseconds", "AGGREGATION")}


def test_what_says_that_events_are_wanted_is_the_clients_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert not is_wanted({})
    assert is_wanted({"OPENLINEAGE_URL": "http://marquez:5000"})
    assert not is_wanted({"OPENLINEAGE_URL": "http://marquez:5000", "OPENLINEAGE_DISABLED": "True"})
    assert is_wanted({"OPENLINEAGE_CONFIG": "conf.yml"})
    assert is_wanted({"OPENLINEAGE__TRANSPORT": '{"type": "file"}'})
    assert not is_wanted({"OPENLINEAGE_NAMESPACE": "nights"})
    (tmp_path / "openlineage.yml").write_text("transport: {type: console}")
    assert is_wanted({})


def test_nothing_is_sent_or_loaded_where_no_events_are_wanted_and_a_missing_client_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "import sys\n"
        "from seamline.jobs.batch import Batch\n"
        "from seamline.observe.lineage import LINEAGE, LineageJob\n"
        "job = LineageJob('lake', 'batch.sales', 'BATCH')\n"
        "with LINEAGE.sending(), LINEAGE.run(job, '1', lambda: 1 / 0): pass\n"
        "print([name for name in sys.modules if name.startswith('openlineage')])"
    )
    env = {"PATH": "/usr/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=env, cwd=tmp_path
    )
    assert done.stdout == "[]\n"
    monkeypatch.setenv("OPENLINEAGE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("seamline.observe.lineage.find_spec", lambda _: None)
    with pytest.raises(UserError, match="its client is not installed") as refused, LINEAGE.sending():
        pass
    assert "seamline[lineage]" in refused.value.hint


def test_a_streams_roles_read_its_topics_and_make_raw_tables_and_views(tmp_path: Path) -> None:
    world = World(tmp_path / "project")
    read, made = world.role("speed").read_and_made()
    topics = [("kafka://played:1", "orders"), ("kafka://played:1", "others")]
    assert [(one.namespace, one.name) for one in read] == topics
    assert {one.name: origins_of(one) for one in made} == {
        name: {"day": {("kafka://played:1", name, "placed", "TRANSFORMATION")}} for name in ("orders", "others")
    }
    read, made = world.role("archive").read_and_made()
    assert [(one.namespace, one.name) for one in read] == topics
    layouts = {name: contract.layout for name, contract in world.project.contracts.items()}
    assert [one.name for one in made] == [f"{world.lake.uri}/raw/{name}-{layouts[name]}" for name in sorted(layouts)]


def origins_of(one: LineageDataset) -> dict[str, set[tuple[str, str, str, str]]]:
    return {column: {(o.namespace, o.name, o.column, o.how) for o in made} for column, made in one.origins.items()}
