"""A sample of each version is computed another way, in plain Python over raw: what the kernel always gets wrong is
seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from lakes import DAY, VIEW, Bench, contract, order, orders

from seamline.config import BatchSection, Settings
from seamline.entries.batch import Verified, Version
from seamline.errors import Condition, SeamlineError
from seamline.frontier import Frontier
from seamline.jobs.holding import Tally
from seamline.jobs.sample import FEWEST, LARGE, MOST, UNREAD, Sample, SampleLimits, Wanted, choose
from seamline.jobs.unit_statements import unit_statements
from seamline.jobs.verify import served_statement
from seamline.schemas.algebra import ALGEBRA, Call, Form, Part
from seamline.schemas.states import apply_views
from seamline.schemas.views.compiler import compile_view
from seamline.schemas.views.definition import Definition
from seamline.schemas.views.text import parse_views
from seamline.serving.serving import Serving
from seamline.units import Unit

WEEKLY = """\
CREATE MATERIALIZED VIEW sales AS SELECT date_trunc('week', placed) AS week, amount AS k, {} FROM orders GROUP BY ALL
"""


def newest(bench: Bench) -> Version:
    history = bench.versions()
    return history.versions[max(history.versions)]


def verified(version: Version) -> Verified:
    assert version.audit.verified is not None
    return version.audit.verified


# --- planted faults: each is what the engine says on both sides of the audit ------------------------------


@contextmanager
def planted(name: str, faulty: Callable[[Call, Form], Form]) -> Iterator[None]:
    """An entry of the algebra with a fault in it."""
    right = ALGEBRA[name]

    def form(call: Call) -> Form | None:
        made = right.form(call)
        return faulty(call, made) if made is not None else None

    ALGEBRA[name] = replace(right, form=form)
    try:
        yield
    finally:
        ALGEBRA[name] = right


def neighbours(call: Call, right: Form) -> Form:
    """Lists of (value, count) are merged by adding neighbours of equal value; one that stands last in its list takes
    the count that follows it in memory, another group's."""
    each = f'STRUCT("value" {call.type}, count BIGINT)[]'
    partial = (
        "list_sort(list_transform(map_entries(histogram({x}){filter}), lambda e__:"
        " {'value': e__.key, 'count': e__.value::BIGINT}))"
    )
    pair = "list_zip(all__, all__[2:])"
    added = (
        f"list_transform([list_sort(flatten(list({{c}})))], lambda all__: list_transform({pair}, lambda pair__:"
        " {'value': pair__[1].value, 'count': pair__[1].count + coalesce(pair__[2].count, pair__[1].count)}))[1][:1]"
    )
    merge = f"CASE WHEN count({{c}}) < 2 THEN any_value({{c}}) ELSE {added} END"
    mapped = "map_from_entries(list_transform({}, lambda e__: {'k': e__.value, 'v': e__.count::UBIGINT}))"
    return Form((Part("", partial, each, merge),), mapped, f"MAP({call.type}, UBIGINT)")


def digest(_: Call, right: Form) -> Form:
    """The digest's maximum begins at the smallest positive double, so that groups of negatives have 0 at the top."""
    value = f"({right.finalise})"
    return replace(right, finalise=f"CASE WHEN {value} < 0 THEN 0.0::DOUBLE ELSE {value} END")


def one_off(_: Call, right: Form) -> Form:
    """One too many for each partial beyond the first."""
    (part,) = right.parts
    return replace(right, parts=(replace(part, merge="(coalesce(sum({c}), 0) + count(*) - 1)::BIGINT"),))


def one_less(_: Call, right: Form) -> Form:
    """The last of a merged list is lost."""
    (part,) = right.parts
    merge = "CASE WHEN count({c}) < 2 THEN any_value({c}) ELSE list_sort(flatten(list({c})), 'DESC')[:2] END"
    return replace(right, parts=(replace(part, merge=merge),))


FAULTS = {
    "histogram": (neighbours, "histogram(shop) AS found"),
    "approx_quantile": (digest, "approx_quantile(-1 - weight, 1.0) AS found"),
    "count": (one_off, "count(weight) AS found"),
    "max": (one_less, "max(id, 3) AS found"),
    "sum": (one_off, "sum(items) / 2 AS found"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_both_sides_of_an_audit_share_is_found_within_one_version(tmp_path: Path, name: str) -> None:
    faulty, column = FAULTS[name]
    column = column.replace("items", "length(shop)")
    with planted(name, faulty):
        bench = Bench(tmp_path, view=WEEKLY.format(column).replace("AS week", f"AS week_of_{name}"))
        for day in range(3):
            bench.send(*[order(f"{day}-{k}", DAY + timedelta(days=day), amount=k) for k in range(100)])
            bench.both()
        with pytest.raises(SeamlineError) as raised:
            bench.batch.refresh("sales")
    assert raised.value.condition is Condition.DRIFT_HELD
    assert bench.served[1] is None
    audit = newest(bench).audit
    assert (audit.compared, audit.drift) == (True, ())
    assert [(drift.column.partition(":")[0], drift.groups) for drift in audit.wrong] == [("found", 16)]


def test_a_wrong_value_of_an_event_is_found_in_a_group_of_one_unit(tmp_path: Path) -> None:
    """The merge has nothing to do there: the partial statement itself is wrong."""

    def twice(_: Call, right: Form) -> Form:
        (part,) = right.parts
        return replace(right, parts=(replace(part, partial="max({x}) FILTER (WHERE ({x}) < 9)"),))

    with planted("max", twice):
        bench = Bench(tmp_path, view=WEEKLY.format("max(amount) AS highest").replace(", amount AS k", ", shop AS s"))
        bench.send(*orders(20))
        bench.both()
        with pytest.raises(SeamlineError):
            bench.batch.refresh("sales")
    (wrong,) = newest(bench).audit.wrong
    assert (wrong.column, wrong.groups, wrong.largest) == ("highest", 2, "7 is 19")


def test_an_operator_may_serve_what_was_found_wrong(tmp_path: Path) -> None:
    with planted("count", one_off):
        bench = Bench(tmp_path, view=WEEKLY.format("count(weight) AS n").replace("amount AS k", "shop AS served_so"))
        bench.send(*orders(6, step=timedelta(hours=12)))
        bench.both()
        with pytest.raises(SeamlineError) as raised:
            bench.batch.refresh("sales")
        number = max(bench.versions().versions)
        assert f"--version {number}" in raised.value.hint
        bench.batch.rollback("sales", number)
        serving = Serving(bench.lake, Settings(), bench.clock)
        assert serving.status().views["sales"].drift == "wrong"
        (wrong,) = serving.snapshot().view("sales").provenance(serving.clock()).to_json()["verified"]["wrong"]
        assert wrong["column"] == "n"
        serving.close()
    assert bench.served[1] == number


# --- what is right is right --------------------------------------------------------------------------------

SELECTS = {
    "filters": "placed::DATE AS d, count(*) FILTER (WHERE amount > 3) AS n, sum(weight) FILTER (WHERE amount > 3) AS w",
    "having": "shop, time_bucket(INTERVAL '1 hour', placed) AS h, avg(weight) AS w, min(amount) AS m",
    "computed": "placed::DATE AS d, sum(weight) / nullif(count(*), 0) AS mean, 100 * avg(amount) + max(amount) AS odd",
    "elements": "placed::DATE AS d, unnest(string_split(id, '1')) AS part, count(*) AS n, max(amount, 2) AS most",
    "ordered": "placed::DATE AS d, first(id) AS f, last(id) AS l, array_agg(amount) AS a, string_agg(id, '|') AS s",
    "shapes": "placed::DATE AS d, var_pop(weight) AS v, corr(weight, amount) AS c, median(amount) AS m,"
    " mode(shop) AS o",
    "sketches": "placed::DATE AS d, approx_count_distinct(id) AS a, approx_quantile(amount, 0.5) AS q,"
    " theta_sketch_agg(id, 64) AS t, approx_top_k(shop, 1) AS k, histogram(amount) AS h",
    "zones": "time_bucket(INTERVAL '1 day', placed, 'Asia/Seoul') AS d, count(*) AS n, count(DISTINCT shop) AS s",
}


BY_HOUR = ("having", "sketches", "zones")
"""Those whose work is tried by the hour, too: a unit knows no aggregate."""


@pytest.mark.parametrize(
    ("name", "grain"),
    [
        *((name, "day") for name in SELECTS),
        *(pytest.param(name, "hour", marks=pytest.mark.thorough) for name in BY_HOUR),
    ],
)
def test_what_is_right_is_found_right(tmp_path: Path, name: str, grain: str) -> None:
    """With copies, rejected records, NULLs and late events, over several dates, epochs and versions."""
    properties = f"TBLPROPERTIES ('partition.grain' = '{grain}')"
    having = " HAVING count(*) > 2" if name == "having" else ""
    view = f"CREATE MATERIALIZED VIEW sales {properties} AS SELECT {SELECTS[name]} FROM orders GROUP BY ALL{having}"
    bench = Bench(tmp_path, view=view)
    sent = [*orders(40, step=timedelta(hours=5)), order("none", weight=1.5).replace(b'"shop": "a"', b'"shop": null')]
    bench.send(*sent, *sent[::3], b"{", order("minus", amount="x"))
    bench.both()
    bench.batch.refresh("sales")
    bench.send(*orders(9, "late"), *sent[1::4], partition=1)
    bench.both()
    for work in (bench.batch.refresh, bench.batch.rebuild):
        work("sales")
        found = verified(newest(bench))
        assert found.checked > 0
        assert (found.unchecked, found.wrong) == ({}, ())
        assert found.groups == found.checked + sum(found.left.values())


def test_records_of_another_decoding_and_mended_ones_are_read_as_the_version_reads_them(tmp_path: Path) -> None:
    bench = Bench(tmp_path, extra=", logicalTypeOptions: {maximum: 2}")
    bench.send(*orders(6))
    bench.both()
    bench.batch.refresh("sales")
    bench.contract = contract()
    bench.apply(VIEW)
    for id_ in ("new", "newer"):
        bench.wait(minutes=61)
        bench.send(order(id_, amount=9), order("o5", shop="b", amount=5))
        bench.both()
    outcome = bench.batch.refresh("sales")
    assert outcome.counts.counted == 8
    assert verified(newest(bench)) == Verified(groups=2, checked=2)


def test_copies_are_told_by_id_and_time_and_the_lowest_position_counts(bench: Bench) -> None:
    bench.send(order("x", shop="a"), order("x", shop="b"), order("x", DAY + timedelta(hours=1), shop="b"))
    bench.both()
    bench.batch.refresh("sales")
    assert verified(newest(bench)) == Verified(groups=2, checked=2)


def test_a_view_over_a_view_is_verified_from_raw(bench: Bench) -> None:
    bench.settings = BatchSection(verify_budget=1)  # type: ignore[call-arg]
    daily = (
        "CREATE MATERIALIZED VIEW daily AS SELECT hour::DATE AS day, MEASURE(orders) AS orders, MEASURE(weight) AS w,"
        " MEASURE(latest) AS latest FROM sales WHERE shop <> 'b' GROUP BY ALL"
    )
    texts = {view.name: view for view in parse_views(f"{VIEW.rstrip()};\n{daily}", "views.sql")}
    apply_views(bench.lake, texts, {"orders": bench.contract}, bench.clock)
    bench.send(*orders(30, step=timedelta(hours=3)))
    bench.both()
    bench.batch.refresh("sales")
    outcome = bench.batch.refresh("daily")
    assert outcome.audit.verified == Verified(groups=5, checked=5)


# --- what is looked at -------------------------------------------------------------------------------------


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_groups_that_reach_into_other_dates_are_taken_within_the_budget_or_recorded(tmp_path: Path) -> None:
    bench = Bench(tmp_path, view=WEEKLY.format("count(*) AS n").replace("amount AS k", "shop AS k"))
    bench.send(*orders(8, step=timedelta(hours=6)))
    bench.both()
    bench.batch.refresh("sales")
    assert verified(newest(bench)) == Verified(groups=2, checked=2)
    bench.send(order("late", shop="a"))
    bench.both()
    bench.batch.refresh("sales")
    assert verified(newest(bench)) == Verified(groups=2, checked=0, left={"lies in other dates too": 2})
    bench.settings = BatchSection(verify_budget=1)  # type: ignore[call-arg]
    for number in range(3):  # a large date, next to small ones
        bench.send(*orders(200, f"{number}l", DAY + timedelta(days=number > 0)))
        bench.both()
        bench.batch.refresh("sales")
    found = verified(newest(bench))
    assert found.groups == found.checked + sum(found.left.values()) == 2


def test_each_version_looks_at_other_groups(tmp_path: Path) -> None:
    bench = Bench(tmp_path, view=WEEKLY.format("count(*) AS n"))
    bench.settings = BatchSection(verify_sample=3)  # type: ignore[call-arg]
    bench.send(*orders(90))
    bench.both()
    bench.batch.refresh("sales")
    bench.batch.rebuild("sales")
    runs = [version.run for version in bench.versions().versions.values()]
    assert len(set(runs)) == 2
    assert [verified(version).checked for version in bench.versions().versions.values()] == [3, 3]


def test_nothing_is_looked_at_where_none_is_asked_for(bench: Bench) -> None:
    bench.settings = BatchSection(verify_sample=0)  # type: ignore[call-arg]
    bench.send(*orders(5))
    bench.both()
    bench.batch.refresh("sales")
    assert verified(newest(bench)) == Verified(note="batch.verify_sample is 0")


def test_a_sample_is_the_groups_of_the_least_hashes_that_hold_few_enough_events() -> None:
    units = {"a": ((1, 10), (5, 10), (9, 500)), "b": ((1, 20), (7, 50)), "c": ((8, 1),)}
    sizes = {"a": 10, "b": 10, "c": 10}
    found = choose("s", units, sizes, SampleLimits(3, 65, 30))  # unit a names no more than 9
    assert found == Sample(Wanted("s", 8, (7,), 2 * 41 + FEWEST), frozenset("abc"), (1, 5, 8), {LARGE: 1})
    whole = choose("s", units, sizes, SampleLimits(9, 1_000, 30))
    assert whole is not None
    assert (whole.wanted.most, whole.groups, whole.left) == (2**64 - 1, (1, 5, 7, 8, 9), {})


def test_a_samples_units_stay_within_the_budget_but_those_of_its_first_group() -> None:
    units = {"a": ((1, 1), (4, 1)), "b": ((1, 1), (2, 1)), "c": ((3, 1), (5, 1))}
    found = choose("s", units, dict.fromkeys("abc", 10), SampleLimits(9, 65, 5))
    assert found == Sample(Wanted("s", 4, (), 2 * 4 + FEWEST), frozenset("ab"), (1, 2, 4), {UNREAD: 2})


def test_one_group_is_taken_in_any_case_unless_it_is_huge() -> None:
    one = choose("s", {"a": ((3, 900), (4, 800))}, {"a": 1}, SampleLimits(2, 65, 1))
    assert one is not None
    assert (one.wanted.without, one.groups) == ((3,), (4,))
    huge = choose("s", {"a": ((3, MOST + 1),)}, {"a": 1}, SampleLimits(2, 65, 1))
    assert huge is not None
    assert (huge.units, huge.left) == (frozenset(), {LARGE: 1})
    assert choose("s", {}, {}, SampleLimits(2, 65, 1)) is None


def test_provenance_and_status_say_what_was_verified(bench: Bench) -> None:
    bench.send(*orders(5))
    bench.both()
    serving = Serving(bench.lake, Settings(), bench.clock)
    assert serving.snapshot().view("sales").provenance(serving.clock()).to_json()["verified"] is None
    bench.batch.refresh("sales")
    serving.catch_up()
    said = serving.snapshot().view("sales").provenance(serving.clock()).to_json()["verified"]
    assert said == {"groups": 2, "checked": 2, "unchecked": {}, "wrong": []}
    assert json.loads(json.dumps(serving.status().to_json()))["views"]["sales"]["audit"]["verified"]["checked"] == 2
    serving.close()


# --- the statements ----------------------------------------------------------------------------------------


def test_the_statements_are_golden(golden: Callable[[str, str], None]) -> None:
    elements = f"SELECT {SELECTS['elements']} FROM orders WHERE amount > 1 GROUP BY ALL"
    texts = {"plain": VIEW, "elements": f"CREATE MATERIALIZED VIEW v AS {elements}"}
    for name, text in texts.items():
        (view,) = parse_views(text, "v.sql")
        definition: Definition = compile_view(view, contract())
        statements = unit_statements(definition, contract(), Unit.parse("2024-05-01"), Frontier(), ("import:f",))
        wanted, tally = Wanted("salt", 99, (7,), 10), Tally(9, 0, 1, 9, 9)
        golden(f"verify/{name}_rows.sql", definition.rows["orders"])
        golden(
            f"verify/{name}_sampled.sql",
            statements.sampled(wanted, tally, len(definition.keys), own=True, again=False, copies=True),
        )
        golden(f"verify/{name}_served.sql", served_statement(definition, wanted))
    careful = Tally(9, 2, 1, 8, 9)
    golden("verify/careful_sampled.sql", statements.sampled(wanted, careful, 2, own=True, again=True, copies=True))
