"""Several views refreshed together: each gets the version it gets alone, and what they read alike is read once."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from dying import Death
from lakes import DAY, Bench, order, orders
from obstore.store import LocalStore
from opened import opened

from seamline.commitpoint import hooked
from seamline.config import KernelSection
from seamline.entries.batch import Version
from seamline.errors import Condition, SeamlineError, TransientError
from seamline.history.batch import BatchHistory
from seamline.history.views import ViewHistory
from seamline.jobs.ahead import TOGETHER, by_turns
from seamline.jobs.batch import Batch, Outcome
from seamline.jobs.compute import compute
from seamline.jobs.plan import Nothing
from seamline.jobs.spark_runner import spark_runner
from seamline.jobs.stages import Begun, Reservation
from seamline.jobs.unit import UnitResult, UnitTask
from seamline.jobs.work import local_runner
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.views.definition import Definition

ONE = timedelta(days=1)
BY_HAND = {
    "daily": "SELECT placed::DATE AS day, count(*) AS orders, count(DISTINCT shop) AS shops, max(weight) AS most"
    " FROM orders WHERE amount < 900 GROUP BY ALL",
    "hourly": "SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, shop, count(*) AS orders, sum(amount) AS amount"
    " FROM orders GROUP BY ALL",
    "sales": "SELECT time_bucket(INTERVAL '1 week', placed) AS week, count(*) AS orders, median(amount) AS middle,"
    " count(DISTINCT id) AS ids FROM orders GROUP BY ALL",
}
"""Three views over one contract."""


def texts(selects: Mapping[str, str]) -> str:
    return ";\n".join(f"CREATE MATERIALIZED VIEW {name} AS {select}" for name, select in selects.items())


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path, view=texts(BY_HAND))
    send(bench)
    return bench


def send(bench: Bench) -> None:
    """Six dates: copies that agree and that do not, no ids, rejected records, one id on several dates."""
    for number in range(5):
        at = DAY + number * ONE
        bench.send(*orders(7 * number + 1, f"d{number}-", at), *orders(number, f"d{number}-", at))
        bench.send(order("same", at, amount=number), order("same", at, amount=number + (number == 2)), partition=1)
    bench.send(order("", DAY, amount=9).replace(b'""', b"null"), order("big", DAY + 5 * ONE, amount=1000), b"{", None)
    bench.both()


def version(bench: Bench, view: str) -> tuple[int, Version]:
    """The served one."""
    state = ViewHistory(bench.lake.view_log(view)).state
    assert state is not None, view
    assert state.version is not None, view
    return state.version, BatchHistory(bench.lake.batch_log(definition_of(bench, view))).versions[state.version]


def definition_of(bench: Bench, view: str) -> str:
    """The hash of the served one."""
    state = ViewHistory(bench.lake.view_log(view)).state
    assert state is not None
    assert state.served is not None
    return state.served


def rows_of(bench: Bench, view: str) -> list[str]:
    """What the served version alone answers."""
    hash_ = definition_of(bench, view)
    history = BatchHistory(bench.lake.batch_log(hash_))
    files = [file.path for unit in history.files(version(bench, view)[0]).values() for file in unit]
    return answered(bench, Catalogue(bench.lake).definition(hash_), files)


def answered(bench: Bench, definition: Definition, files: list[str]) -> list[str]:
    rows = bench.lake.kernel().run(definition.merge_and_finalise, {"partials": bench.lake.read(files)})
    return sorted(map(str, rows.to_pylist()))


@lru_cache(maxsize=100_000)
def read_order(value: bytes | None) -> dict[str, Any] | None:
    """A record as Python reads it; None where it is no JSON."""
    try:
        return dict(json.loads(value or b""))
    except ValueError:
        return None


def by_hand(bench: Bench, select: str) -> list[str]:
    """The same by a plain DuckDB over the records themselves: of each order the first, in the order of partitions."""
    found: dict[object, dict[str, Any]] = {}
    for _, value in [*bench.log[0], *bench.log[1]]:
        one = read_order(value)
        if one is None:
            continue
        found.setdefault((one["id"], one["placed"]) if one["id"] is not None else len(found), one)
    engine = duckdb.connect()
    engine.execute("SET TimeZone = 'UTC'")
    columns = {
        "id": pa.string(),
        "placed": pa.string(),
        "shop": pa.string(),
        "amount": pa.int64(),
        "weight": pa.float64(),
    }
    engine.register("sent", pa.Table.from_pylist([*found.values()], pa.schema(columns)))
    engine.execute("CREATE TABLE orders AS SELECT * REPLACE (placed::TIMESTAMPTZ AS placed) FROM sent")
    return sorted(map(str, engine.sql(select).to_arrow_table().to_pylist()))


def finish(batch: Batch, begun: Mapping[str, Begun], views: Iterable[str] = BY_HAND) -> dict[str, Outcome]:
    return {view: batch.refresh(view, begun.get(view)) for view in views}


def check(bench: Bench) -> None:
    for view, select in BY_HAND.items():
        assert rows_of(bench, view) == by_hand(bench, select), view
        assert version(bench, view)[1].audit.clean
        assert version(bench, view)[1].audit.verified is not None


class Runs:
    """A runner that remembers the units of each call, as `view's definition/unit`; of samples none."""

    def __init__(self, bench: Bench) -> None:
        self.units: list[list[str]] = []
        self._run = local_runner(bench.lake)

    def __call__(self, tasks: list[UnitTask]) -> Iterable[UnitResult]:
        if all(task.wanted is None for task in tasks):
            self.units.append(sorted(f"{task.definition}/{task.unit}" for task in tasks))
        return self._run(tasks)


def batch_with(bench: Bench, runner: Runs) -> Batch:
    return Batch(bench.lake, runner, settings=bench.settings, clock=bench.clock)


def test_each_view_gets_what_it_gets_alone(bench: Bench, tmp_path: Path) -> None:
    runs = Runs(bench)
    batch = batch_with(bench, runs)
    begun = batch.begin(BY_HAND, rebuild=False)
    assert runs.units == [sorted(f"{d.hash}/2024-{day}" for d in Catalogue(bench.lake).live() for day in DAYS)]
    assert all(outcome.version is not None for outcome in finish(batch, begun).values())
    assert len(runs.units) == 1, "nothing was left"
    check(bench)
    again = Bench(tmp_path / "alone", view=texts(BY_HAND))
    send(again)
    for view in BY_HAND:
        again.batch.refresh(view)
        (number, one), (alone_number, alone) = version(bench, view), version(again, view)
        assert number == alone_number
        assert (one.counts, one.unit_counts, one.cut) == (alone.counts, alone.unit_counts, alone.cut)
        assert one.audit.disagreeing_copies == alone.audit.disagreeing_copies
        assert {unit: [f.rows for f in files] for unit, files in one.units.items()} == {
            unit: [f.rows for f in files] for unit, files in alone.units.items()
        }


DAYS = ("05-01", "05-02", "05-03", "05-04", "05-05", "05-06", "06-01")


def test_a_unit_is_read_once_for_all_views(bench: Bench, tmp_path: Path) -> None:
    """By the times that its raw files are opened: as often for three views as for one."""
    alone = bench.batch.begin(["hourly"], rebuild=False)["hourly"]
    assert isinstance(alone, Reservation)
    with opened(tmp_path / "raw") as of_one:
        compute(bench.batch, alone)
    bench.lake.delete([item["path"] for item in bench.lake.listed("runs/")])
    with opened(tmp_path / "raw") as of_three:
        bench.batch.begin(BY_HAND, rebuild=False)
    assert len(of_one) == len(of_three) == len(DAYS)
    assert 2 * sum(of_three.values()) < 3 * sum(of_one.values()), (
        "each for itself, they would be opened 3 times as often"
    )


def test_views_are_cut_at_one_place_whatever_comes_between(bench: Bench) -> None:
    def more(point: str) -> None:
        if point == "batch.after-reserve":
            bench.send(*orders(1, f"new{len(bench.log[0])}-"))
            bench.both()

    with hooked(more):
        begun = bench.batch.begin(BY_HAND, rebuild=False)
    reserved = [one for one in begun.values() if isinstance(one, Reservation)]
    assert len(reserved) == 3
    assert len({one.plan.cut for one in reserved}) == 1
    assert {outcome.cut for outcome in finish(bench.batch, begun).values()} == {reserved[0].plan.cut}
    finish(bench.batch, bench.batch.begin(BY_HAND, rebuild=False))
    check(bench)


def test_only_what_was_touched_is_computed_and_a_view_without_news_says_so(bench: Bench) -> None:
    finish(bench.batch, bench.batch.begin(BY_HAND, rebuild=False))
    begun = bench.batch.begin(BY_HAND, rebuild=False)
    assert all(isinstance(one, Nothing) for one in begun.values())
    assert all(outcome.version is None and outcome.reason for outcome in finish(bench.batch, begun).values())
    bench.send(order("late", DAY + ONE))
    bench.both()
    runs = Runs(bench)
    batch = batch_with(bench, runs)
    begun = batch.begin(BY_HAND, rebuild=False)
    assert [{name.split("/")[1] for name in units} for units in runs.units] == [{"2024-05-02"}]
    assert all(outcome.units == 1 for outcome in finish(batch, begun).values())
    check(bench)


def test_rebuilds_read_every_date_once_for_all_views(bench: Bench) -> None:
    finish(bench.batch, bench.batch.begin(BY_HAND, rebuild=False))
    runs = Runs(bench)
    batch = batch_with(bench, runs)
    begun = batch.begin(BY_HAND, rebuild=True)
    for view in BY_HAND:
        assert batch.rebuild(view, begun[view]).version == 4
    assert [len(units) for units in runs.units] == [3 * len(DAYS)]
    check(bench)


# --- what fails, and what dies ---------------------------------------------------------------------------


@pytest.mark.parametrize("stops", [*range(1, 5), 14, *range(24, 37)])
def test_killed_anywhere_it_resumes_with_the_units_that_are_left(bench: Bench, stops: int) -> None:
    reached: list[str] = []

    def die(point: str) -> None:
        reached.append(point)
        if len(reached) == stops:
            raise Death

    with hooked(die), pytest.raises(Death):
        finish(bench.batch, bench.batch.begin(BY_HAND, rebuild=False))
    done = len(list(bench.lake.listed("runs/")))
    runs = Runs(bench)
    batch = batch_with(bench, runs)
    finish(batch, batch.begin(BY_HAND, rebuild=False))
    assert done + sum(map(len, runs.units)) <= 3 * len(DAYS)
    assert len(list(bench.lake.listed("runs/"))) == 3 * len(DAYS)
    check(bench)
    for definition in bench.lake.batches():
        assert len(BatchHistory(bench.lake.batch_log(definition)).versions) == 1


def test_a_view_that_does_not_fit_into_memory_with_the_others_goes_by_itself(tmp_path: Path) -> None:
    views = {
        "daily": "SELECT placed::DATE AS day, count(*) AS orders, sum(amount) AS amount FROM orders GROUP BY ALL",
        "shops": "SELECT placed::DATE AS day, count(DISTINCT shop) AS shops FROM orders GROUP BY ALL",
        "weekly": "SELECT time_bucket(INTERVAL '1 week', placed) AS week, max(weight) AS most FROM orders GROUP BY ALL",
    }
    bench = Bench(tmp_path, view=texts(views))
    for number in range(12):
        at = DAY + number * ONE
        bench.send(*(order(str(n), at, shop=f"{'long' * 20}{number}-{n}", amount=n) for n in range(4000)))
    bench.both()
    runs = Runs(bench)
    kernel = KernelSection(memory="12MB")  # type: ignore[call-arg]
    batch = Batch(bench.lake, runs, settings=bench.settings, kernel=kernel, clock=bench.clock)
    begun = batch.begin(views, rebuild=False)
    for view, select in views.items():
        one = begun[view]
        assert isinstance(one, Reservation)
        files = [result.file.path for result in compute(batch, one).results if result.file]
        assert answered(bench, one.target.definition, files) == by_hand(bench, select)
        held = bench.folder.glob(f"batch/{one.target.definition.hash}/*/*")
        assert len(list(held)) == 12, "what it began with the others is gone"
    assert [len(units) for units in runs.units] == [3 * 12, 12], "the others were computed where that one could not be"


def test_a_view_that_cannot_begin_leaves_the_others(bench: Bench) -> None:
    begun = bench.batch.begin(["gone", *BY_HAND], rebuild=False)
    assert set(begun) == set(BY_HAND)
    finish(bench.batch, begun)
    check(bench)
    with pytest.raises(SeamlineError) as failed:
        bench.batch.refresh("gone", begun.get("gone"))
    assert failed.value.condition is Condition.VIEW_UNKNOWN


def test_where_raw_cannot_be_read_each_view_says_so(bench: Bench) -> None:
    (lost, *_) = [path for path in bench.folder.glob("raw/*/*/*.parquet") if "2024-05-03" in str(path)]
    lost.unlink()
    begun = bench.batch.begin(BY_HAND, rebuild=False)
    for view in BY_HAND:
        with pytest.raises(TransientError, match=r"STORE_UNAVAILABLE.*2024-05-03"):
            bench.batch.refresh(view, begun[view])


def test_an_operators_word_meanwhile_is_decided_by_anew(bench: Bench) -> None:
    finish(bench.batch, bench.batch.begin(BY_HAND, rebuild=False))
    bench.send(order("late", DAY + ONE))
    bench.both()
    begun = bench.batch.begin(BY_HAND, rebuild=False)
    bench.batch.rollback("daily", None)
    outcomes = finish(bench.batch, begun)
    assert [outcomes[view].units for view in BY_HAND] == [len(DAYS), 1, 1], "daily builds on nothing again"
    check(bench)


def test_a_reservation_that_ran_out_while_others_went_first_is_made_anew(bench: Bench) -> None:
    begun = bench.batch.begin(BY_HAND, rebuild=False)
    bench.wait(minutes=bench.settings.reservation_minutes)
    assert all(outcome.version is not None for outcome in finish(bench.batch, begun).values())
    check(bench)


def test_a_derived_view_goes_by_itself_after_the_one_it_is_derived_from(tmp_path: Path) -> None:
    derived = "SELECT time_bucket(INTERVAL '1 day', hour) AS day, MEASURE(orders) AS orders FROM hourly GROUP BY ALL"
    bench = Bench(tmp_path, view=texts({**BY_HAND, "slow": derived}))
    send(bench)
    begun = bench.batch.begin(["daily", "hourly", "sales", "slow"], rebuild=False)
    assert set(begun) == set(BY_HAND)
    outcomes = finish(bench.batch, begun, ["daily", "hourly", "sales", "slow"])
    assert outcomes["slow"].version is not None
    assert outcomes["slow"].cut == outcomes["hourly"].cut
    check(bench)


def test_spark_computes_them_together(tmp_path: Path, spark: Any) -> None:
    (tmp_path / "lake").mkdir()
    bench = Bench(tmp_path / "lake", view=texts(BY_HAND), store=LocalStore(str(tmp_path / "lake")))
    send(bench)
    batch = Batch(bench.lake, spark_runner(spark), clock=bench.clock)
    begun = batch.begin(BY_HAND, rebuild=False)
    assert len(list(bench.lake.listed("runs/"))) == 3 * len(DAYS)
    finish(batch, begun)
    check(bench)


def test_all_views_come_up_in_their_order() -> None:
    views = [f"v{number}" for number in range(2 * TOGETHER + 1)]
    turns = list(by_turns(views))
    assert [len(turn) for turn in turns] == [TOGETHER, TOGETHER, 1]
    assert [view for turn in turns for view in turn] == views
    assert list(by_turns([])) == []
