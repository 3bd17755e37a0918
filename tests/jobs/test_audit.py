"""Law 6: a batch version audits what was served, finds drift, and tells explained differences apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from lakes import DAY, VIEW, Bench, order, orders
from obstore.store import LocalStore
from tampering import changed

from seamline.commitpoint import hooked
from seamline.config import BatchSection, Settings
from seamline.errors import Condition, SeamlineError
from seamline.frontier import Frontier, Partition
from seamline.history.speed import SpeedHistory
from seamline.jobs.batch import Batch
from seamline.jobs.compare import GROUP, compare, compare_statement
from seamline.jobs.retention import retain
from seamline.lake import Lake
from seamline.schemas.catalogue import Catalogue
from seamline.streaming.speed.maintenance import Maintenance

HOLD = BatchSection(hold_on_drift=True)  # type: ignore[call-arg]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def tamper(bench: Bench, epoch: int) -> None:
    """Counts 100 more orders in an epoch's file, as a broken speed layer would have."""
    changed(bench.lake, SpeedHistory(bench.lake.speed_log("main")).epochs[epoch], many_more)


def damage(bench: Bench, file: str) -> None:
    """Counts 100 more orders in a file of partials."""
    path = bench.lake.absolute(file)
    pq.write_table(many_more(pq.read_table(path)), path)


def many_more(table: pa.Table) -> pa.Table:
    more = [n + 100 for n in table["orders"].to_pylist()]
    return table.set_column(table.schema.get_field_index("orders"), "orders", [more])


def test_a_long_run_is_compared_with_epochs_that_others_hold_by_then(tmp_path: Path) -> None:
    """While it computes, its epochs are put together, and the entries that carried them are removed."""
    bench = Bench(tmp_path, store=LocalStore(str(tmp_path)))
    for number in range(3):
        bench.send(*orders(4, f"o{number}"))
        bench.both()
        if not number:
            bench.batch.refresh("sales")
    assert bench._speed is not None
    settings = Settings(speed={"compact_epochs": 2})  # type: ignore[arg-type]
    upkeep = Maintenance(bench._speed, Catalogue(bench.lake), settings)

    def meanwhile(point: str) -> None:
        if point == "batch.after-reserve":
            assert upkeep.compact() is not None
            bench.clock.advance(timedelta(minutes=20))
            assert upkeep.remove() == 2

    with hooked(meanwhile):
        another_process = Lake(bench.lake.uri, bench.lake.store)
        outcome = Batch(another_process, settings=bench.settings, clock=bench.clock).refresh("sales")
    assert (outcome.audit.compared, outcome.audit.drift) == (True, ())


def test_drift_is_found_recorded_and_put_right(bench: Bench) -> None:
    bench.send(*orders(4))
    bench.both()
    bench.batch.refresh("sales")
    bench.send(*orders(4, "p"))
    bench.both()
    tamper(bench, 2)
    outcome = bench.batch.refresh("sales")
    assert [(d.column, d.groups, float(d.largest)) for d in outcome.audit.drift] == [("orders", 2, 100.0)]
    assert bench.versions().versions[outcome.version or 0].audit == outcome.audit
    assert bench.answer() == bench.expected(*orders(4), *orders(4, "p"))


def test_a_version_with_drift_is_held_if_so_configured_until_an_operator_serves_it(bench: Bench) -> None:
    bench.send(*orders(4))
    bench.both()
    tamper(bench, 1)
    held = replace(bench.batch, settings=HOLD)
    for _ in range(2):  # the second finds it made already
        with pytest.raises(SeamlineError) as raised:
            held.refresh("sales")
        assert raised.value.condition is Condition.DRIFT_HELD
    assert bench.served[1] is None
    assert list(bench.versions().versions) == [2]
    bench.batch.rollback("sales", 2)
    assert bench.answer() == bench.expected(*orders(4))


def lose(bench: Bench) -> Callable[[], None]:
    """Takes every other record out of a raw file, as a failing disk might; returns what puts the file back."""
    (path,) = bench.folder.glob("raw/**/*.parquet")
    whole = path.read_bytes()
    table = pq.read_table(path)
    pq.write_table(table.take(list(range(0, table.num_rows, 2))), path)
    return lambda: (path.write_bytes(whole), None)[1]


@pytest.mark.parametrize("hold", [True, False])
def test_a_held_version_is_not_offered_again_once_raw_was_mended(bench: Bench, hold: bool) -> None:
    bench.send(*orders(4))
    bench.both()
    give_back = lose(bench)
    held = replace(bench.batch, settings=HOLD)
    with pytest.raises(SeamlineError) as raised:
        held.refresh("sales")
    assert raised.value.condition is Condition.DRIFT_HELD
    give_back()
    outcome = (held if hold else bench.batch).refresh("sales")
    assert outcome.audit.clean
    assert bench.served[1] == outcome.version != min(bench.versions().versions)
    assert bench.answer() == bench.expected(*orders(4))


def test_an_operators_rebuild_makes_a_held_version_again(bench: Bench) -> None:
    bench.send(*orders(4))
    bench.both()
    tamper(bench, 1)
    held = replace(bench.batch, settings=HOLD)
    for work in (held.refresh, held.rebuild):
        with pytest.raises(SeamlineError) as raised:
            work("sales")
        assert raised.value.condition is Condition.DRIFT_HELD
    assert len(bench.versions().versions) == 2


def test_copies_beyond_the_horizon_explain_their_difference(bench: Bench) -> None:
    bench.send(*orders(3))
    bench.both()
    bench.wait(minutes=90)
    bench.send(*orders(2))
    bench.both()
    outcome = bench.batch.refresh("sales")
    assert outcome.counts.duplicate == 2
    assert outcome.audit.drift == ()
    assert {d.explained for d in outcome.audit.explained} == {"2 copies beyond the dedup horizon"}
    assert bench.answer() == bench.expected(*orders(3))


def test_copies_beyond_the_horizon_explain_their_difference_where_a_unit_came_out_the_same(bench: Bench) -> None:
    bench.send(*orders(3))
    bench.both()
    bench.batch.refresh("sales")
    bench.wait(minutes=90)
    bench.send(*orders(2))
    bench.both()
    outcome = bench.batch.refresh("sales")
    assert outcome.audit.drift == ()
    assert {d.explained for d in outcome.audit.explained} == {"2 copies beyond the dedup horizon"}


def test_a_rebuild_that_comes_out_the_same_is_compared_and_what_was_damaged_is_found(bench: Bench) -> None:
    bench.send(*orders(6, step=timedelta(days=1)))
    bench.both()
    first = bench.batch.refresh("sales").version
    audit = bench.batch.rebuild("sales").audit
    assert (audit.compared, audit.groups, audit.drift) == (True, 6, ())
    files = bench.versions().files(first or 0)["2024-05-03"]
    damage(bench, files[0].path)
    bench.batch.rollback("sales", first)
    audit = bench.batch.rebuild("sales").audit
    assert [(d.column, d.groups) for d in audit.drift] == [("orders", 1)]


def test_an_import_does_not_hide_drift(bench: Bench) -> None:
    bench.send(*orders(4))
    bench.both()
    bench.batch.refresh("sales")
    bench.send(*orders(2, "p"))
    bench.both()
    bench.import_file("f", *orders(8))
    tamper(bench, 2)
    audit = bench.batch.refresh("sales").audit
    assert [d.column for d in audit.drift] == ["orders"]
    assert {d.column for d in audit.explained} >= {"amount", "ids"}


def test_a_lost_record_is_drift(bench: Bench) -> None:
    bench.send(*orders(4))
    bench.speed()
    lost = bench.log[0][1]
    bench.log[0][1] = (lost[0], order("another", DAY + timedelta(hours=5)))
    bench.archive()
    assert GROUP in {d.column for d in bench.batch.refresh("sales").audit.drift}


def test_copies_that_disagree_are_counted(bench: Bench) -> None:
    bench.send(order("x", amount=1), order("x", amount=2))
    bench.both()
    assert bench.batch.refresh("sales").audit.disagreeing_copies == 1


def test_without_a_chain_there_is_nothing_to_compare_with(bench: Bench) -> None:
    bench.send(*orders(4))
    bench.both()
    bench.apply(VIEW.replace("FROM orders", "FROM orders WHERE amount > 1"))
    bench.send(*orders(4, "p"))
    bench.both()
    audit = bench.batch.refresh("sales").audit
    assert not audit.compared
    assert "has no segment" in audit.note


def test_floats_are_equal_within_the_stated_tolerance(bench: Bench) -> None:
    bench.send(*[order(f"o{n}", weight=0.1 * n) for n in range(50)])
    bench.both()
    bench.send(*[order(f"p{n}", weight=1e9 / (n + 1)) for n in range(50)])
    bench.both()
    assert bench.batch.refresh("sales").audit.clean


WEIGHED = """\
CREATE MATERIALIZED VIEW sales AS SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, {} FROM orders GROUP BY ALL
"""


def became(bench: Bench, *sent: bytes, lost: bytes, instead: bytes) -> dict[str, str]:
    """What drifts where speed has counted `lost` and the archive holds `instead` at its place: column to difference."""
    bench.send(*sent, lost)
    bench.speed()
    bench.log[0][-1] = (bench.log[0][-1][0], instead)
    bench.archive()
    return {drift.column: drift.largest for drift in bench.batch.refresh("sales").audit.drift}


HUGE = [order(f"h{n}", weight=(-1) ** n * 1e12) for n in range(4)]


@pytest.mark.parametrize(
    "call", ["sum(weight) AS w", "avg(weight) AS w", "sum(weight) / 2 AS w", "product(weight) AS w"]
)
def test_no_scale_hides_a_record_that_was_counted_twice(tmp_path: Path, call: str) -> None:
    bench = Bench(tmp_path, view=WEIGHED.format(call))
    one = order("one", weight=1000)
    drift = became(bench, *HUGE, one, lost=order("other", weight=1000), instead=one)
    assert drift["(events)"] == "1.0"
    assert len(drift) > 1


def test_no_scale_hides_a_value_that_came_out_otherwise(tmp_path: Path) -> None:
    bench = Bench(tmp_path, view=WEIGHED.format("sum(weight) AS w"))
    drift = became(bench, *HUGE, lost=order("one", weight=2000), instead=order("one", weight=1000))
    assert drift == {"w": "1000.0"}


@pytest.mark.parametrize("call", ["avg(weight)", "var_pop(weight)", "regr_slope(amount, weight)", "count(weight)"])
def test_counts_behind_a_number_are_compared_whatever_it_comes_to(tmp_path: Path, call: str) -> None:
    """A 0 that became NULL moves neither the sum nor the number of events."""
    bench = Bench(tmp_path, view=WEIGHED.format(f"{call} AS w"))
    nothing = order("one").replace(b"0.5", b"null")
    drift = became(bench, *HUGE, lost=order("one", weight=0), instead=nothing)
    assert ("w" if call == "count(weight)" else "w: counts") in drift
    assert "(events)" not in drift


def test_sums_of_doubles_in_any_order_and_split_are_within_the_bound(bench: Bench) -> None:
    (definition,) = Catalogue(bench.lake).live()
    random = Random(7)
    weights = [random.uniform(-1, 1) * 10.0 ** random.randint(-12, 12) for _ in range(20_000)]

    def stored(parts: int) -> list[str]:
        random.shuffle(weights)
        paths = []
        for part in range(parts):
            rows = {"weight": weights[part::parts]}
            fields = "NULL::VARCHAR AS id, TIMESTAMPTZ '2024-05-01' AS placed, 'a' AS shop, 1::BIGINT AS amount, weight"
            events = f"WITH events AS (SELECT {fields} FROM rows_) {definition.partial}"
            paths.append(bench.lake.batch_path(definition.hash, "2024-05-01", f"{parts}-{part}"))
            bench.lake.write(bench.lake.kernel(), events, {"rows_": pa.table(rows)}, paths[-1])
        return paths

    once = stored(1)
    for parts in (1, 7, 100):
        assert compare(bench.lake, bench.lake.kernel(), definition, once, stored(parts)) == (1, ())


def test_the_comparing_statement(bench: Bench, golden: Callable[[str, str], None]) -> None:
    (definition,) = Catalogue(bench.lake).live()
    golden("units/compare.sql", compare_statement(definition))


@pytest.mark.thorough
def test_retention_keeps_what_served_and_restorable_versions_need(tmp_path: Path) -> None:
    bench = Bench(tmp_path, store=LocalStore(str(tmp_path)))
    for n in range(20):
        bench.send(order(f"o{n}", DAY + timedelta(days=n % 4)))
        bench.both()
        bench.batch.refresh("sales")
    expected = bench.answer()
    bench.clock.advance(timedelta(days=3650))  # files carry the machine's time
    settings = Settings(batch=BatchSection(keep_versions=2))  # type: ignore[call-arg]
    first = retain(bench.lake, settings, bench.clock)
    again = retain(bench.lake, settings, bench.clock)
    assert first.entries > 0
    assert again.files > 0
    assert len(bench.versions().versions) < 20
    assert bench.answer() == expected
    bench.send(order("more"))
    bench.both()
    assert bench.batch.refresh("sales").counts.counted == 21


@pytest.mark.parametrize("clock", [0, 2, -2])
def test_copies_an_outage_apart_count_once_and_those_of_a_backlog_are_explained_whatever_the_clock_says(
    bench: Bench, clock: int
) -> None:
    """Four orders: a copy after an outage, one two hours apart in one backlog, one read at a lower position later."""
    bench.send(*orders(4), partition=1)
    bench.both()
    sent = bench.clock()
    bench.clock.advance(timedelta(hours=5 + clock))
    bench.log[0] += [(sent + timedelta(minutes=1), order("o0", shop="a", amount=0))]
    bench.log[1] += [(sent + timedelta(hours=n), order("o1", shop="b", amount=1)) for n in (2, 4)]
    bench.speed(Frontier({Partition(bench.source, 1): 6}))
    bench.both()
    assert sum(row["orders"] for row in bench.answer()) == 4 + 2
    audit = bench.batch.refresh("sales").audit
    assert audit.drift == ()
    assert {d.explained for d in audit.explained} == {"2 copies beyond the dedup horizon"}
    bench.log[0] += [(sent + timedelta(hours=4, minutes=n), order("o2", amount=2)) for n in (0, 30, 90)]
    bench.both()
    assert sum(row["orders"] for row in bench.answer()) == 4 + 1
    audit = bench.batch.refresh("sales").audit
    assert audit.drift == ()
    assert {d.explained for d in audit.explained} == {"1 copies beyond the dedup horizon"}
    assert sum(row["orders"] for row in bench.answer()) == 4


def test_imported_events_that_come_again_on_kafka_are_explained_whichever_came_first(bench: Bench) -> None:
    bench.send(*orders(2))
    bench.both()
    bench.import_file("f", *orders(4))
    audits = [bench.batch.refresh("sales").audit]
    bench.send(*orders(5)[2:])
    bench.both()
    assert sum(row["orders"] for row in bench.answer()) == 4 + 3
    bench.import_file("g", *orders(6))
    audits.append(bench.batch.refresh("sales").audit)
    assert sum(row["orders"] for row in bench.answer()) == 6
    assert [audit.drift for audit in audits] == [(), ()]
    why = {"1 imported file(s)", "1 imported file(s), 2 copies beyond the dedup horizon or of imported events"}
    assert {d.explained for audit in audits for d in audit.explained} == why
