"""What a process's page says: figures that agree with the ledger, one that costs no more later, and where it is."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from handmade import ALL, Handmade, rows
from lakes import DAY, VIEW, Bench, contract, order, orders
from prometheus_client.parser import text_string_to_metric_families
from requests_made import Requests

from seamline import objects
from seamline.clock import ManualClock
from seamline.config import MetricsSection, Settings
from seamline.entries.base import Counts
from seamline.entries.batch import Reserved
from seamline.errors import Condition, UserError
from seamline.frontier import START, Frontier
from seamline.history.speed import SpeedHistory
from seamline.jobs.words import Words
from seamline.observe.meters import METERS, Figure, Meters
from seamline.observe.metrics import METRICS, STATES
from seamline.observe.page import FOLDER, addresses, metrics_page
from seamline.operate.products import kept_as_served
from seamline.operate.samples import Duty, DutyEnds, scheduler_samples
from seamline.operate.stack import roles
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.project import Project
from seamline.schemas.service_levels import Promised, promised
from seamline.serving.samples import serving_samples
from seamline.serving.serving import Serving
from seamline.streaming.samples import archived_samples, count_samples, epoch_samples, lag_samples, promise_samples

PROMISES = "TBLPROPERTIES ('sla.freshness' = '4 minutes', 'sla.completeness' = '75%')"

Page = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parsed(text: str) -> Page:
    """Every sample of a page, by its name and labels, as Prometheus' own parser reads it."""
    families = text_string_to_metric_families(text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def value(page: Page, name: str, **labels: str) -> float:
    return page[name, tuple(sorted(labels.items()))]


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Any]:
    """Reads this process's page over HTTP, as Prometheus does."""
    with metrics_page(MetricsSection(), tmp_path, "here"):  # type: ignore[call-arg]
        url = addresses(tmp_path)["here"]
        yield lambda: parsed(httpx.get(url).raise_for_status().text)
    assert addresses(tmp_path) == {}


def test_the_table_keeps_to_the_conventions_of_prometheus() -> None:
    for one in METRICS.values():
        assert re.fullmatch(r"seamline_[a-z]+(_[a-z]+)*", one.name)
        assert one.name.endswith("_total") == (one.kind == "counter")
        assert (one.kind == "histogram") == bool(one.buckets) == one.name.endswith("_duration_seconds")
        assert one.help.endswith(".")
        assert len(set(one.labels)) == len(one.labels)
        assert not {"le", "quantile", "instance", "job", "process"} & {*one.labels}
        assert not re.search(r"_(ms|millis|minutes|hours|kb|mb|percent)(_|$)", one.name), "base units"


def test_a_sample_that_the_table_does_not_know_is_told_as_a_failure_and_keeps_no_other_from_the_page() -> None:
    meters = Meters()
    broken = meters.reading("broken", lambda: 1 / 0)  # type: ignore[arg-type,return-value]
    with broken, meters.reading("well", lambda: [Figure("seamline_view_version", 7, {"view": "sales"})]):
        found = {s.labels.get("reader", s.name): s.value for family in meters.collect() for s in family.samples}
    assert found == {"seamline_build_info": 1, "broken": 1, "well": 0, "seamline_view_version": 7}
    with meters.reading("unknown", lambda: [Figure("seamline_nobody", 1)]), pytest.raises(KeyError):
        list(meters.collect())


def test_counters_of_records_begin_with_the_process_and_keep_law_3() -> None:
    before = {"orders": Counts(read=10, counted=7, rejected=2, duplicate=1)}
    now = {"orders": Counts(read=25, counted=19, rejected=4, duplicate=2), "": Counts(read=3, rejected=3)}
    found = {
        (s.name, s.labels["contract"], s.labels.get("outcome")): s.value for s in count_samples("main", before, now)
    }
    assert found["seamline_records_read_total", "orders", None] == 15
    assert found["seamline_records_total", "orders", "counted"] == 12
    assert found["seamline_records_total", "(unclaimed)", "rejected"] == 3
    for name in ("orders", "(unclaimed)"):
        parts = [found["seamline_records_total", name, one] for one in ("counted", "rejected", "duplicate")]
        assert sum(parts) == found["seamline_records_read_total", name, None]


def test_a_layers_figures_are_those_of_its_log(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.send(order("a"), order("b"), order("a"), b"{")
    bench.speed()
    bench.clock.advance(timedelta(minutes=5))
    bench.send(order("c", DAY + timedelta(hours=1)), partition=1)
    history = bench._speed.history if bench._speed else None
    assert history is not None
    said = {(s.name, s.labels.get("outcome")): s.value for s in count_samples("main", {}, history.counts)}
    assert [said["seamline_records_total", one] for one in ("counted", "rejected", "duplicate")] == [2, 1, 1]
    (lag,) = lag_samples("main", "speed", history.frontier, bench.end)
    assert (lag.value, lag.labels) == (1, {"stream": "main", "layer": "speed"})
    assert not list(lag_samples("main", "speed", history.frontier, None)), "no figure where Kafka does not answer"
    epoch = {s.name: s.value for s in epoch_samples("main", history)}
    assert epoch["seamline_stream_epoch"] == 1
    assert epoch["seamline_stream_newest_timestamp_seconds"] == datetime(2024, 6, 1, tzinfo=UTC).timestamp()
    mended = {"orders": Counts(read=4, counted=4)}
    held = {s.labels["outcome"]: s.value for s in archived_samples("main", mended)}
    assert held == {"counted": 4, "rejected": 0}


def test_promises_are_held_against_the_log_as_status_does(tmp_path: Path) -> None:
    """By hand: of four records one is rejected; the newest is five minutes old, and six wait."""
    bench = Bench(tmp_path, view=VIEW.replace("VIEW sales AS", f"VIEW sales {PROMISES} AS"))
    bench.send(order("a"), order("b"), order("c"), b"{")
    bench.speed()
    bench.clock.advance(timedelta(minutes=5))
    history = SpeedHistory(bench.lake.speed_log("main"))
    of = promised({"orders": bench.contract}, Catalogue(bench.lake).live("main"))

    def said(end: Frontier | None, promises: list[Promised] = of) -> dict[tuple[str, ...], float]:
        found = promise_samples(promises, history, end, bench.clock())
        return {(s.name.removeprefix("seamline_sla_"), *s.labels.values()): s.value for s in found}

    view = "view sales"
    limits = {("freshness_limit_seconds", view): 240.0, ("completeness_limit_ratio", view): 0.75}
    kept = {("completeness_ratio", view): 0.75, ("missed", view, "completeness"): 0.0}
    assert said(bench.end) == limits | kept | {("freshness_seconds", view): 0.0, ("missed", view, "freshness"): 0.0}
    bench.send(*orders(6))
    late = {("freshness_seconds", view): 300.0, ("missed", view, "freshness"): 1.0}
    assert said(bench.end) == limits | kept | late
    assert said(None) == limits | kept, "nobody says whether records wait"
    project = Project(tmp_path, Settings(), {"orders": bench.contract}, {})
    status = Serving(bench.lake, Settings(), bench.clock).status({"main": bench.end})
    told = {(k.product, k.promise.kind): k.found for k in kept_as_served(project.contracts, status)}
    assert told == {(view, "freshness"): 300.0, (view, "completeness"): 0.75}

    bench.send(b"{")
    bench.speed()
    history = SpeedHistory(bench.lake.speed_log("main"))
    assert said(bench.end)["missed", view, "completeness"] == 0.0, "9 of 11 are valid"
    bench.send(b"{", b"{")
    bench.speed()
    history = SpeedHistory(bench.lake.speed_log("main"))
    assert said(bench.end)["completeness_ratio", view] == 1 - 4 / 13
    assert said(bench.end)["missed", view, "completeness"] == 1.0


def test_an_epochs_steps_and_outcome_are_timed(tmp_path: Path, page: Any) -> None:
    bench = Bench(tmp_path / "lake")
    bench.send(order("a"), order("a"))
    before = page()
    bench.speed()
    after = page()
    for step in ("read", "dedup", "remake", "write", "put"):
        key = "seamline_epoch_step_duration_seconds_count", (("step", step), ("stream", "main"))
        assert after[key] - before.get(key, 0) == 1
    key = "seamline_epoch_duration_seconds_count", (("outcome", "ok"), ("stream", "main"))
    assert after[key] - before.get(key, 0) == 1


def test_queries_are_timed_by_kind_and_outcome(tmp_path: Path, page: Any) -> None:
    made = Handmade(tmp_path / "lake")
    made.epoch(rows(10))
    serving = Serving(made.lake, Settings(), made.clock)
    before = page()
    serving.query(ALL)
    serving.query(ALL, as_of=1)
    for refused in ("SELECT * FROM read_csv('x')", "DROP TABLE sales"):
        with pytest.raises(UserError):
            serving.query(refused)
    after = page()

    def came(kind: str, outcome: str) -> float:
        key = "seamline_query_duration_seconds_count", (("kind", kind), ("outcome", outcome))
        return after.get(key, 0) - before.get(key, 0)

    assert came("newest", "ok") == came("as_of", "ok") == 1
    assert came("newest", "QUERY_REFUSED") == 2


def test_a_view_says_its_state_chain_and_audit_and_asks_the_lake_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Handmade(tmp_path / "lake")
    for _ in range(3):
        made.epoch(rows(10))
    serving = Serving(made.lake, Settings(), made.clock)
    requests = Requests(monkeypatch)
    found: list[Figure] = []
    assert requests.of(lambda: found.extend(serving_samples(serving, made.clock()))) == []
    states = {s.labels["state"]: s.value for s in found if s.name == "seamline_view_state"}
    assert states == {state: float(state == "ready") for state in STATES}
    said = {s.name: s.value for s in found}
    assert said["seamline_view_chain_epochs"] == 3
    assert said["seamline_view_version"] == 0
    assert "seamline_view_run_begun_timestamp_seconds" not in said


def test_a_run_that_has_begun_is_told_until_its_version_stands(tmp_path: Path) -> None:
    made = Handmade(tmp_path / "lake")
    made.epoch(rows(10))
    made.version(made.sent, cut=10)
    (_, batch) = Serving(made.lake, Settings(), made.clock).served()["sales"]
    assert batch is not None
    assert batch.begun is None, "its version stands"
    newest, at = max(batch.versions), made.clock()
    first, again = (
        Reserved(at=at + timedelta(hours=hours), run="r", cut=START, until=at, archive_entry=1) for hours in (0, 1)
    )
    batch.apply(newest + 1, first)
    batch.apply(newest + 2, again)
    assert batch.begun == at, "a run that is started again began when it did"
    batch.apply(newest + 3, batch.versions[newest])
    assert batch.begun is None


@pytest.mark.parametrize("hints", [True, False])
def test_a_paused_backfill_is_told_while_it_is_paused(tmp_path: Path, hints: bool) -> None:
    """Where its hint was lost, by the next look at every log."""
    made = Handmade(tmp_path / "lake")
    made.epoch(rows(10))
    made.version(made.sent, cut=10)
    serving, words = Serving(made.lake, Settings(), made.clock), Words(made.lake, "sales", made.clock)

    def paused() -> float:
        if not hints:
            for path in objects.paths(made.lake.store, "hints/backfills"):
                made.lake.store.delete(path)
            made.clock.advance(timedelta(hours=1))
        serving.catch_up()
        page = serving_samples(serving, made.clock())
        return next(s.value for s in page if s.name == "seamline_view_backfill_paused")

    backfill = words.begun("2026-01-01..", made.served().hash)
    words.begin(backfill)
    assert paused() == 0
    words.pause(backfill.id)
    assert paused() == 1
    words.resume(backfill.id)
    assert paused() == 0
    words.pause(backfill.id)
    words.cancel(backfill.id)
    assert paused() == 0


def test_a_duty_that_fails_is_counted_and_ends(page: Any) -> None:
    clock = ManualClock(DAY)
    ends = DutyEnds(DAY, clock)
    hour = timedelta(hours=1)
    good, bad = Duty("good", lambda: True, hour, DAY), Duty("bad", lambda: False, hour, DAY)
    clock.advance(hour)
    ends.run(good)
    ends.run(bad)
    raising = Duty("raising", lambda: bool(1 // 0), hour, DAY)
    with pytest.raises(ZeroDivisionError):
        ends.run(raising)
    after = page()
    assert value(after, "seamline_duty_runs_total", duty="good", outcome="ok") == 1
    assert value(after, "seamline_duty_runs_total", duty="bad", outcome="failed") == 1
    assert value(after, "seamline_duty_runs_total", duty="raising", outcome="failed") == 1
    told = {(s.name, s.labels["duty"]): s.value for s in scheduler_samples((good, bad), ends, lambda _: None, None)}
    assert told["seamline_duty_ended_timestamp_seconds", "bad"] == (DAY + hour).timestamp()
    assert told["seamline_duty_interval_seconds", "good"] == 3600


def test_what_the_lake_holds_is_listed_by_what_it_is_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.send(order("a"))
    bench.speed()
    listed = [(str(one["path"]), int(one["size"])) for one in bench.lake.listed("")]
    areas = bench.lake.areas()
    assert sum(count for count, _ in areas.values()) == len(listed)
    assert areas["ledger"] == (
        sum(path.startswith("ledger/") for path, _ in listed),
        sum(size for path, size in listed if path.startswith("ledger/")),
    )


def test_a_page_is_found_by_prometheus_own_way_and_goes_with_its_process(tmp_path: Path) -> None:
    with metrics_page(MetricsSection(), tmp_path, "speed-clicks"):  # type: ignore[call-arg]
        (said,) = json.loads((tmp_path / FOLDER / "speed-clicks.json").read_text())
        assert said["labels"]["process"] == "speed-clicks"
        assert said["targets"][0].startswith("127.0.0.1:")
        assert addresses(tmp_path) == {"speed-clicks": f"http://{said['targets'][0]}/metrics"}
        assert value(parsed(httpx.get(f"http://{said['targets'][0]}/metrics").text), "process_max_fds") > 0
    assert not list((tmp_path / FOLDER).iterdir())
    gone = [{"targets": ["127.0.0.1:1"], "labels": {"process": "archive", "__pid": "999999999"}}]
    (tmp_path / FOLDER / "archive.json").write_text(json.dumps(gone))
    assert addresses(tmp_path) == {}, "its process was killed"


def test_a_taken_port_is_said_and_none_is_opened_where_none_is_wanted(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wanted = MetricsSection(port=taken.getsockname()[1])  # type: ignore[call-arg]
        with pytest.raises(UserError) as refused, metrics_page(wanted, tmp_path, "speed"):
            pass
    assert refused.value.condition is Condition.INPUT_INVALID
    assert "metrics.port" in refused.value.hint
    with metrics_page(MetricsSection(enabled=False), tmp_path, "speed"):  # type: ignore[call-arg]
        assert addresses(tmp_path) == {}


@pytest.mark.parametrize(("port", "given"), [(0, [None] * 4), (9464, ["9465", "9466", "9467", "9468"])])
def test_roles_of_one_machine_have_a_port_each(tmp_path: Path, port: int, given: list[str | None]) -> None:
    orders = contract()
    project = Project(tmp_path, Settings(metrics={"port": port}), {orders.name: orders}, {})
    assert [role.env.get("SEAMLINE_METRICS__PORT") for role in roles(project, {}, shared=False)] == given


def test_no_reader_is_left_behind() -> None:
    assert METERS._readers == {}
