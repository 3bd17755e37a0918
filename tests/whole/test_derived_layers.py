"""A view over a view through every layer: exact whatever happens, and its batch versions never read raw."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulation import BEGIN, BY_DAY, BY_YEAR, CHANGED, CONTRACT, HORIZON, SALES, World
from test_simulation import DEATH, HISTORIES, TAKES
from truth import Event

from seamline.commitpoint import POINTS
from seamline.history.batch import BatchHistory
from seamline.jobs.unit import Folding, UnitTask
from seamline.jobs.work import local_runner
from seamline.schemas.catalogue import Catalogue
from seamline.schemas.contracts.contract import parse_contract
from seamline.schemas.views.project_views import compile_all
from seamline.schemas.views.text import parse_views
from seamline.streaming.stream_plan import DecodingPlan, make_plan


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder, so one kernel, for all cases."""
    return tmp_path_factory.mktemp("lake")


def begin(root: Path) -> World:
    world = World(root)
    world.apply(SALES + BY_DAY)
    world.ready.add("by_day")
    return world


def send(world: World, first: int, count: int = 6) -> None:
    """Orders of three days and two shops; every third id comes again in the other partition."""
    for number in range(first, first + count):
        at = BEGIN - timedelta(hours=11 * (number % 5))
        event = Event(str(number), at, "ab"[number % 2], amount=number % 4, buyer="xyz"[number % 3])
        world.send(number % 2, event.encode(), event)
        if number % 3 == 0:
            world.send(1 - number % 2, event.encode(1), event)
    world.send(0, b"{")


def both(world: World) -> None:
    world.run_speed([99])
    world.run_archive([99])
    world.check()


def version(world: World, view: str) -> Any:
    state = Catalogue(world.lake).states[view]
    return BatchHistory(world.lake.batch_log(str(state.served))).versions[state.version or 0]


def watched(world: World) -> list[UnitTask]:
    """Every unit that batch runs compute from now on; what they read once more to verify it is left out."""
    given_out: list[UnitTask] = []
    local = local_runner(world.lake)

    def run(tasks: list[UnitTask]) -> Any:
        given_out.extend(task for task in tasks if task.wanted is None)
        return local(tasks)

    world.runner = run
    return given_out


def test_a_derived_version_is_folded_from_its_bases_units_and_nothing_else(root: Path) -> None:
    world = begin(root)
    send(world, 0)
    both(world)
    assert "'seamline batch refresh sales' comes first" in world.refresh("by_day").reason
    world.refresh("sales")
    given_out = watched(world)
    first = world.refresh("by_day")
    base, made = version(world, "sales"), version(world, "by_day")
    assert (made.cut, made.counts, made.archive_entry) == (base.cut, base.counts, base.archive_entry)
    assert made.folded == Catalogue(world.lake).states["sales"].version
    assert {task.unit for task in given_out} == set(base.units)
    sources = {file.path for files in base.units.values() for file in files}
    for task in given_out:
        assert isinstance(task.statements, Folding)
        assert set(task.files) <= sources
        assert not task.mended
    assert first.audit.compared
    assert first.audit.clean
    world.check()
    assert "holds what version" in world.refresh("by_day").reason
    late = Event("late", BEGIN - timedelta(hours=44), "a")
    world.send(0, late.encode(), late)
    both(world)
    assert "comes first" in world.refresh("by_day").reason, "its base has not gone on"
    world.refresh("sales")
    given_out.clear()
    assert world.refresh("by_day").audit.compared
    assert [task.unit for task in given_out] == ["2024-05-30"], "the one unit that its base rewrote"
    world.finish()


@pytest.mark.thorough
def test_several_versions_of_a_base_are_followed_at_once_and_a_rebuild_takes_every_unit(root: Path) -> None:
    world = begin(root)
    for first in (0, 20, 44):
        send(world, first, 1 if first else 6)
        both(world)
        world.refresh("sales")
        if first == 0:
            world.refresh("by_day")
            given_out = watched(world)
    send(world, 60)
    world.run_speed([99])
    given_out.clear()
    world.refresh("by_day")
    every = set(BatchHistory(world.lake.batch_log(str(Catalogue(world.lake).states["sales"].served))).files(
        Catalogue(world.lake).states["sales"].version or 0
    ))  # fmt: skip
    assert {task.unit for task in given_out} < every
    world.check()
    given_out.clear()
    assert world.refresh("by_day", rebuild=True).version is not None
    assert {task.unit for task in given_out} == every
    world.refresh("sales", rebuild=True)
    given_out.clear()
    assert world.refresh("by_day").version is not None, "a base that was made anew is followed, at whatever cut"
    assert {task.unit for task in given_out} >= every
    world.finish()


@pytest.mark.thorough
def test_a_base_kept_by_the_hour_is_folded_by_the_hour(root: Path) -> None:
    world = World(root)
    world.apply(SALES.replace("sales AS", "sales TBLPROPERTIES ('partition.grain' = 'hour') AS") + BY_DAY)
    world.ready.add("by_day")
    for first in (0, 20):
        send(world, first)
        both(world)
        world.refresh("sales")
        given_out = watched(world)
        assert world.refresh("by_day").audit.clean
        units = version(world, "sales").units
        assert {task.unit for task in given_out} == {unit for unit, files in units.items() if files}
        assert all("T" in task.unit for task in given_out)
        world.check()
    world.finish()


@pytest.mark.thorough
@pytest.mark.parametrize("drop", [False, True])
def test_a_base_that_gets_no_versions_any_more_leaves_the_derived_view_to_raw(root: Path, drop: bool) -> None:
    world = begin(root)
    send(world, 0)
    both(world)
    world.refresh("sales")
    world.refresh("by_day")
    if drop:
        world.drop("sales")
    else:
        world.apply(CHANGED)  # `by_day` is no longer in the project, and lives on by the text it was applied with
        world.speed.announce()
        world.refresh("sales")
    send(world, 20)
    both(world)
    given_out = watched(world)
    outcome = world.refresh("by_day")
    assert outcome.version is not None
    assert outcome.audit.compared
    assert not any(isinstance(task.statements, Folding) for task in given_out)
    assert version(world, "by_day").folded is None
    world.check()
    if drop:
        world.apply(SALES + BY_DAY)
        world.speed.announce()
        world.wait(HORIZON + timedelta(minutes=1))
        send(world, 40)
        both(world)
        world.refresh("sales")
        world.ready.add("sales")
        assert world.refresh("by_day").version is not None
        assert version(world, "by_day").folded is not None
    world.finish()


@pytest.mark.thorough
def test_a_changed_base_makes_a_derived_definition_that_is_switched_to_after_it(root: Path) -> None:
    world = begin(root)
    send(world, 0)
    both(world)
    for view in ("sales", "by_day"):
        world.refresh(view)
    before = Catalogue(world.lake).states["by_day"].served
    world.apply(CHANGED + BY_YEAR)
    send(world, 20)
    both(world)
    assert Catalogue(world.lake).states["by_day"].served == before
    world.refresh("by_day")
    world.check()
    world.refresh("sales")
    world.check()
    assert world.refresh("by_day").version is not None
    state = Catalogue(world.lake).states["by_day"]
    assert (state.served != before, version(world, "by_day").folded is not None) == (True, True)
    world.finish()


def test_a_base_is_made_once_in_a_task_for_all_that_is_derived_from_it() -> None:
    contract = parse_contract(CONTRACT.replace(" LEAST", ""), "orders.yaml")
    again = BY_DAY.replace("by_day", "again").replace("AS orders", "AS many")
    views = {view.name: view for view in parse_views(SALES + BY_DAY + again, "views.sql")}
    of = {name: one.definition for name, one in compile_all(views, {"orders": contract}).items()}
    sales, derived = of["sales"].hash, {of["by_day"].hash, of["again"].hash}

    def made(*live: str) -> DecodingPlan:
        (plan,) = make_plan([contract], [(of[name], (contract,)) for name in live]).decodings
        return plan

    every = made("sales", "by_day", "again")
    assert [d for d, _ in every.partials] == [sales]
    assert {(fold.definition, fold.base) for fold in every.folds} == {(d, sales) for d in derived}
    assert every.unsent == ()
    without = made("by_day", "again")
    assert (without.partials, without.folds) == (every.partials, every.folds)
    assert without.unsent == (sales,), "made for these, and sent to nobody"
    alone = made("by_day")
    assert (alone.partials, alone.folds) == (((of["by_day"].hash, of["by_day"].partial),), ())


STEPS = ("speed", "archive", "sales", "by_day", "compact", "tidy", "rest")


def do(world: World, name: str, takes: list[int]) -> None:
    more = sum(takes)
    steps: dict[str, Callable[[], object]] = {
        "speed": lambda: world.run_speed(takes, split=1 + more % 3, again=more % 2 * 3),
        "archive": lambda: world.run_archive(takes, again=more % 2 * 3),
        "rest": lambda: world.speed.announce(),
        "compact": lambda: world.maintenance.compact(),
        "tidy": lambda: (world.maintenance.retire(), world.maintenance.remove()),
        "change": lambda: world.apply(CHANGED + BY_YEAR),
        "drop": lambda: world.drop("sales"),
        "back": lambda: world.apply(SALES + BY_DAY),
    }
    if name in steps:
        steps[name]()
    else:
        world.refresh(name, rebuild=more % 4 == 3)


@pytest.mark.thorough
@settings(max_examples=HISTORIES // 2)  # test_simulation.py lives through as many again without this view
@given(
    steps=st.lists(
        st.tuples(st.sampled_from([*STEPS, *STEPS, "change", "drop", "back"]), TAKES, DEATH), min_size=4, max_size=25
    )
)
def test_a_derived_view_is_exact_in_any_order_of_everything(root: Path, steps: list[Any]) -> None:
    world = begin(root)
    for number, (name, takes, die_at) in enumerate(steps):
        send(world, 10 * number, 3)
        world.perform(lambda name=name, takes=takes: do(world, name, takes), die_at)  # type: ignore[misc]
        if name == "drop":
            world.ready.discard("sales")
        world.check()
    world.finish()


@pytest.mark.thorough
@pytest.mark.parametrize("point", sorted(point for point in POINTS if point.startswith("batch.")))
def test_a_derived_refresh_that_dies_anywhere_goes_on(root: Path, point: str) -> None:
    world = begin(root)
    for number in range(2):
        send(world, 20 * number)
        both(world)
        world.refresh("sales")
        world.perform(lambda: world.refresh("by_day"), point)
        world.check()
        world.refresh("by_day")
        world.check()
    assert world.deaths == 2
    world.finish()
