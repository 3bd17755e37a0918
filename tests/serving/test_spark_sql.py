"""A batch version as Spark SQL text: what it says is what is served, and what it cannot say is left out by name."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from algebra_laws import Case, Row, Run, arrow_type, cases, rows_of, same, scale_of
from handmade import Handmade, rows
from hypothesis import Phase, given, settings
from places import ROOT
from test_every_aggregate import calls
from test_spark_every import filled

from seamline.cli.main import execute
from seamline.errors import Condition, UserError
from seamline.schemas.algebra import ALGEBRA
from seamline.schemas.algebra.forms import fill
from seamline.schemas.algebra.inspark import FLOAT_BOUND, SAME_DIGITS, wide_text
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.sparksql import spark_text
from seamline.serving.serving import Serving
from seamline.serving.spark.sparktypes import seen


@contextmanager
def setting(spark: Any, **conf: str) -> Iterator[None]:
    """Settings of the session, for a while."""
    names = {f"spark.sql.{name.replace('_', '.')}": value for name, value in conf.items()}
    before = {name: spark.conf.get(name) for name in names}
    for name, value in names.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            spark.conf.set(name, value)


# --- each entry ------------------------------------------------------------------------------------------


def spoken() -> list[Case]:
    """Every entry with every type that Spark SQL has a form of it for."""
    found = [case for case in cases() if case.form.spark is not None]
    return [case for case in found if case.types[1:] in ((), ("DOUBLE",))]


def events_of(case: Case) -> list[Row]:
    """Forty series of events, each with groups of its own."""
    series: list[list[Row]] = []

    @settings(max_examples=40, phases=[Phase.generate], database=None)
    @given(rows_of(case))
    def taken(some: list[Row]) -> None:
        series.append(some)

    taken()
    return [Row(3 * n + row.k, row.x, row.y, row.f, row.minute) for n, some in enumerate(series) for row in some]


def in_one(runs: list[Run], parts: list[list[str]], folder: Path) -> list[str]:
    """Three files of partials of all entries side by side: `c<number><suffix>`, NULL in the rows of the others."""
    files = []
    for third in range(3):
        inputs = {f"f{n}": [part[third]] for n, part in enumerate(parts)}
        selects = []
        for n, run in enumerate(runs):
            columns = (f"v{part.suffix} AS c{n}{part.suffix}" for part in run.form.parts)
            selects.append(f"SELECT k, {', '.join(columns)} FROM f{n}")
        files.append(str(folder / f"all-{third}.parquet"))
        runs[0].kernel.run(" UNION ALL BY NAME ".join(selects), inputs, into=files[-1])
    return files


def statement_of(runs: list[Run], files: list[str]) -> str:
    """The entries' merges and finalises in Spark SQL over files of their partials."""
    merges, finished = [], []
    for n, run in enumerate(runs):
        form = run.form.spark
        assert form is not None
        names = {part.suffix: f"c{n}{part.suffix}" for part in run.form.parts}
        merges += [f"{fill(sql, {'c': f'stored.`{names[s]}`'})} AS `{names[s]}`" for s, sql in form.merges.items()]
        values = {"column": f"c{n}", **{s: f"partials.`{name}`" for s, name in names.items()}}
        finished.append(f"{fill(form.finalise, values)} AS c{n}")
    union = " UNION ALL ".join(f"SELECT * FROM parquet.`file://{file}`" for file in files)
    merged = f"SELECT stored.k, {', '.join(merges)} FROM ({union}) AS stored GROUP BY stored.k"
    return f"SELECT partials.k, {', '.join(finished)} FROM ({merged}) AS partials"


@pytest.mark.thorough
@pytest.mark.parametrize("ansi", ["true", "false"])
def test_every_entry_with_a_form_in_spark_sql_answers_there_as_the_kernel_does(
    spark: Any, tmp_path: Path, ansi: str
) -> None:
    runs = [Run(case, tmp_path) for case in spoken()]
    for number, run in enumerate(runs):
        run.files = 100 * number  # they share the folder
    events = [events_of(run.case) for run in runs]
    parts = [[run.partial(of[n::3], 1000 * n) for n in range(3)] for run, of in zip(runs, events, strict=True)]
    files = in_one(runs, parts, tmp_path)
    with setting(spark, timeType_enabled="true", ansi_enabled=ansi):
        frame = spark.sql(statement_of(runs, files))
        kinds, rows = dict(frame.dtypes), frame.toArrow().to_pylist()
    found = {row["k"]: row for row in rows}
    for n, run in enumerate(runs):
        case, name = run.case, f"c{n}"
        assert kinds[name] == seen(arrow_type(case.form.sql_type), name).kind.simpleString(), case
        kernel = run.finish(run.merge(*parts[n]))
        assert len(kernel) > 20
        for k, value in kernel.items():
            size = scale_of([row for row in events[n] if row.k == k], moments=False)
            assert alike(case, found[k][name], value, size), (str(case), k, found[k][name], value)


def alike(case: Case, spark: Any, kernel: Any, size: float) -> bool:
    """Equal to the bit, but for the bound that the form in Spark SQL names: for sums over floats, of the `size` of what
    went in."""
    assert case.form.spark is not None
    if case.form.spark.bound == FLOAT_BOUND and None not in (spark, kernel) and math.isfinite(kernel):
        return abs(spark - kernel) <= 1e-14 * size
    near = case.form.spark.bound == SAME_DIGITS and None not in (spark, kernel)
    if near and abs(spark - kernel) <= 1e-15 * abs(kernel):
        return True
    return same(spark, kernel, case.form.exactness == "exact")


def test_the_entries_with_a_form_in_spark_sql_are_these() -> None:
    said = {case.name for case in cases() if case.form.spark is not None}
    bits = {"bool_and", "bool_or", "bit_and", "bit_or", "bit_xor"}
    ends = {"min", "max", "min_by", "max_by", "first", "last", "any_value"}
    assert said == {"count", "count_if", "sum", "avg", "count distinct"} | bits | ends
    assert all(ALGEBRA[name].kind == "plain" for name in said)
    page = (ROOT / "docs/serving.md").read_text()
    listed = page.partition("It has the columns of ")[2].partition(", except over")[0]
    assert {name.lower() for name in re.findall(r"`(.+?)`", listed)} == {
        name if " " not in name else "count(distinct)" for name in said
    }


def test_a_sum_in_two_limbs_is_put_together_to_the_digit(spark: Any) -> None:
    rng, limb = random.Random(7), 10**19
    ends = [0, 1, -1, limb - 1, 1 - limb, limb, -limb, 10**37, -(10**37)]
    pairs = [(high, low) for high in ends for low in ends]
    pairs += [(rng.randrange(-(10**20), 10**20), rng.randrange(-(10**24), 10**24)) for _ in range(300)]
    kinds = pa.decimal128(38, 0)
    table = pa.table({"high": pa.array([Decimal(h) for h, _ in pairs], kinds),
                      "low": pa.array([Decimal(low) for _, low in pairs], kinds)})  # fmt: skip
    for ansi in ("true", "false"):
        with setting(spark, ansi_enabled=ansi):
            spark.createDataFrame(table).createOrReplaceTempView("limbs")
            for scale in (0, 4, 38):
                text = fill(wide_text(scale), {"high": "high", "low": "low"})
                found = spark.sql(f"SELECT high, low, {text} AS v FROM limbs").toArrow().to_pylist()
                wrong = [row for row in found if Decimal(row["v"]) != value_of(row["high"], row["low"], scale)]
                assert not wrong
                assert len(found) == len(pairs)


def value_of(high: Decimal, low: Decimal, scale: int) -> Decimal:
    total = int(high) * 10**19 + int(low)
    return Decimal((int(total < 0), tuple(map(int, str(abs(total)))), -scale))


# --- a view ----------------------------------------------------------------------------------------------


def files_of(made: Any, definition: Definition, version: int) -> list[str]:
    from seamline.history.batch import BatchHistory

    units = BatchHistory(made.lake.batch_log(definition.hash)).files(version)
    return [made.lake.absolute(file.path) for files in units.values() for file in files]


def created(spark: Any, sql: str) -> None:
    spark.sql(sql.removesuffix(";"))


def test_every_call_of_the_table_is_in_the_text_or_left_out_by_name(spark: Any, tmp_path: Path) -> None:
    lines = ",\n".join(f"{call} AS c{n}" for n, call in enumerate(sorted(calls())))
    select = f"SELECT time_bucket(INTERVAL '1 hour', dt) AS hour, kind,\n{lines}, sum(n) / 2 AS half FROM things"
    here = filled(tmp_path, version=True, view=f"CREATE MATERIALIZED VIEW everything AS {select} GROUP BY ALL")
    definition = here.definition
    text = spark_text(definition, files_of(here, definition, 1), "of a test")
    expected = {c.name for c in definition.columns if c.aggregate and c.spark is None}
    assert text.left_out.keys() == expected
    assert text.left_out["half"].startswith("an expression")
    assert all(f"\n-- {name} is left out: {why}\n" in text.sql for name, why in text.left_out.items())
    created(spark, text.sql)
    served = Serving(here.lake, here.project.settings).query("SELECT * FROM everything ORDER BY 1, 2", as_of=1).table
    found = spark.sql("SELECT * FROM everything ORDER BY 1, 2 NULLS LAST").toArrow().to_pylist()
    assert len(found) == served.num_rows > 4
    for mine, theirs in zip(found, served.to_pylist(), strict=True):
        assert mine.keys() == theirs.keys() - expected
        for column in definition.columns:
            if (name := column.name) in mine:
                exact = column.exactness == "exact" and name not in text.bounds
                assert same(mine[name], theirs[name], exact, 1.0), (name, column.aggregate, mine[name], theirs[name])


PLAIN = """\
CREATE MATERIALIZED VIEW plain AS
SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, nullif(shop, 'shop1') AS shop, count(*) AS orders,
       sum(amount) AS amount, approx_count_distinct(amount) AS amounts, max(placed) AS latest
FROM orders GROUP BY ALL
"""


def test_a_sum_out_of_range_is_an_error_by_its_name_and_null_keys_are_one_group(spark: Any, tmp_path: Path) -> None:
    folder = tmp_path / "a [b] {c} `d` *"
    folder.mkdir()
    made = Handmade(folder, PLAIN)
    made.epoch([*rows(30), ("huge", 0, 10**38 - 1), ("huge", 0, 10**38 - 1)])
    made.version(made.sent, cut=32, view="plain")
    definition = made.served("plain")
    text = spark_text(definition, files_of(made, definition, 1), "of a test")
    assert set(text.left_out) == {"amounts"}
    for ansi in ("true", "false"):
        with setting(spark, ansi_enabled=ansi):
            created(spark, text.sql)
            query = (
                "SELECT hour, shop, orders, amount, latest FROM plain WHERE shop IS DISTINCT FROM 'huge' ORDER BY 1, 2"
            )
            found = spark.sql(query.replace("ORDER BY 1, 2", "ORDER BY 1, 2 NULLS LAST")).toArrow().to_pylist()
            assert found == made.serving().query(query).table.to_pylist()
            assert any(row["shop"] is None for row in found)
            assert spark.sql("SELECT orders FROM plain WHERE shop = 'huge'").collect()[0][0] == 2
            with pytest.raises(Exception, match="VALUE_OUT_OF_RANGE: column amount"):
                spark.sql("SELECT amount FROM plain").collect()


def test_a_file_that_is_gone_is_an_error(spark: Any, tmp_path: Path) -> None:
    made = Handmade(tmp_path, PLAIN)
    made.epoch(rows(30))
    first = made.version(rows(10), cut=30, view="plain")
    second = made.version(rows(20, 10), cut=30, view="plain", base=first, unit="2024-05-02")
    files = files_of(made, made.served("plain"), second)
    Path(files[0]).unlink()
    with pytest.raises(Exception, match="PATH_NOT_FOUND"):
        created(spark, spark_text(made.served("plain"), files, "of a test").sql)


def test_a_view_that_spark_sql_cannot_say_is_refused(tmp_path: Path) -> None:
    select = "SELECT placed::DATE AS day, {} AS x FROM orders GROUP BY ALL {}"
    for aggregate, having, why in (
        ("count(*)", "HAVING count(*) > 1", "HAVING"),
        ("stddev_pop(amount)", "", "x: the partials of stddev_pop are a state"),
        ("max([amount])", "", "x: Spark SQL has no exact merge of max for this type"),
    ):
        made = Handmade(tmp_path, f"CREATE MATERIALIZED VIEW v AS {select.format(aggregate, having)}")
        with pytest.raises(UserError, match=why) as caught:
            spark_text(made.served("v"), ["/x.parquet"], "")
        assert caught.value.condition is Condition.QUERY_REFUSED


def test_the_text_of_a_view(tmp_path: Path, golden: Any) -> None:
    select = (
        "SELECT time_bucket(INTERVAL '1 hour', placed) AS hour, shop, count(*) AS orders, sum(amount) AS amount,"
        " avg(amount::INT) AS mean, approx_count_distinct(shop) AS shops, last(amount) AS latest"
    )
    made = Handmade(tmp_path, f"CREATE MATERIALIZED VIEW sales AS {select} FROM orders GROUP BY ALL")
    files = ["s3://bucket/lake/batch/x/2024-05-01/1.parquet", "/lake [1]/batch/x/2024-05-02/2.parquet"]
    golden("spark/sales.sql", spark_text(made.served(), files, "sales, as it is said here").sql)


def test_plain_partials_are_plain_columns_to_any_reader_of_parquet(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    made = Handmade(tmp_path)
    made.epoch(rows(30))
    made.version(made.sent, cut=30)
    (file,) = files_of(made, made.served(), 1)
    table = pq.read_table(file)
    kinds = {field.name: str(field.type) for field in table.schema}
    assert (kinds["orders"], kinds["latest"]) == ("int64", "timestamp[us, tz=UTC]")
    assert (kinds["amount__high"], kinds["amount__low"], kinds["mean__count"]) == (*["decimal128(38, 0)"] * 2, "int64")
    assert sum(table["orders"].to_pylist()) == 30
    assert max(table["latest"].to_pylist()) == max(row["latest"] for row in made.truth(made.sent))


# --- the command -----------------------------------------------------------------------------------------


def test_the_command_prints_the_served_version_and_says_why_there_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = filled(tmp_path, version=False, view="CREATE MATERIALIZED VIEW everything AS " + SHORT)
    command = ["views", "sql", "everything", "--project", str(tmp_path)]
    assert execute(command) == 75
    assert "[VIEW_NOT_READY]" in capsys.readouterr().err
    here = filled(tmp_path / "with", version=True, view="CREATE MATERIALIZED VIEW everything AS " + SHORT)
    command[-1] += "/with"
    assert execute(command) == 0
    told = capsys.readouterr()
    assert told.out.startswith(f"-- everything, definition {here.definition.hash}, batch version 1: ")
    assert "m is left out: the partials of stddev_pop" in told.err
    assert execute([*command, "--dialect", "spark", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["version"], list(said["left_out"]), said["sql"] + "\n") == (1, ["m"], told.out)
    assert execute(["views", "sql", "everthing", "--project", str(tmp_path)]) == 2
    assert "did you mean 'everything'?" in capsys.readouterr().err


SHORT = "SELECT dt::DATE AS day, count(*) AS n, stddev_pop(d) AS m FROM things GROUP BY ALL"
