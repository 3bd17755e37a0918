"""An aggregate over a view's finished values is warned of where it does not mean what it seems to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from handmade import OTHER, VIEW, Handmade, rows

from seamline.cli.main import execute
from seamline.schemas.project import load_project
from seamline.serving.serving import Serving


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Serving:
    made = Handmade(tmp_path_factory.mktemp("lake"), VIEW, OTHER)
    made.epoch(rows(40))
    return made.serving()


WARNED = {
    "SELECT avg(mean) FROM sales": ["1:8: avg(mean)"],
    "SELECT shop,\n sum(s.amounts) FROM sales AS s GROUP BY shop": ["2:2: sum(s.amounts)"],
    "SELECT max(mean), min(mean::INT) FROM sales": ["1:8: max(mean)", "1:19: min(mean)"],
    "SELECT sum(amounts) OVER (PARTITION BY shop ORDER BY hour) FROM sales": ["1:8: sum(amounts)"],
    "SELECT shop FROM sales GROUP BY shop HAVING avg(mean) > 1": ["1:45: avg(mean)"],
    "SELECT sum(amounts) FROM (SELECT shop, amounts FROM sales WHERE shop > '')": ["1:8: sum(amounts)"],
    "WITH d AS (SELECT * FROM sales) SELECT avg(m) FROM (SELECT mean AS m FROM d)": ["1:40: avg(m)"],
    "SELECT shop, hour, avg(mean) FROM sales GROUP BY ROLLUP (shop, hour)": ["1:20: avg(mean)"],
    "SELECT (SELECT median(mean) FROM sales), avg(mean) FROM sales": ["1:16: median(mean)", "1:42: avg(mean)"],
    "SELECT avg(x) FROM sales AS t(h, s, o, a, x)": ["1:8: avg(x)"],
    "SELECT sum(n) FROM (SELECT amounts AS n FROM sales UNION ALL SELECT orders FROM sales)": ["1:8: sum(n)"],
    "SELECT sum(n) FROM (SELECT orders AS n FROM sales UNION ALL SELECT amounts FROM sales)": ["1:8: sum(n)"],
    "SELECT sum(n) FROM (SELECT orders AS n FROM sales UNION SELECT amounts FROM sales UNION ALL SELECT 1)": [
        "1:8: sum(n)"
    ],
    "WITH u(h, n) AS (SELECT hour, orders FROM sales UNION ALL SELECT hour, amounts FROM sales) SELECT sum(n) FROM u": [
        "1:99: sum(n)"
    ],
    "SELECT sum(s.amounts) FROM (FROM sales UNION ALL FROM sales) AS s": ["1:8: sum(s.amounts)"],
    "SELECT sum(amounts) FROM (SELECT 1 AS x UNION ALL BY NAME SELECT amounts FROM sales)": ["1:8: sum(amounts)"],
    "SELECT sum(n) FROM ((SELECT amounts FROM sales EXCEPT SELECT orders FROM shops) UNION ALL SELECT 1) AS t(n)": [
        "1:8: sum(n)"
    ],
    "SELECT sum(x) FROM (SELECT amounts FROM sales) AS t(x)": ["1:8: sum(x)"],
    "SELECT avg(mean), avg(mean) FROM sales": ["1:8: avg(mean)", "1:19: avg(mean)"],
}

SILENT = [
    "SELECT sum(orders), sum(amount), max(latest), min(hour), max(shop) FROM sales",
    "SELECT count(mean), count(*), count(DISTINCT shop), arg_max(shop, mean), list(mean), any_value(mean) FROM sales",
    "SELECT MEASURE(mean), MEASURE(amounts) FROM sales",
    "SELECT hour, shop, sum(amounts), avg(mean) FROM sales GROUP BY hour, shop",
    "SELECT hour, shop, sum(amounts), avg(mean) FROM sales GROUP BY ALL",
    "SELECT avg(n) FROM (SELECT shop, sum(orders) AS n FROM sales GROUP BY shop)",
    "SELECT avg(q.mean) FROM sales AS s, (SELECT shop, 1 AS mean FROM shops GROUP BY shop) AS q",
    "SELECT sum(mean * orders) / sum(orders) FROM sales",
    "SELECT sum(n) FROM (SELECT orders AS n FROM sales UNION ALL SELECT orders FROM shops)",
    "SELECT sum(n) FROM (SELECT orders, amounts, 1 AS n FROM sales UNION ALL SELECT orders, 1, 2 FROM sales)",
    "SELECT sum(n) FROM (SELECT orders AS n FROM sales EXCEPT SELECT amounts FROM sales)",
    "SELECT avg(x) FROM generate_series(1, 3) AS g(x), sales",
]


@pytest.mark.parametrize(("sql", "said"), WARNED.items(), ids=list(WARNED))
def test_an_aggregate_over_finished_values_is_warned_of_with_the_measure(
    two: Serving, sql: str, said: list[str]
) -> None:
    warnings = two.query(sql).warnings
    assert [warning.split(" is taken")[0] for warning in warnings] == said
    for warning in warnings:
        assert "MEASURE(" in warning


@pytest.mark.parametrize("sql", SILENT)
def test_what_is_right_over_finished_values_is_not_warned_of(two: Serving, sql: str) -> None:
    assert two.query(sql).warnings == ()


def test_the_warning_says_what_was_combined_and_the_form_that_is_right(two: Serving) -> None:
    (said,) = two.query("SELECT avg(s.mean) FROM sales AS s").warnings
    assert said == (
        "1:8: avg(s.mean) is taken over finished values, each avg() of one (hour, shop) of sales; "
        "for mean at this query's own grain write MEASURE(s.mean)"
    )


def test_the_command_line_measures_and_warns_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "seamline.toml").write_text("")
    for folder in ("contracts", "views"):
        (tmp_path / folder).mkdir()
    made = Handmade(tmp_path, lake=load_project(tmp_path).lake)
    made.epoch(rows(6))

    def query(sql: str, *options: str) -> tuple[Any, str]:
        assert execute(["query", sql, "--project", str(tmp_path), "--format", "json", *options]) == 0
        written = capsys.readouterr()
        return json.loads(written.out), written.err

    assert query("SELECT MEASURE(mean) FROM sales") == ([{"mean": 2.5}], "")
    found, said = query("SELECT avg(mean) AS m FROM sales")
    assert found == [{"m": 2.5}]
    assert "warning: 1:8: avg(mean)" in said
    found, _ = query("SELECT avg(mean) AS m FROM sales", "--provenance")
    assert [warning[:14] for warning in found["warnings"]] == ["1:8: avg(mean)"]
    assert execute(["query", "SELECT MEASURE(hour) FROM sales", "--project", str(tmp_path)]) == 2
    assert "1:8" in capsys.readouterr().err
