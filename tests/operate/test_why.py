"""`seamline why`: the events that a row counts, against plain Python over the simulated stream."""

from __future__ import annotations

import json
import os
import random
from collections import defaultdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lakes import DAY, order, project
from several import several
from simulation import BEGIN
from truth import Event
from watched import Watched, live

from seamline.cli.main import execute
from seamline.errors import Condition, SeamlineError
from seamline.frontier import Position
from seamline.history.batch import BatchHistory
from seamline.operate.viewwhy import Page, Why, find_why
from seamline.schemas.project import load_project

CASES = {"quick": 2, "landing": 4, "long": 1000}[os.environ.get("HYPOTHESIS_PROFILE", "landing")]
ALL = Page(limit=10_000, rejected=10_000)


def ask(watched: Watched, view: str = "sales", page: Page = ALL, **key: str | None) -> Why:
    return find_why(watched.world.lake, watched.world.lake.kernel(), view, key, page)


def hour_of(event: Event) -> datetime:
    return event.placed.replace(minute=0, second=0, microsecond=0)


@settings(max_examples=CASES)
@given(drawn=st.randoms(use_true_random=False))
def test_each_row_is_made_of_the_events_that_plain_python_counts(
    tmp_path_factory: pytest.TempPathFactory, drawn: random.Random
) -> None:
    watched, known = Watched(tmp_path_factory.mktemp("lake")), dict[Any, Event]()
    for _ in range(12):
        live(watched, drawn, known)
    watched.world.run_archive([99])
    if not watched.seen:
        return
    newest = max(watched.seen)
    groups: dict[Any, dict[Position, Event]] = defaultdict(dict)
    for at, event in watched.counted(watched.seen[newest]).items():
        groups[hour_of(event), event.shop][at] = event
    assert {group for group, _ in watched.seen[newest].answer} == groups.keys()
    for (hour, shop), events in drawn.sample(sorted(groups.items(), key=str), min(3, len(groups))):
        found = ask(watched, hour=hour.isoformat(), shop=shop)
        assert found.told.epoch == newest
        assert {(one.at, one.id, one.time, one.fields["amount"]) for one in found.page} == {
            (at, one.id, one.placed, one.amount) for at, one in events.items()
        }
        assert found.events == len(events) == found.row["orders"]
        assert (found.row["hour"], found.row["shop"], found.differs) == (hour, shop, ())
        check_copies(watched, found, events)


def check_copies(watched: Watched, found: Why, counted: dict[Position, Event]) -> None:
    """Each is a copy of the event that counts in its place, and every other copy of the row's events is told."""
    ids = {(event.id, event.placed) for event in counted.values() if event.id is not None}
    records = dict(watched.records(watched.seen[max(watched.seen)].end))
    for source, file in watched.world.files.items():
        records |= {Position(source, 0, one.offset): one for one in file}
    accepted = {at: watched.accepted(record) for at, record in records.items()}
    for one in found.copies:
        copy, first = accepted[one.at], accepted[one.counts]
        assert copy is not None
        assert first is not None
        assert (copy.id, copy.placed) == (first.id, first.placed)
        assert one.at not in counted
    told = {one.at for one in found.copies}
    assert told <= {at for at, e in accepted.items() if e is not None and (e.id, e.placed) in ids}


# --- what the stream above does not do


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    """Two orders of one hour, each in a version; a copy, a rejected record and one of another hour beyond it."""
    made = Watched(tmp_path)
    for id_ in ("1", "2"):
        send(made, Event(id_, BEGIN, "a", 5))
    made.world.refresh("sales")
    made.world.send(0, b"{")
    send(made, Event("2", BEGIN, "a", 5), Event("3", BEGIN + timedelta(hours=1), None, 7), Event("4", BEGIN, "a", 1))
    return made


def send(watched: Watched, *events: Event) -> None:
    for event in events:
        watched.world.send(0, event.encode(), event)
    watched.world.run_speed([99])
    watched.world.run_archive([99])
    watched.look()


def test_copies_and_what_was_rejected_nearby_are_told(watched: Watched) -> None:
    found = ask(watched, hour=BEGIN.isoformat())
    assert [one.id for one in found.page] == ["1", "2", "4"]
    assert [(one.at.offset, one.counts.offset) for one in found.copies] == [(3, 1)]
    assert [(one.at.offset, one.reason) for one in found.near] == [(2, "bad JSON")]
    assert (found.rejected, found.events, found.row["amount"], found.recomputed["amount"]) == (1, 3, 11, 11)


def test_events_are_told_a_page_at_a_time(watched: Watched) -> None:
    pages = [ask(watched, page=Page(skip, 2, 0), hour=BEGIN.isoformat()) for skip in (0, 2, 4)]
    assert [[one.id for one in found.page] for found in pages] == [["1", "2"], ["4"], []]
    assert {(found.events, found.recomputed["orders"], found.rejected) for found in pages} == {(3, 3, 0)}


def test_a_key_stands_for_one_row(watched: Watched) -> None:
    assert ask(watched, shop=None).row["amount"] == 7
    send(watched, Event("5", BEGIN + timedelta(hours=2), "a", 1))
    for key, said in (
        ({"shop": "a"}, "several rows of sales have that key"),
        ({"shop": "zz"}, "no row of sales has that key"),
        ({"hour": "soon"}, "hour=soon"),
        ({"town": "a"}, "key 'town'"),
    ):
        with pytest.raises(SeamlineError, match=said) as refused:
            ask(watched, **key)
        assert refused.value.condition is Condition.INPUT_INVALID
    with pytest.raises(SeamlineError) as refused:
        ask(watched, "nothing")
    assert refused.value.condition is Condition.VIEW_UNKNOWN


def test_it_is_told_as_of_the_newest_epoch_that_raw_holds_whole(watched: Watched) -> None:
    event = Event("9", BEGIN, "a", 100)
    watched.world.send(0, event.encode(), event)
    watched.world.run_speed([99])
    found = ask(watched, hour=BEGIN.isoformat())
    assert (found.told.epoch, found.newest) == (3, 4)
    assert (found.row["amount"], found.differs) == (11, ())
    watched.world.run_archive([99])
    assert ask(watched, hour=BEGIN.isoformat()).row["amount"] == 111


def test_a_served_row_that_its_events_do_not_make_is_told(watched: Watched) -> None:
    lake, state = watched.world.lake, watched.seen[max(watched.seen)].state
    (files,) = BatchHistory(lake.batch_log(str(state.served))).files(state.version or 0).values()
    path = lake.absolute(files[0].path)
    rows = pq.read_table(path)
    wrong = [number + 1 for number in rows["_events"].to_pylist()]
    counts = [name for name in rows.column_names if rows[name].to_pylist() == rows["_events"].to_pylist()]
    for name in counts:
        at = rows.column_names.index(name)
        rows = rows.set_column(at, rows.schema.field(at), pa.array(wrong, rows.schema.field(at).type))
    pq.write_table(rows, path)
    found = ask(watched, hour=BEGIN.isoformat())
    assert (found.row["orders"], found.recomputed["orders"]) == (4, 3)
    assert "orders" in found.differs


def test_rows_over_several_contracts_and_over_views_are_made_of_the_events_of_each(tmp_path: Path) -> None:
    """Against plain DuckDB's own grouping of what was sent, written out by hand below."""
    lake = load_project(several(tmp_path)).lake
    sent = [(str(n), BEGIN - timedelta(hours=9 * (n % 7)), "abx"[n % 3], n % 5, n < 20) for n in range(40)]
    first = min(placed for _, placed, *_ in sent).replace(hour=0, minute=0)
    for number in range(4):
        day = first + timedelta(days=number)
        whole = {
            (id_, "sold")
            for id_, at, shop, amount, _ in sent
            if shop == "a" and amount != 2 and at.date() == day.date()
        }
        whole |= {
            (id_, "back") for id_, at, shop, amount, back in sent
            if shop != "b" and amount != 2 and back and at.date() == day.date()
        }  # fmt: skip
        for kind, contract in (("sold", "orders"), ("back", "returns")):
            wanted = {id_ for id_, of in whole if of == kind}
            if wanted:
                found = find_why(lake, lake.kernel(), "by_day", {"day": day.isoformat(), "kind": kind}, ALL)
                assert {one.id for one in found.page} == wanted
                assert {one.contract for one in found.page} == {contract}
                assert (found.row["moves"], found.differs) == (len(wanted), ())


def test_a_row_that_having_leaves_out_is_told_as_hidden(tmp_path: Path) -> None:
    folder = several(tmp_path, returns=1)
    lake = load_project(folder).lake
    found = find_why(lake, lake.kernel(), "by_month", {"kind": "back"}, ALL)
    assert found.hidden
    assert (found.events, found.row["moves"]) == (1, 1)


def test_what_a_contract_hides_is_masked(tmp_path: Path) -> None:
    bench = project(tmp_path, extra=", classification: sensitive")
    bench.send(order("1", DAY, amount=77))
    bench.both()
    found = find_why(bench.lake, bench.lake.kernel(), "sales", {}, ALL)
    assert [(one.fields["amount"], one.fields["shop"]) for one in found.page] == [("***", "a")]
    assert found.row["amount"] == 77, "what a view shows is the view's to show"


def test_the_command_shows_the_row_its_events_and_what_differs(
    watched: Watched, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = several(tmp_path / "shop")
    asked = ["why", "by_month", "kind=back", f"month={BEGIN:%Y-%m-01}", "--project", str(folder)]
    assert execute([*asked, "--limit", "3"]) == 0
    out = capsys.readouterr().out
    assert "shown are 1 to 3" in out
    assert execute([*asked, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["differs"] == []
    assert said["events"] == len(said["page"]) == said["row"]["moves"]
    assert {"source", "partition", "offset", "id", "time", "fields", "times", "contract"} == said["page"][0].keys()
    assert execute(["why", "by_month", "kind=back", "kind=sold", "--project", str(folder)]) == 2
    assert "key kind twice" in capsys.readouterr().err
