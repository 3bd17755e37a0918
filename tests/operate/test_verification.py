"""`seamline verify`: what is served is what raw says, and what is not so is found, by key."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from lakes import DAY, VIEW, Bench, contract, order, orders, project
from obstore.store import LocalStore
from several import COMPARED, several

from seamline import kernel as kernels
from seamline.cli.main import execute
from seamline.errors import Condition, SeamlineError
from seamline.jobs.asked import DateRange
from seamline.operate.spark_recompute import spark_engine
from seamline.operate.verification import ALL_DATES, past_comparisons, verify_view
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.project import load_project
from seamline.schemas.views.sparkselect import spark_select

DAYS = [DAY + timedelta(days=n) for n in range(4)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Four dates, with copies, broken records, a whole import, a version, and epochs after its cut."""
    made = project(tmp_path)
    for n, day in enumerate(DAYS):
        made.send(*orders(6, f"{n}-", day), *orders(2, f"{n}-", day), b"{", None, partition=n % 2)
    made.both()
    made.import_file("old.jsonl", order("imported", DAYS[0]), order("0-1", DAYS[0], shop="b", amount=1))
    made.batch.refresh("sales")
    made.send(*orders(5, "after", DAYS[3]))
    made.both()
    return made


def damage(bench: Bench, statement: str, unit: str = "2024-05-02") -> None:
    """The partial rows of one date are others."""
    files = bench.versions().files(bench.served[1] or 0)[unit]
    path = bench.lake.absolute(files[0].path)
    pq.write_table(bench.lake.kernel().run(statement, {"rows": pq.read_table(path)}), path)


def test_what_is_served_is_what_raw_says_at_the_versions_cut(bench: Bench) -> None:
    found = verify_view(load_project(bench.folder.parent), "sales")
    assert found.agrees, found.rows.to_pylist()
    assert found.comparison.keys == 8
    assert found.comparison.left_out.keys() == {"ids"}
    assert bench.answer() != []


def test_a_wrong_number_is_found_by_its_key(bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage(bench, "SELECT * REPLACE (CASE WHEN shop = 'b' THEN orders + 1 ELSE orders END AS orders) FROM rows")
    out = tmp_path / "differences.parquet"
    assert execute(["verify", "sales", "--project", str(bench.folder.parent), "--json", "--out", str(out)]) == 3
    said = json.loads(capsys.readouterr().out)
    assert said["drift"] == [{"column": "orders", "groups": 1, "largest": "1.0", "explained": ""}]
    (row,) = pq.read_table(out).to_pylist()
    assert (row["shop"], row["hour"], row["_column"]) == ("b", DAYS[1], "orders")
    assert (row["_served"], row["_recomputed"]) == ("4", "3")


def test_groups_that_one_side_lacks_are_differences(bench: Bench) -> None:
    damage(bench, "SELECT * REPLACE ('c' AS shop) FROM rows WHERE shop = 'a'")
    (drift,) = verify_view(load_project(bench.folder.parent), "sales").comparison.drift
    assert (drift.column, drift.groups) == ("(group)", 3)


def test_only_the_dates_that_are_asked_for_are_looked_at(bench: Bench) -> None:
    damage(bench, "SELECT * REPLACE (orders + 1 AS orders) FROM rows")
    of = load_project(bench.folder.parent)
    outside = verify_view(of, "sales", DateRange(date(2024, 5, 3), None))
    inside = verify_view(of, "sales", DateRange(date(2024, 5, 2), date(2024, 5, 2)))
    assert (outside.agrees, outside.comparison.keys) == (True, 4)
    assert (inside.agrees, inside.comparison.keys) == (False, 2)


def test_a_sample_is_of_so_many_groups_and_others_each_time(bench: Bench) -> None:
    damage(bench, "SELECT * REPLACE (orders + 1 AS orders) FROM rows")
    of = load_project(bench.folder.parent)
    found = [verify_view(of, "sales", ALL_DATES, 3) for _ in range(12)]
    assert {one.comparison.keys for one in found} == {3}
    assert {one.agrees for one in found} == {True, False}
    assert verify_view(of, "sales", ALL_DATES, 100).comparison.keys == 8


def test_what_another_text_of_the_contract_has_filed_is_judged_as_the_version_judges_it(tmp_path: Path) -> None:
    """What it had rejected, which stands under the date of its arrival, and what it had taken."""
    project(tmp_path)
    of = replace(load_project(tmp_path), folder=tmp_path / "other")
    lake = tmp_path / "other/lake"
    lake.mkdir(parents=True)
    made = Bench(lake, store=LocalStore(str(lake)), extra=", logicalTypeOptions: {maximum: 2}")
    made.send(*orders(6))
    made.both()
    made.batch.refresh("sales")
    made.contract = contract()
    made.apply(VIEW)
    for id_ in ("new", "newer"):
        made.wait(minutes=61)
        made.send(order(id_, amount=9), order("o5", shop="b", amount=5))
        made.both()
    assert made.batch.refresh("sales").counts.counted == 8
    for dates in (ALL_DATES, DateRange(DAY.date(), DAY.date())):
        found = verify_view(of, "sales", dates)
        assert found.agrees, found.rows.to_pylist()
        assert sum(row["orders"] for row in made.answer()) == 8
        assert found.comparison.keys == 2


def test_what_was_found_is_kept_the_newest_first(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    of = load_project(bench.folder.parent)
    verify_view(of, "sales")
    damage(bench, "SELECT * REPLACE (orders + 1 AS orders) FROM rows")
    verify_view(of, "sales", DateRange(DAYS[1].date(), DAYS[1].date()))
    newest, before = past_comparisons(of, "sales")
    assert [d.column for d in newest.drift] == ["orders"]
    assert (newest.dates, newest.version) == ("2024-05-02..2024-05-02", bench.served[1])
    assert not before.drift
    assert execute(["verify", "sales", "--history", "--project", str(bench.folder.parent)]) == 0
    assert "orders in 2" in capsys.readouterr().out


def test_without_a_version_there_is_nothing_to_verify(tmp_path: Path) -> None:
    project(tmp_path)
    with pytest.raises(SeamlineError) as refused:
        verify_view(load_project(tmp_path), "sales")
    assert refused.value.condition is Condition.VIEW_NOT_READY


# --- by Spark


SPOKEN = VIEW.replace(
    "shop,", "CASE WHEN shop = 'a' THEN shop ELSE 'rest' END AS shop, abs(amount) AS size,", 1
).replace("count(*) AS orders", "count(*) FILTER (WHERE amount / 2 > 1) AS orders")


def test_a_select_is_said_in_sparks_words_or_left_out_by_name(tmp_path: Path) -> None:
    made = project(tmp_path)
    made.apply(SPOKEN.replace("max(placed)", "median(amount)"))
    of = Catalogue(made.lake)
    said = spark_select(of.definition(of.states["sales"].live[-1]), {"orders": ("placed", "shop", "amount", "weight")})
    assert said.left_out == {
        "ids": "Spark does not say approx_count_distinct() as the kernel does",
        "latest": "Spark does not say median() as the kernel does",
    }
    assert (
        "count(*) FILTER (WHERE ((CAST(`amount` AS DOUBLE) / nullif(CAST(2 AS DOUBLE), 0D)) > 1)) AS `orders`"
        in said.sql
    )


def test_spark_agrees_and_finds_a_fault_of_the_kernel_that_the_kernel_does_not(
    tmp_path: Path, spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`abs` is wrong in every kernel: the version and the kernel's own recomputation are wrong alike."""

    def made(folder: Path) -> Bench:
        folder.mkdir()
        one = project(folder)
        one.apply(SPOKEN)
        one.send(*(order(f"o{n}", DAYS[n % 3], shop="abc"[n % 3], amount=n - 5) for n in range(12)), b"{")
        one.send(order("o1", DAYS[1], shop="b", amount=-4), partition=1)
        one.both()
        one.batch.refresh("sales")
        return one

    def differing(one: Bench, by: Callable[..., Any] | None) -> set[str]:
        return {d.column for d in verify_view(load_project(one.folder.parent), "sales", other=by).comparison.drift}

    right = made(tmp_path / "right")
    with spark_engine(load_project(right.folder.parent), spark) as by_spark:
        assert differing(right, by_spark) == set()
    monkeypatch.setattr(kernels, "GUARDED", (*kernels.GUARDED, "CREATE MACRO abs(x) AS x"))
    wrong = made(tmp_path / "wrong")
    assert differing(wrong, None) == set()
    with spark_engine(load_project(wrong.folder.parent), spark) as by_spark:
        assert "(group)" in differing(wrong, by_spark)


def drift_of(folder: Path, by: Callable[..., Any] | None, views: Sequence[str] = COMPARED) -> dict[str, set[str]]:
    found = {}
    for view in views:
        one = verify_view(load_project(folder), view, other=by)
        assert one.comparison.keys
        assert not one.comparison.left_out
        found[view] = {drift.column for drift in one.comparison.drift}
    return found


NONE: dict[str, set[str]] = {view: set() for view in COMPARED}


def test_spark_answers_views_over_several_contracts_and_over_views_from_raw_alone(
    tmp_path: Path, spark: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's fault is in the innermost of them, so in each."""
    right, alone = several(tmp_path / "right"), several(tmp_path / "alone", returns=0)
    with spark_engine(load_project(right), spark) as by_spark:
        assert drift_of(right, by_spark) == NONE
        with pytest.raises(
            SeamlineError, match="column said of its union is bigint of orders, string of returns"
        ) as no:
            drift_of(right, by_spark, ["mixed"])
        assert no.value.condition is Condition.QUERY_REFUSED
    with spark_engine(load_project(alone), spark) as by_spark:
        assert drift_of(alone, by_spark, ["by_month"]) == {"by_month": set()}
    monkeypatch.setattr(kernels, "GUARDED", (*kernels.GUARDED, "CREATE MACRO abs(x) AS x"))
    wrong = several(tmp_path / "wrong")
    assert drift_of(wrong, None) == NONE
    with spark_engine(load_project(wrong), spark) as by_spark:
        found = drift_of(wrong, by_spark)
    assert "total" in found["moves"]
    assert all(found.values())


def test_what_a_derived_view_does_not_use_need_not_be_said(tmp_path: Path) -> None:
    made = project(tmp_path)
    base = """CREATE MATERIALIZED VIEW sales AS
      SELECT time_bucket(INTERVAL '1 day', placed) AS day, upper(shop) AS place, sum(amount) AS total,
             median(weight) AS middle
      FROM orders WHERE amount > 0 GROUP BY ALL;"""
    fine = "CREATE MATERIALIZED VIEW fine AS SELECT day, MEASURE(total) AS total, MEASURE(middle) AS middle"
    told = "CREATE MATERIALIZED VIEW told AS SELECT day, place, MEASURE(total) AS total"
    made.apply(f"{base}\n{fine} FROM sales GROUP BY ALL;\n{told} FROM sales GROUP BY ALL")
    of = Catalogue(made.lake)
    fields = {"orders": ("placed", "shop", "amount", "weight")}

    def said(view: str) -> Any:
        return spark_select(of.definition(of.states[view].live[-1]), fields)

    assert said("fine").left_out == {"middle": "Spark does not say median() as the kernel does"}
    assert "sum(`amount`) AS `total`,\n  NULL AS `middle`\nFROM `orders`\nWHERE (`amount` > 0)" in said("fine").sql
    with pytest.raises(SeamlineError, match=r"view told by Spark: Spark does not say upper\(\)") as refused:
        said("told")
    assert refused.value.condition is Condition.QUERY_REFUSED
