"""Properties and comments: read and refused at their place, no part of a definition, and each does what it says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from handmade import VIEW as HANDMADE
from handmade import Handmade, rows
from hypothesis import given
from hypothesis import strategies as st
from lakes import DAY, VIEW, Bench, contract, order
from obstore.store import LocalStore
from pyarrow import parquet

from seamline.config import BatchSection, Settings, SpeedSection
from seamline.entries.batch import Version
from seamline.errors import Condition, UserError
from seamline.frontier import START
from seamline.history.batch import BatchHistory
from seamline.jobs.retention import retain
from seamline.jobs.unit_statements import unit_statements
from seamline.kernel import Limits, kernel
from seamline.schemas.catalogue import Catalogue, header_of
from seamline.schemas.states import apply_views
from seamline.schemas.views.compiler import compile_view
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.properties import Keep, batch_keep, sort_keys, speed_retention, tags
from seamline.schemas.views.text import parse_views
from seamline.streaming.speed.maintenance import Maintenance
from seamline.units import Unit

SELECT = "SELECT shop, time_bucket(INTERVAL '1 hour', placed) AS hour, count(*) AS n, sum(amount) AS Total"


def compiled(header: str, name: str = "v") -> Definition:
    (view,) = parse_views(f"CREATE MATERIALIZED VIEW {name} {header}\nAS {SELECT} FROM orders GROUP BY ALL", "v.sql")
    return compile_view(view, contract())


def with_properties(text: str, view: str = VIEW) -> str:
    return view.replace("VIEW sales AS", f"VIEW sales {text} AS")


# --- reading ---------------------------------------------------------------------------------------------


def test_comments_and_properties_are_read_in_any_order_and_are_no_part_of_the_definition() -> None:
    about = "COMMENT 'it''s what shops sell' TBLPROPERTIES ('owner' = 'me', 'tags' = 'money, daily')"
    listed = "(n comment 'how many', \"shop\" COMMENT 'where', TOTAL)"
    other = "TBLPROPERTIES ('tags' = 'money, daily', 'owner' = 'me') COMMENT 'it''s what shops sell'"
    definition = compiled(f"{listed} {about}")
    assert definition.comment == "it's what shops sell"
    assert [(c.name, c.comment) for c in definition.columns] == [
        ("shop", "where"), ("hour", ""), ("n", "how many"), ("total", ""),
    ]  # fmt: skip
    assert definition.properties == {"owner": "me", "tags": "money, daily"}
    assert tags(definition.properties) == ("money", "daily")
    assert compiled(f"{listed} {other}").properties == definition.properties
    assert {definition.hash} == {compiled("").hash, compiled(listed).hash, compiled(other).hash}
    assert definition.partial == compiled("").partial


REFUSED = [
    ("TBLPROPERTIES ('batch.retension' = '5 versions')", "1:43", "did you mean 'batch.retention'"),
    ("TBLPROPERTIES ('batch.retention' = '5')", "1:63", "5 versions"),
    ("TBLPROPERTIES ('batch.retention' = '0 versions')", "1:63", "5 versions"),
    ("TBLPROPERTIES ('speed.retention' = '2 weeks')", "1:63", "7 days"),
    ("TBLPROPERTIES ('tags' = 'a b')", "1:52", "commas"),
    ("TBLPROPERTIES ('tags' = '')", "1:52", "commas"),
    ("TBLPROPERTIES ('partition.grain' = 'minute')", "1:63", "by event date"),
    ("TBLPROPERTIES ('serving.sort' = 'shop;hour')", "1:60", "commas"),
    ("TBLPROPERTIES ('serving.sort' = 'shp')", "1:60", "did you mean 'shop'"),
    ("TBLPROPERTIES ('serving.sort' = 'n')", "1:60", "only when it is asked for"),
    ("TBLPROPERTIES ('serving.sort' = 'hour, Hour')", "1:60", "twice"),
    ("TBLPROPERTIES ('owner' = 'a', 'owner' = 'b')", "1:58", "twice"),
    ("TBLPROPERTIES ('owner' = 'a') TBLPROPERTIES ('tags' = 'b')", "1:58", "TBLPROPERTIES twice"),
    ("COMMENT 'a' COMMENT 'b'", "1:40", "COMMENT twice"),
    ("COMMENT AS", "1:36", "COMMENT without a text"),
    ("(shp COMMENT 'where')", "1:29", "did you mean 'shop'"),
    ("(shop COMMENT 'where', SHOP)", "1:51", "twice"),
    ("(shop COMMENT, hour)", "1:41", "COMMENT without a text"),
    ("(shop VARCHAR)", "1:34", "list of columns"),
    ("()", "1:29", "list of columns"),
]


@pytest.mark.parametrize(("header", "place", "says"), REFUSED, ids=lambda value: str(value)[:50])
def test_what_a_header_cannot_have_is_refused_at_its_place(header: str, place: str, says: str) -> None:
    with pytest.raises(UserError) as refused:
        compiled(header)
    assert refused.value.condition is Condition.VIEW_INVALID
    assert refused.value.where == f"v.sql:{place}"
    assert says in str(refused.value)
    assert refused.value.detail


@given(st.text(alphabet="'(),=\" abCOMENT\n", max_size=40))
def test_any_header_is_read_or_refused(header: str) -> None:
    try:
        compiled(header)
    except UserError as error:
        assert error.condition is Condition.VIEW_INVALID
    assert header_of(f"CREATE MATERIALIZED VIEW v {header} AS SELECT 1").name in ("", "v")


# --- retention -------------------------------------------------------------------------------------------

START_OF = datetime(2024, 6, 1, tzinfo=UTC)


def versions(*days: float) -> dict[int, Version]:
    """Batch versions made so many days after 1 June."""
    return {
        number: Version(
            at=START_OF + timedelta(days=day), run="r", cut=START, base=None, complete=True, units={},
            archive_entry=1, kernel="k",
        )
        for number, day in enumerate(days, start=1)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        ("1 version", {4}),
        ("3 versions", {2, 3, 4}),
        ("9 versions", {1, 2, 3, 4}),
        ("1 minute", {4}),
        ("5 days", {3, 4}),  # 2 was replaced on day 4, which is 6 days ago
        ("6 days", {2, 3, 4}),
        ("240 hours", {1, 2, 3, 4}),
        ("", {3, 4}),
    ],
)
def test_a_version_stays_by_its_number_or_by_when_it_was_replaced(value: str, kept: set[int]) -> None:
    keep = batch_keep({"batch.retention": value} if value else {}, default=2)
    assert keep.of(versions(0, 1, 4, 8), START_OF + timedelta(days=10)) == kept
    assert keep.of({}, START_OF) == set()
    assert Keep().of(versions(0, 1), START_OF) == set()


@pytest.mark.thorough
def test_a_views_own_batch_retention_goes_before_the_setting(tmp_path: Path) -> None:
    for own, left in (("", 1), ("TBLPROPERTIES ('batch.retention' = '4 versions')", 4)):
        folder = tmp_path / str(left)
        bench = Bench(folder, view=with_properties(own), store=LocalStore(str(folder), mkdir=True))
        for n in range(6):
            bench.send(order(f"o{n}"))
            bench.both()
            bench.batch.rebuild("sales")
        bench.clock.advance(timedelta(days=1))  # no reservation holds any more
        retain(bench.lake, Settings(batch=BatchSection(keep_versions=1)), bench.clock)  # type: ignore[call-arg]
        assert len(bench.versions().versions) == left
        number = min(bench.versions().versions)
        assert bench.batch.rollback("sales", number).version == number


@pytest.mark.thorough
def test_the_longest_speed_retention_of_a_streams_views_counts(tmp_path: Path) -> None:
    kept = {}
    for own in ("1 hour", "10 days", ""):
        view = with_properties(f"TBLPROPERTIES ('speed.retention' = '{own}')" if own else "")
        bench = Bench(tmp_path / (own or "none"), view=view)
        for n in range(3):
            bench.send(order(f"o{n}"))
            bench.both()
            bench.batch.refresh("sales")
        bench.clock.advance(timedelta(days=3))
        for late in ("later", "last"):  # the log's own time moves on, and the ids before it are remembered no more
            bench.send(order(late))
            bench.both()
        bench.batch.rebuild("sales")
        speed = bench._speed
        assert speed is not None
        settings = Settings(speed=SpeedSection(retention_hours=48), batch=BatchSection(keep_versions=1))  # type: ignore[call-arg]
        Maintenance(speed, Catalogue(bench.lake), settings).retire()
        kept[own] = len(speed.history.epochs)
    assert kept == {"1 hour": 2, "10 days": 5, "": 2}
    assert speed_retention({"speed.retention": "90 minutes"}, timedelta(days=1)) == timedelta(minutes=90)


# --- order of rows ---------------------------------------------------------------------------------------

MANY = 250_000
"""Groups: more than two row groups of 122,880 rows."""


def test_serving_sort_orders_files_so_that_row_groups_are_passed_over(tmp_path: Path) -> None:
    events = (
        f"SELECT 'o' || n AS id, TIMESTAMPTZ '{DAY.isoformat()}' AS placed, 's' || lpad((n * 7919 % {MANY})::VARCHAR,"
        f" 6, '0') AS shop, 1::BIGINT AS amount, 0.5::DOUBLE AS weight, '_' AS _source, 0::INTEGER AS _partition,"
        f" n::BIGINT AS _offset, NULL AS _reject FROM range({MANY}) AS t(n)"
    )
    spans = {}
    for own in ("", "TBLPROPERTIES ('serving.sort' = 'Shop')"):
        (view,) = parse_views(with_properties(own), "v.sql")
        definition = compile_view(view, contract())
        statements = unit_statements(definition, contract(), Unit("", DAY.date()), START, ())
        path = tmp_path / f"{len(own)}.parquet"
        written = kernel(Limits((str(tmp_path),))).run(statements._partials([], f"({events})"), into=str(path))
        meta = parquet.ParquetFile(path).metadata
        groups = [meta.row_group(n).column(1).statistics for n in range(meta.num_row_groups)]
        assert written > 2 * 122_880
        spans[own] = sum(group.min <= "s150000" <= group.max for group in groups) / len(groups)
        assert definition.hash == compile_view(parse_views(VIEW, "v.sql")[0], contract()).hash
    assert list(spans.values()) == [1.0, 1 / len(groups)]


def test_sorted_and_unsorted_files_give_the_same_answer_and_audit_clean(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.send(*[order(f"o{n}", DAY + timedelta(hours=n % 5), shop=f"s{n * 7 % 11:02}") for n in range(200)])
    bench.both()
    bench.batch.refresh("sales")
    before = bench.answer()
    served = bench.served
    bench.apply(with_properties("TBLPROPERTIES ('serving.sort' = 'shop')"))
    assert bench.served == served
    outcome = bench.batch.rebuild("sales")
    assert (outcome.audit.compared, outcome.audit.clean) == (True, True)
    files = [file for of in bench.versions().files(outcome.version or 0).values() for file in of]
    table = bench.lake.kernel().run("SELECT shop, hour FROM f", {"f": bench.lake.read([files[0].path])})
    stored = [tuple(row.values()) for row in table.to_pylist()]
    assert stored == sorted(stored)
    assert bench.answer() == before


def test_sorting_names_keys_only_and_ends_in_one_order() -> None:
    assert sort_keys({"serving.sort": "Hour"}, ("shop", "hour")) == ("hour", "shop")
    assert sort_keys({"serving.sort": '"a b", c'}, ("c", "a b")) == ("a b", "c")
    assert sort_keys({}, ("shop", "hour")) == ()


# --- applying --------------------------------------------------------------------------------------------


def test_changed_properties_and_comments_are_taken_over_and_nothing_is_rebuilt(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.send(order("a"))
    bench.both()
    bench.batch.refresh("sales")
    follower, served = Catalogue(bench.lake), bench.served
    assert follower.definition(str(served[0])).comment == ""
    texts = {v.name: v for v in parse_views(with_properties("(shop COMMENT 'x') COMMENT 'all sales'"), "v.sql")}
    contracts = {"orders": bench.contract}
    (applied,) = apply_views(bench.lake, texts, contracts, bench.clock)
    assert (applied.change, bench.served) == ("described", served)
    assert follower.catch_up()
    assert follower.definition(str(served[0])).comment == "all sales"
    assert follower.states["sales"].live == (served[0],)
    (again,) = apply_views(bench.lake, texts, contracts, bench.clock)
    assert again.change == "unchanged"
    spaced = {v.name: v for v in parse_views(texts["sales"].text.replace(" COMMENT", "\n  COMMENT"), "v.sql")}
    assert apply_views(bench.lake, spaced, contracts, bench.clock)[0].change == "unchanged"


def test_properties_that_change_while_a_run_is_under_way_do_not_stop_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.send(order("a"))
    bench.both()

    class Meanwhile:
        def __init__(self) -> None:
            self.times = 0

        def __call__(self, done: int, total: int) -> None:
            self.times += 1
            bench.apply(with_properties(f"COMMENT 'said {self.times}'"))

    meanwhile = Meanwhile()
    outcome = replace(bench.batch, progress=meanwhile).refresh("sales")
    assert meanwhile.times
    assert bench.served == (outcome.definition, outcome.version)
    assert Catalogue(bench.lake).definition(outcome.definition).comment == "said 1"
    assert len(BatchHistory(bench.lake.batch_log(outcome.definition)).versions) == 1


def test_serving_describes_a_view_by_its_comments_and_properties_as_they_are_now(tmp_path: Path) -> None:
    made = Handmade(tmp_path)
    made.epoch(rows(3))
    serving = made.serving()
    assert serving.status().to_json()["views"]["sales"]["comment"] == ""
    made.view(HANDMADE.replace("VIEW sales AS", "VIEW sales (shop COMMENT 'where') COMMENT 'sold' AS"))
    assert serving.catch_up()
    said = serving.status().to_json()["views"]["sales"]
    assert (said["comment"], said["columns"]["shop"]["comment"]) == ("sold", "where")
    assert said["columns"]["amounts"]["exactness"] == "approximate"
    assert [row["orders"] for row in serving.query("SELECT sum(orders) AS orders FROM sales").table.to_pylist()] == [3]
