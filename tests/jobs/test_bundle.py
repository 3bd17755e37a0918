"""Units computed together: each is what it is alone, and what was done of a bundle stays done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from dying import Death
from lakes import DAY, VIEW, Bench, contract, order, orders

from seamline.commitpoint import hooked
from seamline.errors import TransientError
from seamline.frontier import START, Frontier, Partition
from seamline.history.archive import ArchiveHistory
from seamline.jobs.bundle import HALVED, MOST_BYTES, MOST_ROWS, MOST_UNITS, bundles, spread
from seamline.jobs.bundle_work import run_bundle
from seamline.jobs.statements import Statements
from seamline.jobs.unit import UnitResult, UnitTask
from seamline.jobs.unit_statements import unit_statements
from seamline.jobs.work import finished, local_runner, perform_together, resume, run_unit
from seamline.schemas.catalogue import Catalogue
from seamline.sides.raw import RawFile, by_day, raw_files
from seamline.units import Unit

ONE = timedelta(days=1)
RICH = """\
CREATE MATERIALIZED VIEW sales TBLPROPERTIES ('serving.sort' = 'shop') AS
SELECT time_bucket(INTERVAL '1 week', placed) AS week, shop, count(*) AS orders, sum(amount) AS amount,
       count(DISTINCT id) AS ids, median(amount) AS middle, first(id) AS earliest, max(weight) AS most,
       mode(amount) AS often
FROM orders WHERE amount < 900 GROUP BY ALL
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def files_of(bench: Bench) -> dict[str, tuple[RawFile, ...]]:
    """Raw files by event date."""
    table = bench.lake.raw_path("orders", bench.contract.layout)
    version = ArchiveHistory(bench.lake.archive_log("main")).tables[table]
    return {day.isoformat(): files for day, files in by_day(raw_files(bench.lake, table, version)).items()}


def tasks_of(bench: Bench, cut: Frontier | None = None, imports: tuple[str, ...] = ()) -> list[UnitTask]:
    """A task for each event date that raw holds."""
    catalogue = Catalogue(bench.lake)
    definition = catalogue.live()[-1]
    (one,) = catalogue.contracts(definition.hash)
    found = []
    for day, files in files_of(bench).items():
        unit = Unit.parse(day)
        found.append(
            UnitTask(
                lake=bench.lake.uri,
                definition=definition.hash,
                run="run",
                of=unit,
                files=tuple(file.path for file in files),
                statements=unit_statements(definition, one, unit, cut or bench.end, imports),
                size=sum(file.size for file in files),
                rows=sum(file.rows for file in files),
                groups=3,
            )
        )
    return found


def rows_of(bench: Bench, result: UnitResult) -> list[str]:
    """What stands in a unit's file, by a plain DuckDB: columns and types, then every row."""
    if result.file is None:
        return []
    source = f"read_parquet('{bench.lake.absolute(result.file.path)}')"
    columns = [str(row[:2]) for row in duckdb.sql(f"DESCRIBE FROM {source}").fetchall()]
    return columns + sorted(map(str, duckdb.sql(f"FROM {source}").fetchall()))


def send_of_all_kinds(bench: Bench) -> None:
    """Six dates: copies that agree and that do not, no ids, rejected records, one id on two dates, one lone event."""
    for number in range(5):
        at = DAY + number * ONE
        bench.send(*orders(7 * number + 1, f"d{number}-", at), *orders(number, f"d{number}-", at))
        bench.send(order("same", at, amount=number), order("same", at, amount=number + (number == 2)), partition=1)
    bench.send(order("", DAY, amount=9).replace(b'""', b"null"), order("big", DAY + 5 * ONE, amount=1000), b"{", None)
    bench.archive()


def both_ways(bench: Bench, tasks: Sequence[UnitTask], together: set[str]) -> dict[str, UnitResult]:
    """Computes units alone and together, compares, and says what they are; `together`: those that may go so."""
    engine = bench.lake.kernel(threads=1)
    alone = {task.unit: run_unit(bench.lake, engine, task) for task in tasks}
    (bundle,) = bundles(reversed(tasks))
    assert {bundle[place].unit for place in run_bundle(bench.lake, engine, bundle)} == together
    found = {result.unit: result for result in local_runner(bench.lake)(tasks)}
    assert set(found) == set(alone)
    for unit, result in found.items():
        assert rows_of(bench, result) == rows_of(bench, alone[unit])
        assert (result.file is None) == (alone[unit].file is None)
        assert result.model_copy(update={"file": None, "cpu": 0.0}) == alone[unit].model_copy(update={"file": None})
    return found


@pytest.mark.parametrize("view", [VIEW, RICH], ids=["by hour", "by week, sorted, filtered"])
def test_a_unit_is_the_same_alone_and_among_others(tmp_path: Path, view: str) -> None:
    bench = Bench(tmp_path, view=view)
    send_of_all_kinds(bench)
    found = both_ways(bench, tasks_of(bench), set(files_of(bench)))
    assert [result.counts.duplicate for _, result in sorted(found.items())] == [1, 2, 3, 4, 5, 0, 0]
    assert [result.disagreeing for _, result in sorted(found.items())] == [0, 0, 1, 0, 0, 0, 0]
    assert found["2024-06-01"].counts.rejected == 2
    assert sum(len(result.groups) for result in found.values()) > len(found)


def test_rows_are_kept_in_the_order_that_a_view_asks_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path, view=RICH)
    send_of_all_kinds(bench)
    for result in local_runner(bench.lake)(tasks_of(bench)):
        if result.file:
            path = bench.lake.absolute(result.file.path)
            shops = [row[0] for row in duckdb.sql(f"SELECT shop FROM '{path}'").fetchall()]
            assert shops == sorted(shops)


def test_of_a_cut_and_of_imports_each_unit_holds_what_lies_below(bench: Bench) -> None:
    send_of_all_kinds(bench)
    source = bench.import_file("f", *orders(3, "d1-", DAY + ONE), order("new", DAY))
    cut = Frontier({Partition(bench.source, 0): 30, Partition(bench.source, 1): 3})
    some = both_ways(bench, tasks_of(bench, cut), set(files_of(bench)))
    assert sum(result.counts.read for result in some.values()) == 33
    both_ways(bench, tasks_of(bench, cut, (source,)), set(files_of(bench)))


def test_a_unit_with_positions_twice_goes_alone_and_the_others_together(bench: Bench) -> None:
    send_of_all_kinds(bench)
    history = ArchiveHistory(bench.lake.archive_log("main"))
    start, end = (Frontier({Partition(bench.source, 0): at}) for at in (1, 4))
    bench._append(bench.records(start, end), history, bench.end, ())
    both_ways(bench, tasks_of(bench), set(files_of(bench)) - {"2024-05-02"})


def test_a_unit_that_another_decoding_has_written_goes_alone(bench: Bench) -> None:
    bench.send(*orders(3), *orders(3, "n", DAY + ONE))
    bench.archive()
    bench.contract = contract(", logicalTypeOptions: {maximum: 1}")
    bench.send(*orders(2, "p", DAY + 2 * ONE), *orders(2, "q", DAY + ONE))
    bench.archive()
    both_ways(bench, tasks_of(bench), {"2024-05-01"})


def test_where_no_unit_of_a_bundle_is_plain_each_goes_alone(bench: Bench) -> None:
    send_of_all_kinds(bench)
    bench._append(bench.records(START, bench.end), ArchiveHistory(bench.lake.archive_log("main")), bench.end, ())
    both_ways(bench, tasks_of(bench), set())


# --- which go together -----------------------------------------------------------------------------------


def of_rows(task: UnitTask, rows: Sequence[int], size: int = 1) -> list[UnitTask]:
    days = [Unit("", DAY.date() + n * ONE) for n in range(len(rows))]
    return [
        replace(task, of=day, rows=count, size=size, statements=replace(task.statements, unit=day))
        for day, count in zip(days, rows, strict=True)
    ]


@pytest.fixture
def task(bench: Bench) -> UnitTask:
    bench.send(*orders(2))
    bench.archive()
    (one,) = tasks_of(bench)
    return one


def rows(found: Sequence[Sequence[UnitTask]]) -> list[list[int]]:
    return [[task.rows for task in bundle] for bundle in found]


def test_as_many_small_dates_as_make_a_bundle_go_together_and_a_large_one_alone(task: UnitTask) -> None:
    half, more = MOST_ROWS // 2, MOST_ROWS + 1
    tasks = of_rows(task, [half, half, 1, more, 2, half, half])
    want = [[half, half], [1], [more], [2, half], [half]]
    assert rows(bundles(tasks)) == rows(bundles(tasks[::-1])) == want
    assert {len(bundle) for bundle in bundles(of_rows(task, [0] * 600))} == {MOST_UNITS, 600 - 2 * MOST_UNITS}
    assert {len(bundle) for bundle in bundles(of_rows(task, [0] * 6, MOST_BYTES // 2))} == {2}


def test_where_cores_would_be_idle_a_bundle_of_many_units_is_halved_between_units(task: UnitTask) -> None:
    views = [replace(task, run=f"run{number}") for number in range(3)]
    tasks = [replace(one, files=(f"{one.unit}.parquet",)) for view in views for one in of_rows(view, [1] * 147)]
    (whole,) = found = bundles(tasks)
    assert spread(found, 1) == found
    for cores in (2, 4):
        parts = spread(found, cores)
        assert len(parts) == cores
        assert sorted(one.unit for part in parts for one in part) == sorted(one.unit for one in whole)
        assert all(len(part) >= len(whole) // (2 * cores) for part in parts)
        assert sum(len({one.unit for one in part}) for part in parts) == 147, "the views of a unit stay together"
    assert all(len(part) < HALVED for part in spread(found, 1000))
    one_unit = bundles([replace(task, run=f"run{number}") for number in range(2 * HALVED)])
    assert spread(one_unit, 4) == one_unit


def test_only_what_differs_in_nothing_but_the_unit_goes_together(task: UnitTask) -> None:
    one, other = of_rows(task, [1, 1])
    assert isinstance(other.statements, Statements)
    assert len(bundles([one, other])) == 1
    for unlike in (
        replace(other, statements=replace(other.statements, below="SELECT * FROM raw WHERE false")),
        replace(other, memory="2GB"),
        replace(other, groups=7),
        replace(other, mended="a file"),
        replace(other, statements=replace(other.statements, mended="SELECT * FROM mended")),
        replace(other, known=("a file",)),
    ):
        assert len(bundles([one, unlike])) == 2


# --- what fails, and what dies ---------------------------------------------------------------------------


def test_where_one_file_cannot_be_read_the_other_units_are_done(bench: Bench) -> None:
    send_of_all_kinds(bench)
    tasks = tasks_of(bench)
    Path(bench.lake.absolute(tasks[-1].files[0])).unlink()
    with pytest.raises(TransientError, match=r"STORE_UNAVAILABLE.*2024-06-01"):
        list(local_runner(bench.lake)(tasks))
    assert set(finished(bench.lake, "run")) == {task.unit for task in tasks[:-1]}


def test_what_does_not_fit_into_memory_together_is_computed_one_by_one(tmp_path: Path) -> None:
    select = "SELECT placed::DATE AS day, count(DISTINCT id) AS ids FROM orders GROUP BY ALL"
    bench = Bench(tmp_path, view=f"CREATE MATERIALIZED VIEW sales AS {select}")
    for number in range(12):
        bench.send(*orders(4000, f"{'long' * 20}{number}-", DAY + number * ONE))
    bench.archive()
    tasks = [replace(task, memory="12MB") for task in tasks_of(bench)]
    engine = bench.lake.kernel("12MB", 1)
    (bundle,) = bundles(tasks)
    assert run_bundle(bench.lake, engine, bundle) == {}
    assert [path.name for path in tmp_path.glob("batch/*/*/*")] == [], "what it began is gone"
    results = list(local_runner(bench.lake)(tasks))
    assert [result.counts.counted for result in results] == [4000] * 12


def test_units_of_a_bundle_that_are_done_stay_done_when_it_dies(bench: Bench) -> None:
    send_of_all_kinds(bench)
    (bundle,) = bundles(tasks_of(bench))
    reached: list[str] = []

    def die(point: str) -> None:
        reached.append(point)
        if len(reached) == 3:
            raise Death

    with hooked(die), pytest.raises(Death):
        list(perform_together(bench.lake, bundle))
    done = finished(bench.lake, "run")
    assert len(done) == 3
    assert reached == ["batch.after-unit"] * 3
    results = {result.unit: result for result in resume(bench.lake, bundle)}
    assert set(results) == {task.unit for task in bundle}
    assert {unit: results[unit] for unit in done} == done
