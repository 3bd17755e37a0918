"""A contract that judges records otherwise is handed to the views as they stand, from a position that the ledger says:
below it nothing is judged otherwise, from there on everything is, in both layers, whatever dies where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from dying import Death
from lakes import CONTRACT, VIEW, Bench, contract, order, orders

from seamline.commitpoint import hooked
from seamline.entries.views import Handover
from seamline.frontier import Frontier
from seamline.history.speed import SpeedHistory
from seamline.history.views import ViewHistory
from seamline.jobs.judging import judged_otherwise
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.contract import Contract, parse_contract
from seamline.schemas.handovers import Handing
from seamline.schemas.states import apply_views, drop_view
from seamline.schemas.views.project_views import Compiled, compile_for
from seamline.schemas.views.text import parse_views

COUPON = parse_contract(
    CONTRACT.replace(" EXTRA", "").replace("customProp", "      - {name: coupon, logicalType: string}\ncustomProp"),
    "orders.yaml",
)
"""With a field more, which rejects whatever is no string."""

CITY = parse_contract(
    COUPON.text.replace("customProp", "      - {name: city, logicalType: string}\ncustomProp"), "orders.yaml"
)

BAD = b', "coupon": 7}'
"""Of a record that the newer contract rejects, and the older one does not look at."""


def bad(id_: str, **more: Any) -> bytes:
    return order(id_, **more)[:-1] + BAD


def apply(bench: Bench, now: Contract = COUPON, view: str = VIEW) -> str:
    """`seamline views apply` with the newer contract."""
    bench.contract = now
    texts = {v.name: v for v in parse_views(view, "views.sql")}
    engine = bench.lake.kernel()
    applied = apply_views(
        bench.lake, texts, {"orders": now}, bench.clock,
        lambda was, is_: judged_otherwise(bench.lake, engine, was, is_) is None,
    )  # fmt: skip
    return applied[0].definition


def begun(folder: Path, *sent: bytes) -> tuple[Bench, str]:
    """A lake with one batch version."""
    bench = Bench(folder)
    bench.send(*sent)
    bench.both()
    bench.batch.refresh("sales")
    return bench, bench.served[0] or ""


def expected(bench: Bench, below: Sequence[bytes], above: Sequence[bytes]) -> list[dict[str, Any]]:
    """The view over records of which the newer contract judges those above."""
    accepted = [value for value in above if BAD not in value]
    bench.contract, now = contract(), bench.contract
    found = bench.expected(*below, *accepted)
    bench.contract = now
    return found


def handover(bench: Bench) -> Handover:
    (record,) = Catalogue(bench.lake).states["sales"].definitions
    return record.handovers["orders"][-1]


def test_a_field_is_added_and_nothing_is_built_where_no_record_would_be_rejected(tmp_path: Path) -> None:
    sent = orders(6)
    bench, definition = begun(tmp_path, *sent)
    assert apply(bench) == definition
    assert bench.served == (definition, 2)
    assert apply(bench) == definition
    above = [bad("x"), *orders(3, "p")]
    bench.send(*above)
    bench.both()
    assert bench.answer() == expected(bench, sent, above)
    outcome = bench.batch.refresh("sales")
    assert (outcome.definition, outcome.audit.clean, outcome.counts.rejected) == (definition, True, 1)
    assert bench.answer() == expected(bench, sent, above)
    rebuilt = bench.batch.rebuild("sales")
    assert (rebuilt.audit.clean, rebuilt.counts.rejected) == (True, 1)
    assert bench.answer() == expected(bench, sent, above)


def test_where_a_record_would_be_rejected_it_is_another_definition(tmp_path: Path) -> None:
    bench, definition = begun(tmp_path, *orders(3), bad("x"))
    assert apply(bench) != definition
    assert Catalogue(bench.lake).states["sales"].definitions[0].handovers == {}


def test_what_was_read_and_not_archived_is_judged_as_it_was_read(tmp_path: Path) -> None:
    """The archive lags: a record that the newer contract rejects lies between what was looked at and the position."""
    sent = orders(4)
    bench, definition = begun(tmp_path, *sent)
    gap = [bad("gap"), order("gap2")]
    bench.send(*gap)
    bench.speed()
    assert apply(bench) == definition
    more = [bad("late")]
    bench.send(*more)
    reached = bench.end
    bench.speed()
    at = SpeedHistory(bench.lake.speed_log("main")).handovers
    assert list(at.values()) == [Frontier({p: n - len(more) * (p.number == 0) for p, n in reached.items()})]
    bench.archive()
    above = [*more, bad("y"), order("z")]
    bench.send(*above[1:])
    bench.both()
    wanted = expected(bench, [*sent, *gap], above)
    assert bench.answer() == wanted
    outcome = bench.batch.refresh("sales")
    assert (outcome.audit.clean, outcome.audit.explained, outcome.counts.rejected) == (True, (), 2)
    assert handover(bench).at == next(iter(at.values()))
    assert bench.answer() == wanted
    assert bench.batch.rebuild("sales").audit.clean
    assert bench.answer() == wanted


def test_until_an_epoch_goes_by_the_newer_text_batch_goes_by_the_older(tmp_path: Path) -> None:
    sent = orders(4)
    bench, _ = begun(tmp_path, *sent)
    apply(bench)
    bench.contract = contract()  # the speed process has not looked yet, and neither has the archive
    speed = bench.speed
    gap = [bad("gap")]
    bench.send(*gap)
    _stale(bench, speed)
    bench.archive()
    outcome = bench.batch.refresh("sales")
    assert (outcome.audit.clean, outcome.counts.rejected, outcome.cut) == (True, 0, bench.end)
    assert bench.answer() == expected(bench, [*sent, *gap], [])
    assert handover(bench).at is None
    bench.contract = COUPON
    above = [bad("x"), order("y")]
    bench.send(*above)
    bench.both()
    assert bench.batch.refresh("sales").audit.clean
    assert bench.answer() == expected(bench, [*sent, *gap], above)
    assert handover(bench).at is not None


def _stale(bench: Bench, speed: Callable[[], int]) -> None:
    """One epoch of a process that has not seen the view's newest state."""
    process = bench._speed
    assert process is not None
    table = bench.records(process.frontier, bench.end)
    process.run_batch(lambda task: task(table))


@pytest.mark.parametrize("gone", ["A", "B"])
def test_copies_are_told_across_the_position_by_what_the_older_text_has_counted(tmp_path: Path, gone: str) -> None:
    """What the older one counted and the newer one rejects has an id: a copy that only says less is one."""
    sent = orders(2)
    bench, _ = begun(tmp_path, *sent)
    bench.send(bad("c"))
    bench.speed()
    apply(bench)
    if gone == "B":
        bench._speed = None
    bench.send(order("c"), order("o1", shop="b", amount=1), order("d"))
    bench.both()
    wanted = expected(bench, [*sent, bad("c"), order("d")], [])
    assert bench.answer() == wanted
    outcome = bench.batch.refresh("sales")
    assert (outcome.audit.clean, outcome.audit.explained, outcome.counts.duplicate) == (True, (), 2)
    assert bench.answer() == wanted


def test_an_import_is_judged_by_the_text_that_it_was_first_judged_by(tmp_path: Path) -> None:
    sent = orders(2)
    bench, definition = begun(tmp_path, *sent)
    bench.import_file("before", bad("i1"))
    bench.batch.refresh("sales")
    _apply_before_the_gap(bench, definition)
    bench.contract = COUPON
    bench.import_file("after", bad("i2"), order("i3"))
    assert handover(bench).imports == ("import:before",)
    for _ in range(2):
        assert bench.batch.refresh("sales").audit.clean
        assert bench.answer() == expected(bench, [*sent, bad("i1")], [bad("i2"), order("i3")])
        bench.send(order("more"))
        bench.both()
        sent = [*sent, order("more")]


def test_a_second_change_goes_the_same_way_once_a_version_says_where_the_first_began(tmp_path: Path) -> None:
    sent = orders(3)
    bench, definition = begun(tmp_path, *sent)
    apply(bench)
    first = [bad("x"), order("a")]
    bench.send(*first)
    bench.both()
    bench.batch.refresh("sales")
    assert apply(bench, CITY) == definition
    above = [order("c")[:-1] + b', "city": 9}', bad("y"), order("b")]
    bench.send(*above)
    bench.both()
    wanted = expected(bench, sent, [*first, *above[1:]])
    assert bench.answer() == wanted
    assert bench.batch.refresh("sales").audit.clean
    assert bench.batch.rebuild("sales").audit.clean
    assert bench.answer() == wanted


def test_what_would_accept_a_record_that_was_rejected_is_another_definition(tmp_path: Path) -> None:
    bench, definition = begun(tmp_path, *orders(3))
    apply(bench)
    bench.send(bad("x"))
    bench.both()
    bench.batch.refresh("sales")
    number = COUPON.text.replace("{name: coupon, logicalType: string}", "{name: coupon, logicalType: number}")
    assert apply(bench, parse_contract(number, "orders.yaml")) != definition


def test_a_change_before_the_one_under_way_is_said_for_good_is_another_definition(tmp_path: Path) -> None:
    bench, definition = begun(tmp_path, *orders(3))
    apply(bench)
    assert apply(bench, CITY) != definition


def test_a_run_from_before_a_text_is_handed_over_is_not_gone_on_with(tmp_path: Path) -> None:
    """It has read an import by the older text that the record does not name, since it came a moment later."""
    sent = orders(2)
    bench, definition = begun(tmp_path, *sent)
    bench.import_file("x", bad("i1"), order("i2"))

    def hook(reached: str) -> None:
        if reached == "batch.before-version":
            raise Death

    with pytest.raises(Death), hooked(hook):
        bench.batch.refresh("sales")
    (run,) = bench.versions().held(bench.clock())
    state = Catalogue(bench.lake).states["sales"]
    (view,) = parse_views(VIEW, "views.sql")
    new = Compiled(*compile_for(view, {"orders": COUPON}))
    record = Handing("h", (definition,)).record(state, new, ())
    assert record is not None
    later = state.model_copy(update={"definitions": (record,), "attempt": "later"})
    history = ViewHistory(bench.lake.view_log("sales"))
    history.log.put(3, history.whole(later))
    bench.contract = COUPON
    outcome = bench.batch.refresh("sales")
    assert outcome.audit.clean
    assert bench.versions().versions[outcome.version or 0].run != run.run
    assert bench.answer() == expected(bench, sent, [order("i2")])


POINTS = ("speed.before-files", "speed.after-files", "speed.after-entry", "batch.after-reserve", "batch.before-version",
          "batch.after-version", "batch.after-publish", "view.before-entry")  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
def test_death_anywhere_on_the_way_moves_no_answer(tmp_path: Path, point: str) -> None:
    sent = orders(4)
    bench, definition = begun(tmp_path, *sent)
    gap = [bad("gap")]
    bench.send(*gap)
    above = [bad("x"), order("y")]
    died = 0

    def act(work: Callable[[], object]) -> None:
        nonlocal died

        def hook(reached: str) -> None:
            nonlocal died
            if reached == point and not died:
                died += 1
                raise Death

        try:
            with hooked(hook):
                work()
        except Death:
            bench._speed = None
            work()

    act(bench.both)
    bench.contract = COUPON
    bench.send(*above)
    act(lambda: bench.batch.refresh("sales"))
    act(lambda: _apply_before_the_gap(bench, definition))
    act(bench.speed)
    bench.archive()
    act(lambda: bench.batch.refresh("sales"))
    bench.send(bad("z"))
    act(bench.both)
    act(lambda: bench.batch.refresh("sales"))
    assert died == 1
    assert bench.answer() == expected(bench, [*sent, *gap], [*above, bad("z")])
    assert bench.batch.rebuild("sales").audit.clean
    assert bench.answer() == expected(bench, [*sent, *gap], [*above, bad("z")])


def _apply_before_the_gap(bench: Bench, definition: str) -> None:
    """As if the archive had not come to the record that is judged otherwise when it was looked through."""
    texts = {v.name: v for v in parse_views(VIEW, "views.sql")}
    (applied,) = apply_views(bench.lake, texts, {"orders": COUPON}, bench.clock, lambda *_: True)
    assert applied.definition == definition


TWO = VIEW + (
    ";CREATE MATERIALIZED VIEW amounts AS SELECT placed::DATE AS day, sum(amount) AS amount FROM orders GROUP BY ALL"
)
BY_DAY = (
    ";CREATE MATERIALIZED VIEW days AS"
    " SELECT time_bucket(INTERVAL '1 day', hour) AS day, MEASURE(orders) AS orders FROM sales GROUP BY ALL"
)


def begun_with(folder: Path, views: str, *sent: bytes) -> tuple[Bench, list[str]]:
    """A lake in which each view has a batch version."""
    bench = Bench(folder)
    texts = {v.name: v for v in parse_views(views, "views.sql")}
    apply_views(bench.lake, texts, {"orders": bench.contract}, bench.clock)
    bench.send(*sent)
    bench.both()
    for view in texts:
        assert bench.batch.refresh(view).version is not None
    return bench, sorted(one.hash for one in Catalogue(bench.lake).live("main"))


def said(bench: Bench) -> dict[str, Frontier]:
    return SpeedHistory(bench.lake.speed_log("main")).handovers


@pytest.mark.parametrize("views", [TWO, VIEW + BY_DAY], ids=["two views", "a view over a view"])
def test_all_views_take_a_text_in_one_epoch_once_the_records_of_all_are_there(tmp_path: Path, views: str) -> None:
    sent = orders(4)
    bench, live = begun_with(tmp_path, views, *sent)
    puts = 0

    def hook(reached: str) -> None:
        nonlocal puts
        puts += reached == "view.before-entry"
        if puts == 2:
            raise Death

    with pytest.raises(Death), hooked(hook):
        apply(bench, view=views)
    gap = [bad("gap")]
    bench.send(*gap)
    bench.both()
    assert said(bench) == {}
    assert bench.answer() == expected(bench, [*sent, *gap], [])
    texts = {v.name: v for v in parse_views(views, "views.sql")}
    apply_views(bench.lake, texts, {"orders": COUPON}, bench.clock, lambda *_: True)
    reached = bench.end
    above = [bad("x"), order("y")]
    bench.send(*above)
    bench.both()
    assert sorted(one.hash for one in Catalogue(bench.lake).live("main")) == live
    assert set(said(bench).values()) == {Frontier({p: offset for p, offset in reached.items() if offset})}
    for view in texts:
        outcome = bench.batch.refresh(view)
        assert (outcome.audit.compared, outcome.audit.clean, outcome.counts.rejected) == (True, True, 1)
        assert bench.batch.rebuild(view).audit.clean
    assert bench.answer() == expected(bench, [*sent, *gap], above)
    assert Catalogue(bench.lake).states["sales"].served in live


def test_a_text_by_which_a_definition_lives_already_is_handed_to_none(tmp_path: Path) -> None:
    bench, definition = begun(tmp_path, *orders(2))
    other = VIEW.replace("VIEW sales", "VIEW coupons").replace("shop,", "coupon,")
    bench.contract = COUPON
    texts = {v.name: v for v in parse_views(other, "views.sql")}
    apply_views(bench.lake, texts, {"orders": COUPON}, bench.clock)
    assert apply(bench) != definition


def test_a_view_dropped_on_the_way_is_built_anew_when_it_comes_back(tmp_path: Path) -> None:
    bench, definition = begun(tmp_path, *orders(2))
    apply(bench)
    bench.send(order("x"))
    bench.speed()
    drop_view(bench.lake, "sales", bench.clock)
    assert apply(bench) != definition


def test_a_view_without_a_version_is_another_definition(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.send(*orders(2))
    bench.both()
    assert apply(bench) != bench.served[0]


def test_a_stream_at_rest_takes_the_text_without_a_record(tmp_path: Path) -> None:
    sent = orders(2)
    bench, _ = begun(tmp_path, *sent)
    apply(bench)
    bench.speed()  # there is nothing to read
    assert bench._speed is not None
    epoch = bench._speed.announce()
    assert epoch is not None
    assert list(epoch.handovers.values()) == [epoch.start]
    assert bench._speed.announce() is None


def test_a_lake_of_imports_alone_takes_the_text_with_its_first_epoch(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.import_file("x", order("i1"))
    assert bench.batch.refresh("sales").version is not None
    definition = bench.served[0]
    assert apply(bench) == definition
    sent: list[bytes] = []
    for more in ([bad("x"), order("a")], [order("b")], [bad("y"), order("c")]):
        bench.send(*more)
        bench.both()
        sent += more
        assert bench.batch.refresh("sales").audit.clean
        assert bench.answer() == expected(bench, [order("i1")], sent)
        assert handover(bench).at == Frontier()
