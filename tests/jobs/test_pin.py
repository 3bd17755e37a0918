"""A pinned view serves what it does until an operator says otherwise, and its history says who said what."""

from __future__ import annotations

import getpass
import json
from datetime import timedelta
from pathlib import Path

import pytest
from lakes import VIEW, Bench, orders
from lakes import project as bench_project

from seamline.cli.main import execute
from seamline.commitpoint import hooked
from seamline.errors import Condition, SeamlineError
from seamline.jobs.asked import DateRange
from seamline.schemas.states import drop_view, pin_view


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """Two versions, of which the second is served, and an order that neither holds."""
    made = bench_project(tmp_path)
    for prefix in ("a", "b"):
        made.send(*orders(2, prefix, step=timedelta(days=1)))
        made.both()
        made.batch.refresh("sales")
    made.send(*orders(1, "c"))
    made.both()
    return made


def pin(bench: Bench, *, pinned: bool = True) -> None:
    assert pin_view(bench.lake, "sales", pinned, bench.clock) is not None


def test_no_run_publishes_anything_of_a_pinned_view_and_its_answers_go_on(bench: Bench) -> None:
    served = bench.served
    pin(bench)
    for run in (bench.batch.refresh, bench.batch.rebuild, lambda view: bench.batch.backfill(view, DateRange())):
        outcome = run("sales")
        assert outcome.version is None
        assert "views unpin sales" in outcome.reason
    assert bench.served == served
    day = timedelta(days=1)
    sent = [*orders(2, "a", step=day), *orders(2, "b", step=day), *orders(1, "c")]
    assert bench.answer() == bench.expected(*sent)
    pin(bench, pinned=False)
    assert bench.batch.refresh("sales").version == bench.served[1] != served[1]


def test_a_run_that_was_under_way_publishes_nothing(bench: Bench) -> None:
    served = bench.served

    def hook(reached: str) -> None:
        if reached == "batch.after-version":
            pin(bench)

    with hooked(hook):
        assert "is pinned" in bench.batch.refresh("sales").reason
    assert bench.served == served


def test_a_rollback_is_obeyed_and_it_stays_pinned_as_a_new_definition_is_applied(bench: Bench) -> None:
    definition, version = bench.served
    pin(bench)
    first = min(bench.versions().versions)
    bench.batch.rollback("sales", first)
    assert bench.served == (definition, first)
    bench.apply(VIEW.replace("FROM orders", "FROM orders WHERE amount >= 0"))
    bench.both()
    assert "is pinned" in bench.batch.refresh("sales").reason
    assert bench.served == (definition, first) != (definition, version)


def test_pinning_twice_is_nothing_and_a_dropped_view_is_none(bench: Bench) -> None:
    pin(bench)
    assert pin_view(bench.lake, "sales", True, bench.clock) is None
    drop_view(bench.lake, "sales", bench.clock)
    for view in ("sales", "slaes"):
        with pytest.raises(SeamlineError) as refused:
            pin_view(bench.lake, view, True, bench.clock)
        assert refused.value.condition is Condition.VIEW_UNKNOWN


def test_the_command_line_pins_and_tells_the_history(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def seamline(*words: str) -> str:
        capsys.readouterr()
        assert execute(["views", *words, "--project", str(tmp_path)]) == 0
        return capsys.readouterr().out

    versions = sorted(bench.versions().versions)
    assert "stays at what it serves" in seamline("pin", "sales")
    assert "was pinned before" in seamline("pin", "sales")
    assert json.loads(seamline("list", "--json"))[0]["state"].endswith(", pinned")
    assert "follows its runs again" in seamline("unpin", "sales")
    found = json.loads(seamline("history", "sales", "--json"))
    assert {one["by"] for one in found} == {getpass.getuser()}
    assert [one["reason"].partition(" ")[0] for one in found] == ["unpinned", "pinned", "run", "run", "applied"]
    assert [one["version"] for one in found] == [versions[1]] * 3 + [versions[0], None]
    assert [one["audit"] for one in found][3:] == ["equal", ""]
    assert len(json.loads(seamline("history", "sales", "--last", "2", "--json"))) == 2
    assert "reason" in seamline("history", "sales")
